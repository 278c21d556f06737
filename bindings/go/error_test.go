package nswatch_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func TestErrors(t *testing.T) {
	missing := t.TempDir() + "/missing"
	_, err := nswatch.Open(nswatch.Dir(missing), nswatch.NoParent())
	is(t, err, syscall.ENOENT)
	is(t, err, fs.ErrNotExist)
	var failure *nswatch.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%T", err)
	}
	if *failure != (nswatch.Error{Op: "watch", Path: missing, Errno: syscall.ENOENT}) {
		t.Errorf("%#v", failure)
	}
	// the text is the library's, not that of Go's errno table
	if text := err.Error(); !strings.HasPrefix(text, "nswatch: watch "+missing+": no such file, name or id") {
		t.Error(text)
	}
	if errors.Is(err, syscall.EPERM) {
		t.Error("ENOENT is EPERM")
	}

	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = nswatch.Open(nswatch.Dir(file + "/dir"))
	is(t, err, syscall.ENOTDIR)
}

func TestWhatCannotBeRightIsRefused(t *testing.T) {
	clean(t)
	for name, option := range map[string]nswatch.Option{
		"a relative directory":      nswatch.Dir("relative"),
		"no directory":              nswatch.Dir(""),
		"a NUL":                     nswatch.Dir("/run\x00/netns"),
		"a negative time":           nswatch.Settle(-1),
		"a month":                   nswatch.Settle(60 * 24 * time.Hour),
		"a negative buffer":         nswatch.RcvBuf(-1),
		"fewer names than none":     nswatch.MaxNames(-1),
		"more than can be counted":  nswatch.MaxNames(math.MaxInt),
		"a queue for nothing":       nswatch.Queue(0, nswatch.QueueBlock),
		"a queue for less":          nswatch.Queue(-1, nswatch.QueueBlock),
		"a queue for far less":      nswatch.Queue(1-1<<32, nswatch.QueueBlock),
		"a queue without a policy":  nswatch.Queue(1, 0),
		"a queue with another":      nswatch.Queue(1, 99),
		"a queue for a good many":   nswatch.Queue(math.MaxInt32, nswatch.QueueBlock),
		"a queue for more than one": nswatch.Queue(math.MaxInt, nswatch.QueueBlock),
	} {
		watcher, err := nswatch.Open(option)
		if !errors.Is(err, syscall.EINVAL) || watcher != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unprivileged calls a function on a thread that has no capabilities, and that ends with it.
func unprivileged(t *testing.T, do func()) {
	t.Helper()
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread()
		header := struct {
			version uint32
			pid     int32
		}{version: 0x20080522}
		var none [2]struct{ effective, permitted, inheritable uint32 }
		_, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET,
			uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
		if errno == 0 {
			do()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatal("capset:", errno)
	}
}

func TestPrivileges(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	watcher := open(t)
	ready := expect(t, watcher, "created blue (existing)", "ready blue (existing)")
	unprivileged(t, func() {
		file, err := ready.OpenNetns()
		if err != nil {
			t.Error(err)
			return
		}
		defer file.Close()
		if _, err := nswatch.NSIDForFD(int(file.Fd())); err != nil {
			t.Error("asking takes no privilege:", err)
		}
		_, err = nswatch.AssignNSID(int(file.Fd()), nswatch.NotAssigned)
		if !errors.Is(err, syscall.EPERM) || !errors.Is(err, fs.ErrPermission) {
			t.Error("assigning:", err)
		}
		if !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Error("what is missing is not told:", err)
		}
		_, err = nswatch.Open(nswatch.NSID(), nswatch.AllNSID())
		if !errors.Is(err, syscall.EPERM) || !strings.HasPrefix(err.Error(), "nswatch: watch: ") {
			t.Error("all nsids:", err)
		}
	})
}
