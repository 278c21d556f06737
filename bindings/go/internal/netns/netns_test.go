package netns

import (
	"errors"
	"syscall"
	"testing"
	"unsafe"
)

const own = "/proc/thread-self/ns/net"

// Which namespace this is, asked in another way than the code does.
func identity(t *testing.T) Identity {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(own, &stat); err != nil {
		t.Fatal(err)
	}
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(socket)
	const soNetnsCookie = 71
	var cookie uint64
	size := uint32(unsafe.Sizeof(cookie))
	syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(socket), syscall.SOL_SOCKET, soNetnsCookie,
		uintptr(unsafe.Pointer(&cookie)), uintptr(unsafe.Pointer(&size)), 0)
	return Identity{Dev: uint64(stat.Dev), Ino: stat.Ino, ID: cookie}
}

// Inode numbers are recycled: a successor may have the same, but never the same id.
func TestOpenComparesAllOfTheIdentity(t *testing.T) {
	this := identity(t)
	fd, err := Open(own, this)
	if errors.Is(err, syscall.ENOTTY) || errors.Is(err, syscall.EINVAL) {
		t.Skip("SKIPPED: this kernel has no id that it never uses again")
	}
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd)
	for name, other := range map[string]Identity{
		"device": {Dev: this.Dev + 1, Ino: this.Ino, ID: this.ID},
		"inode":  {Dev: this.Dev, Ino: this.Ino + 1, ID: this.ID},
		"id":     {Dev: this.Dev, Ino: this.Ino, ID: this.ID + 1},
	} {
		if fd, err := Open(own, other); err != syscall.ESTALE {
			t.Errorf("another %s: %d, %v", name, fd, err)
		}
	}
	// where the kernel told no id there is none to compare
	fd, err = Open(own, Identity{Dev: this.Dev, Ino: this.Ino})
	if err != nil {
		t.Error("without an id:", err)
	}
	syscall.Close(fd)
}
