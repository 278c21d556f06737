package nswatch_test

import (
	"os"
	"syscall"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// readyWithoutID gives the Ready of the name "blue", which is there, as before Linux 6.18.
func readyWithoutID(t *testing.T, between func()) nswatch.Event {
	t.Helper()
	watcher := open(t)
	expect(t, watcher, "created blue (existing)")
	ready, err := nswatch.NextWithoutID(watcher, between)
	if err != nil {
		t.Fatal(err)
	}
	if ready.Type != nswatch.Ready || ready.Cookie != 0 {
		t.Fatalf("%+v", ready)
	}
	return ready
}

func nothing() {}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

func opens(t *testing.T, ready nswatch.Event) {
	t.Helper()
	file, err := ready.OpenNetns()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil || stat.Ino != ready.Ino {
		t.Errorf("it is %d, not %d: %v", stat.Ino, ready.Ino, err)
	}
}

func TestWithoutIDASuccessorIsTold(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	ready := readyWithoutID(t, nothing)
	opens(t, ready)
	// the kernel's time of an inode goes by ticks, in one of which it never gives a number to two
	for made := madeAt(t, "/run/netns/blue"); made == madeAt(t, "/run/netns/blue"); {
		ipNetns(t, "del", "blue")
		ipNetns(t, "add", "blue")
	}
	// as if the kernel had recycled the number, which it does when it likes
	ready.Ino = inode(t, "/run/netns/blue")
	_, err := ready.OpenNetns()
	is(t, err, syscall.ESTALE)
}

func TestWithoutIDGoneBeforeItCouldBeLookedAt(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	ready := readyWithoutID(t, func() { ipNetns(t, "del", "blue") })
	_, err := ready.OpenNetns()
	is(t, err, syscall.ENOENT)
	ipNetns(t, "add", "blue")
	ready.Ino = inode(t, "/run/netns/blue")
	_, err = ready.OpenNetns()
	is(t, err, syscall.ESTALE)
}

// Nothing keeps the inode that a symbolic link leads to, so when it was made says nothing.
func TestWithoutIDSymbolicLink(t *testing.T) {
	clean(t)
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self/ns/net", "/run/netns/blue"); err != nil {
		t.Fatal(err)
	}
	ready := readyWithoutID(t, nothing)
	if stamp := nswatch.Stamp(ready); stamp != 0 {
		t.Errorf("its inode was made at %d", stamp)
	}
	opens(t, ready)
}

func madeAt(t *testing.T, path string) syscall.Timespec {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ctim
}
