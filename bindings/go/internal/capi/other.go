//go:build !linux

// Package capi is nswatch.h in Go. On this system every call fails.
package capi

import "syscall"

type (
	Watcher struct{}
	Options struct{}
)

// errors.Is matches this with errors.ErrUnsupported.
const unsupported = -int(syscall.ENOSYS)

// Trouble returns why every call fails.
func Trouble(rc int) string {
	if rc == unsupported {
		return "only Linux has network namespaces"
	}
	return ""
}

func Interrupt(*Watcher) {}

func Open(uint32, *Options, **Watcher) int { return unsupported }

func Close(*Watcher) {}

func FD(*Watcher) int { return unsupported }

func NextEvent(*Watcher, **Event) int { return unsupported }

func Resync(*Watcher) int { return unsupported }

func Stat(*Watcher, uint32) uint64 { return 0 }

func Error(*Watcher) string { return "" }

func NetnsForFD(int, *Netns) int { return unsupported }

func NetnsForPID(int32, *Netns) int { return unsupported }

func NetnsForPIDFD(int, *Netns) int { return unsupported }

func NetnsForName(string, *Netns) int { return unsupported }

func NetnsForNSID(int32, *Netns) int { return unsupported }

func NetnsOpen(*Netns, string) int { return unsupported }

func NetnsSame(a, b *Netns) int {
	if *a == *b {
		return 1
	}
	return unsupported
}

func NetnsIsAlive(*Netns) int { return unsupported }

func OptionsNew() *Options { return &Options{} }

func OptionsFree(*Options) {}

func OptionsSetFlags(*Options, uint32) int { return 0 }

func OptionsSetDir(*Options, string) int { return 0 }

func OptionsSetSettle(*Options, uint32) int { return 0 }

func OptionsSetMaxNames(*Options, uint32) int { return 0 }

func OptionsSetRcvbuf(*Options, uint32) int { return 0 }

func OptionsSetQueue(*Options, uint32, uint32) int { return 0 }

func OptionsError(*Options) string { return "" }

func NSIDGetForPID(int32, *int32) int { return unsupported }

func NSIDGetForFD(int, *int32) int { return unsupported }

func NSIDGetForName(string, *int32) int { return unsupported }

func NSIDGetForPIDFD(int, *int32) int { return unsupported }

func NSIDGetAsSeenFrom(int, int, *int32) int { return unsupported }

func NSIDAssign(int, int32, *int32) int { return unsupported }

func NSIDTranslate(int32, int32, *int32) int { return unsupported }

func NSIDList([]int32, *int) int { return unsupported }

func Feature(uint32) int { return unsupported }

func Version() string { return "" }

func Strerror(rc int) string { return syscall.Errno(-rc).Error() }
