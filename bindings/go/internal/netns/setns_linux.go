package netns

import (
	"runtime"
	"syscall"
)

// The number of setns(2) on older architectures. Package syscall does not have it on all of them.
var numbers = map[string]uintptr{
	"386": 346, "amd64": 308, "arm": 375, "mips": 4344, "mipsle": 4344, "mips64": 5303, "mips64le": 5303, "ppc64": 350,
	"ppc64le": 350, "s390x": 339,
}

// enter moves the thread into a network namespace.
func enter(fd int) error {
	number, ok := numbers[runtime.GOARCH]
	if !ok {
		number = 268 // arm64, loong64, riscv64
	}
	if _, _, errno := syscall.RawSyscall(number, uintptr(fd), syscall.CLONE_NEWNET, 0); errno != 0 {
		return errno
	}
	return nil
}

func isMainThread() bool { return syscall.Gettid() == syscall.Getpid() }
