//go:build !linux

package nswatch_test

import (
	"syscall"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func TestEveryCallFailsHere(t *testing.T) {
	_, err := nswatch.Open()
	if failure, ok := err.(*nswatch.Error); !ok || failure.Errno != syscall.ENOSYS {
		t.Error(err)
	}
}
