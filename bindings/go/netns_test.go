//go:build linux

package nswatch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// announced makes a namespace and returns its Ready.
func announced(t *testing.T) nswatch.Event {
	t.Helper()
	watcher := open(t, nswatch.NoReplay())
	ipNetns(t, "add", "blue")
	return expect(t, watcher, "created blue", "ready blue")
}

// The namespace of an event, open until the test ends, and the stat of its file.
func opened(t *testing.T, event nswatch.Event) (*os.File, syscall.Stat_t) {
	t.Helper()
	file, err := event.OpenNetns()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return file, stat
}

func TestOpenNetns(t *testing.T) {
	clean(t)
	ready := announced(t)
	file, stat := opened(t, ready)
	if stat.Ino != ready.Netns.Ino || file.Name() != "/run/netns/blue" {
		t.Errorf("%s is %d, not %d", file.Name(), stat.Ino, ready.Netns.Ino)
	}
	if number, _ := cookie(file); ready.Netns.Cookie != number {
		t.Errorf("the cookie of the namespace is %d, not %d", number, ready.Netns.Cookie)
	}
	flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_GETFD, 0)
	if flags&syscall.FD_CLOEXEC == 0 {
		t.Error("programs would inherit it")
	}
}

func TestOpenNetnsGone(t *testing.T) {
	clean(t)
	ready := announced(t)
	ipNetns(t, "del", "blue")
	_, err := ready.OpenNetns()
	is(t, err, syscall.ENOENT)
	is(t, ready.Enter(func() error { return nil }), syscall.ENOENT)
}

func TestOpenNetnsReplaced(t *testing.T) {
	clean(t)
	ready := announced(t)
	ipNetns(t, "del", "blue")
	ipNetns(t, "add", "blue")
	_, err := ready.OpenNetns()
	is(t, err, syscall.ESTALE)
}

// The successor at the path may block open(2), or be a namespace of another kind.
func TestOpenNetnsOfSomethingElse(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"FIFO": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"UTS namespace": func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return syscall.Mount("/proc/self/ns/uts", path, "", syscall.MS_BIND, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			ready := announced(t)
			ipNetns(t, "del", "blue")
			if err := replace("/run/netns/blue"); err != nil {
				t.Fatal(err)
			}
			_, err := ready.OpenNetns()
			is(t, err, syscall.ENOENT)
		})
	}
}

func TestOpenNetnsOfOtherEvents(t *testing.T) {
	clean(t)
	created := expect(t, open(t, nswatch.Dir(t.TempDir())), "synced")
	for _, event := range []nswatch.Event{created, {}, {Type: nswatch.Ready, Name: "blue"}} {
		_, err := event.OpenNetns()
		is(t, err, syscall.EINVAL)
	}
}

// An event keeps no namespace alive and does not need its watcher.
func TestOpenNetnsAfterClose(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	ipNetns(t, "add", "blue")
	ready := expect(t, watcher, "created blue", "ready blue")
	watcher.Close()
	file, err := ready.OpenNetns()
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
}

// cookie returns the kernel's cookie of an open namespace (Linux 6.18).
func cookie(file *os.File) (number uint64, ok bool) {
	nsGetID := uintptr(0x8008b70d) // _IOR(0xb7, 13, uint64_t)
	switch runtime.GOARCH {
	case "ppc64", "ppc64le", "mips", "mipsle", "mips64", "mips64le":
		nsGetID = 0x4008b70d
	}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), nsGetID, uintptr(unsafe.Pointer(&number)))
	return number, errno == 0
}

func madeAt(t *testing.T, path string) syscall.Timespec {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ctim
}

func ownNamespace() string {
	link, _ := os.Readlink("/proc/thread-self/ns/net")
	return link
}

func TestEnter(t *testing.T) {
	clean(t)
	ready := announced(t)
	outside := ownNamespace()
	failure := errors.New("the function's own")
	err := ready.Enter(func() error {
		wanted := fmt.Sprintf("net:[%d]", ready.Netns.Ino)
		if is := ownNamespace(); is != wanted {
			t.Errorf("inside it is %s, not %s", is, wanted)
		}
		// a program and a socket started inside are inside
		out, err := exec.Command("readlink", "/proc/self/ns/net").CombinedOutput()
		if err != nil || string(out) != wanted+"\n" {
			t.Errorf("a program is in %q: %v", out, err)
		}
		if links, err := net.Interfaces(); err != nil || len(links) != 1 {
			t.Errorf("not only the loopback device: %v, %v", links, err)
		}
		return failure
	})
	if err != failure {
		t.Errorf("%v", err)
	}
	if ownNamespace() != outside {
		t.Error("the caller is inside")
	}
	if err := ready.Enter(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Enter succeeded without a return of the function")
	}
	noThreadIsInside(t, ready)
}

func noThreadIsInside(t *testing.T, ready nswatch.Event) {
	t.Helper()
	until(t, "no thread is left inside", func() bool {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			link, err := os.Readlink("/proc/self/task/" + thread.Name() + "/ns/net")
			if err == nil && link == fmt.Sprintf("net:[%d]", ready.Netns.Ino) {
				return false
			}
		}
		return true
	})
}

// The main thread never ends, so it must not enter.
func TestEnterOnTheMainThread(t *testing.T) {
	clean(t)
	ready := announced(t)
	var tasks sync.WaitGroup
	for i := 0; i < 8; i++ {
		tasks.Add(1)
		go func() {
			defer tasks.Done()
			for i := 0; i < 50; i++ {
				if err := ready.Enter(func() error { return nil }); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	tasks.Wait()
	noThreadIsInside(t, ready)
}

func TestNSIDs(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NSID(), nswatch.RcvBuf(1<<20))
	expect(t, watcher, "synced")
	ipNetns(t, "add", "blue")
	names := open(t)
	ready := expect(t, names, "created blue (replayed)", "ready blue (replayed)")
	file, err := ready.OpenNetns()
	if err != nil {
		t.Fatal(err)
	}
	fd := int(file.Fd())

	answer := func(what string, wanted int) func(int, error) {
		return func(is int, err error) {
			t.Helper()
			if is != wanted || err != nil {
				t.Errorf("%s: %d, %v; not %d", what, is, err, wanted)
			}
		}
	}
	refused := func(what string, wanted syscall.Errno) func(int, error) {
		return func(is int, err error) {
			t.Helper()
			if is != nswatch.NotAssigned || !errors.Is(err, wanted) {
				t.Errorf("%s: %d, %v; not %v", what, is, err, wanted)
			}
		}
	}

	answer("without an nsid", nswatch.NotAssigned)(nswatch.NSIDForFD(fd))
	answer("without an nsid", nswatch.NotAssigned)(nswatch.NSIDForName("blue"))
	answer("assigned", 7)(nswatch.AssignNSID(fd, 7))
	event := expect(t, watcher, "nsid_new 7")
	if event.PortID == 0 || event.Origin != nswatch.NotAssigned || event.String() != "nsid_new 7" {
		t.Errorf("%+v", event)
	}
	answer("by name", 7)(nswatch.NSIDForName("blue"))
	answer("by path", 7)(nswatch.NSIDForName("/run/netns/blue"))
	answer("by descriptor", 7)(nswatch.NSIDForFD(fd))
	process := exec.Command("ip", "netns", "exec", "blue", "cat")
	input, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	// the process is inside when `ip` has executed `cat`
	until(t, "the process in its namespace", func() bool {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", process.Process.Pid))
		return link == fmt.Sprintf("net:[%d]", ready.Netns.Ino)
	})
	answer("by process", 7)(nswatch.NSIDForPID(process.Process.Pid))
	behind := pidfd(t, process)
	answer("by pidfd", 7)(nswatch.NSIDForPIDFD(behind))
	input.Close()
	process.Wait()
	refused("a process that has ended", syscall.ESRCH)(nswatch.NSIDForPID(process.Process.Pid))
	refused("a process that has ended", syscall.ESRCH)(nswatch.NSIDForPIDFD(behind))

	refused("assigned twice", syscall.EEXIST)(nswatch.AssignNSID(fd, 8))
	refused("no process", syscall.EINVAL)(nswatch.NSIDForPID(0))
	refused("no process", syscall.EINVAL)(nswatch.NSIDForPID(-1 << 40))
	refused("no process", syscall.EINVAL)(nswatch.NSIDForPID(1<<40 + 1))
	refused("no descriptor", syscall.EBADF)(nswatch.NSIDForFD(-1))
	refused("no descriptor", syscall.EBADF)(nswatch.NSIDForFD(1<<32 + fd))
	refused("no descriptor", syscall.EBADF)(nswatch.AssignNSID(1<<32+fd, 8))
	refused("no pidfd", syscall.EBADF)(nswatch.NSIDForPIDFD(fd))
	refused("no pidfd", syscall.EBADF)(nswatch.NSIDForPIDFD(1<<32 + behind))
	refused("no name", syscall.ENOENT)(nswatch.NSIDForName("red"))
	refused("a name with NUL", syscall.EINVAL)(nswatch.NSIDForName("blue\x00"))
	refused("no nsid", syscall.EINVAL)(nswatch.AssignNSID(fd, -2))
	refused("no nsid", syscall.EINVAL)(nswatch.AssignNSID(fd, 1<<40))
	refused("no peer", syscall.EINVAL)(nswatch.TranslateNSID(0, 5))
	refused("no peer", syscall.EINVAL)(nswatch.TranslateNSID(-1, 0))

	// a third namespace has nsid 3 in the peer and 4 here
	ipNetns(t, "add", "red")
	ipNetns(t, "set", "red", "4")
	expect(t, watcher, "nsid_new 4")
	out, err := exec.Command("nsenter", "--net=/run/netns/blue", "ip", "netns", "set", "red", "3").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	answer("translated", 4)(nswatch.TranslateNSID(3, 7))
	refused("no number of a peer", syscall.EINVAL)(nswatch.TranslateNSID(3, 1<<32+7))
	refused("no number", syscall.EINVAL)(nswatch.TranslateNSID(1<<32+3, 7))
	refused("not known to the peer", syscall.ENOENT)(nswatch.TranslateNSID(5, 7))

	if all, err := nswatch.ListNSIDs(); err != nil || fmt.Sprint(all) != "[4 7]" {
		t.Errorf("%v, %v", all, err)
	}
	expect(t, open(t, nswatch.NSID()), "nsid_new 4 (replayed)", "nsid_new 7 (replayed)", "synced")

	// the namespace dies with the last reference
	ipNetns(t, "del", "blue")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := watcher.Next(ctx); err == nil {
		t.Error("an ended context got an event")
	}
	file.Close()
	expect(t, watcher, "nsid_del 7")
	if stats := watcher.Stats(); stats.Known != 1 {
		t.Errorf("%+v", stats)
	}
}

// The nsid that one namespace has in another, independent of the namespace of the thread.
func TestNSIDAsSeenFrom(t *testing.T) {
	clean(t)
	fds := map[string]int{}
	for _, name := range []string{"blue", "red"} {
		ipNetns(t, "add", name)
		file, err := os.Open("/run/netns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		fds[name] = int(file.Fd())
	}
	here, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	own := int(here.Fd())
	ipNetns(t, "set", "red", "4")
	out, err := exec.Command("nsenter", "--net=/run/netns/blue", "ip", "netns", "set", "red", "3").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range []struct{ where, fd, wanted int }{
		{fds["blue"], fds["red"], 3},
		{own, fds["red"], 4},
		{fds["red"], fds["blue"], nswatch.NotAssigned},
		{own, fds["blue"], nswatch.NotAssigned},
	} {
		if nsid, err := nswatch.NSIDAsSeenFrom(c.where, c.fd); nsid != c.wanted || err != nil {
			t.Errorf("%+v: %d, %v", c, nsid, err)
		}
	}
	refused := func(where, fd int, wanted syscall.Errno) {
		t.Helper()
		if nsid, err := nswatch.NSIDAsSeenFrom(where, fd); nsid != nswatch.NotAssigned || !errors.Is(err, wanted) {
			t.Errorf("%d, %d: %d, %v; not %v", where, fd, nsid, err, wanted)
		}
	}
	refused(-1, own, syscall.EBADF)
	refused(own, -1, syscall.EBADF)
	refused(1<<32+own, own, syscall.EBADF)
	refused(own, 1<<32+own, syscall.EBADF)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	refused(own, int(null.Fd()), syscall.EINVAL)
	refused(int(null.Fd()), own, syscall.EINVAL)
	unprivileged(t, func() { refused(fds["blue"], fds["red"], syscall.EPERM) })
}

// More nsids than fit into the first buffer.
func TestManyNSIDs(t *testing.T) {
	clean(t)
	for i := 0; i < 70; i++ {
		name := fmt.Sprint("n", i)
		ipNetns(t, "add", name)
		ipNetns(t, "set", name, fmt.Sprint(i))
	}
	all, err := nswatch.ListNSIDs()
	if err != nil || len(all) != 70 || all[69] != 69 {
		t.Errorf("%v, %v", all, err)
	}
}

// Queries and watchers of a thread in another namespace work there.
func TestQueriesFollowTheThread(t *testing.T) {
	clean(t)
	ready := announced(t)
	ipNetns(t, "add", "red")
	ipNetns(t, "set", "red", "5")
	err := ready.Enter(func() error {
		all, err := nswatch.ListNSIDs()
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("inside there are %v", all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if all, err := nswatch.ListNSIDs(); err != nil || fmt.Sprint(all) != "[5]" {
		t.Errorf("outside there are %v, %v", all, err)
	}
}
