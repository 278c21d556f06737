package nswatch

import (
	"syscall"
	"time"
	"unsafe"
)

// duplicate returns a copy of the descriptor, which an os.File may close.
func duplicate(fd int) (uintptr, error) {
	copied, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return 0, errno
	}
	return copied, nil
}

// monotonic returns CLOCK_MONOTONIC.
func monotonic() time.Duration {
	const clockMonotonic = 1
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano())
}
