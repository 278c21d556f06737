//go:build !linux

package netns

import "syscall"

func enter(int) error { return syscall.ENOSYS }

func isMainThread() bool { return false }
