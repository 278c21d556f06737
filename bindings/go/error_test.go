//go:build linux

package nswatch_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
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
	if failure.Op != "watch" || failure.Path != missing || failure.Errno != syscall.ENOENT {
		t.Errorf("%#v", failure)
	}
	// the text is the library's, not that of Go's errno table
	if text := err.Error(); !strings.HasPrefix(text, "nswatch: cannot watch "+missing+": no such file, name or nsid") {
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

func TestWrongOptionsAreRefused(t *testing.T) {
	clean(t)
	for name, option := range map[string]nswatch.Option{
		"a relative directory":           nswatch.Dir("relative"),
		"no directory":                   nswatch.Dir(""),
		"a NUL":                          nswatch.Dir("/run\x00/netns"),
		"a negative time":                nswatch.Settle(-1),
		"too long a time":                nswatch.Settle(60 * 24 * time.Hour),
		"a negative buffer":              nswatch.RcvBuf(-1),
		"a negative limit":               nswatch.MaxNames(-1),
		"too large a limit":              nswatch.MaxNames(math.MaxInt),
		"a queue of 0":                   nswatch.Queue(0, nswatch.QueueBlock),
		"a queue of -1":                  nswatch.Queue(-1, nswatch.QueueBlock),
		"a queue of less than 32 bits":   nswatch.Queue(1-1<<32, nswatch.QueueBlock),
		"a queue without a policy":       nswatch.Queue(1, 0),
		"a queue with an unknown policy": nswatch.Queue(1, 99),
		"too large a queue":              nswatch.Queue(math.MaxInt32, nswatch.QueueBlock),
		"a queue of more than 32 bits":   nswatch.Queue(math.MaxInt, nswatch.QueueBlock),
	} {
		watcher, err := nswatch.Open(option)
		if !errors.Is(err, syscall.EINVAL) || watcher != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachMistakeHasItsSentence(t *testing.T) {
	clean(t)
	for sentence, options := range map[string][]nswatch.Option{
		"cannot watch netns: the path must be absolute, without a NUL byte":                           {nswatch.Dir("netns")},
		"cannot make a queue: the capacity must be 1 to 1048576 events":                               {nswatch.Queue(0, nswatch.QueueBlock)},
		"cannot settle for -1s: the time must not be negative":                                        {nswatch.Settle(-time.Second)},
		"cannot settle for 1440h0m0s: the time must be less than 50 days":                             {nswatch.Settle(60 * 24 * time.Hour)},
		"cannot limit the names: the limit must be 0 to 4294967295":                                   {nswatch.MaxNames(-1)},
		"cannot use the option dir: a watcher of nsids does not have it":                              {nswatch.Dir("/run"), nswatch.NSID()},
		"cannot use the option max_names: a watcher of nsids does not have it":                        {nswatch.NSID(), nswatch.MaxNames(1)},
		"cannot use the option settle: a watcher of every namespace does not have it":                 {nswatch.All(), nswatch.Settle(1)},
		"cannot use the option rcvbuf: a watcher of every namespace does not have it":                 {nswatch.All(), nswatch.RcvBuf(1)},
		"cannot use the option all_nsid: a watcher of names does not have it":                         {nswatch.AllNSID()},
		"cannot set the flags: the flags NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS exclude each other": {nswatch.MountEvents(), nswatch.NoMountEvents()},
	} {
		_, err := nswatch.Open(options...)
		is(t, err, syscall.EINVAL)
		var failure *nswatch.Error
		if !errors.As(err, &failure) || failure.Text != sentence || err.Error() != "nswatch: "+sentence {
			t.Errorf("%v, not: %s", err, sentence)
		}
	}
	for source, options := range map[string][]nswatch.Option{
		"Named": {nswatch.Named(), nswatch.Dir("/run/netns"), nswatch.MaxNames(1), nswatch.Settle(1), nswatch.DirEvents()},
		"NSID":  {nswatch.NSID(), nswatch.RcvBuf(4096), nswatch.NoReplay(), nswatch.Settle(0)},
		"All":   {nswatch.All(), nswatch.MaxNames(100000), nswatch.Prepare()},
	} {
		watcher, err := nswatch.Open(options...)
		if err != nil {
			t.Fatal(source, err)
		}
		watcher.Close()
	}

	_, err := nswatch.Event{}.OpenNetns()
	is(t, err, syscall.EINVAL)
	if text := err.Error(); text != "nswatch: cannot open the network namespace: the event announces none" {
		t.Error(text)
	}
}

// An error of a watcher has the library's sentence.
func TestTheSentenceOfAWatcher(t *testing.T) {
	dir := t.TempDir() + "/netns"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	watcher, err := nswatch.Open(nswatch.Dir(dir), nswatch.NoParent(), nswatch.NoReplay())
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	expect(t, watcher, "dir_deleted")
	_, err = watcher.Next(context.Background())
	is(t, err, syscall.ENOENT)
	if text := err.Error(); !strings.HasPrefix(text, "nswatch: cannot continue watching "+dir+": no such file") {
		t.Error(text)
	}
}

// unprivileged calls a function on a thread without capabilities, which ends with it.
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
	ready := expect(t, watcher, "created blue (replayed)", "ready blue (replayed)")
	unprivileged(t, func() {
		file, err := ready.OpenNetns()
		if err != nil {
			t.Error(err)
			return
		}
		defer file.Close()
		if _, err := nswatch.NSIDForFD(int(file.Fd())); err != nil {
			t.Error("a query requires no privilege:", err)
		}
		_, err = nswatch.AssignNSID(int(file.Fd()), nswatch.NotAssigned)
		if !errors.Is(err, syscall.EPERM) || !errors.Is(err, fs.ErrPermission) {
			t.Error("assigning:", err)
		}
		if !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Error("the error does not name the capability:", err)
		}
		_, err = nswatch.Open(nswatch.NSID(), nswatch.AllNSID())
		if !errors.Is(err, syscall.EPERM) || !strings.HasPrefix(err.Error(), "nswatch: cannot listen to nsids of peers: ") {
			t.Error("all nsids:", err)
		}
	})
}

// Another thread than the caller enters, so the process must run without the privilege.
func TestEnterWithoutPrivilege(t *testing.T) {
	const here = "NSWATCH_TEST_WITHOUT_PRIVILEGE"
	if os.Getenv(here) == "" {
		clean(t)
		ipNetns(t, "add", "blue")
		test := exec.Command("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", os.Args[0], "-test.run=^"+t.Name()+"$")
		test.Env = append(os.Environ(), here+"=1")
		if out, err := test.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	blue, err := nswatch.NetnsForName("blue")
	if err != nil {
		t.Fatal(err)
	}
	err = blue.Enter("/run/netns/blue", func() error { return errors.New("it is inside") })
	is(t, err, syscall.EPERM)
	// one sentence in all languages
	if err.Error() != "nswatch: cannot enter the network namespace /run/netns/blue: CAP_SYS_ADMIN is missing, in your user "+
		"namespace or in the one that owns the network namespace; or a seccomp filter refuses setns(2)" {
		t.Error(err)
	}
}
