//go:build !linux

package nswatch

import (
	"syscall"
	"time"
)

func duplicate(int) (uintptr, error) { return 0, syscall.ENOSYS }

func monotonic() time.Duration { return 0 }
