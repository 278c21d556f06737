//go:build linux

package nswatch_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// Both types are keys of maps.
var (
	_ = map[nswatch.Netns]bool{}
	_ = map[nswatch.Event]bool{}
)

// sleeper starts a process in a network namespace, and returns when the process is inside.
func sleeper(t *testing.T, command ...string) *exec.Cmd {
	t.Helper()
	process := exec.Command(command[0], append(command[1:], "sh", "-c", "echo; exec cat")...)
	input, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(process) })
	t.Cleanup(func() { input.Close() })
	if _, err := bufio.NewReader(output).ReadByte(); err != nil {
		t.Fatal(err)
	}
	return process
}

func end(process *exec.Cmd) {
	process.Process.Kill()
	process.Wait()
}

func pidfd(t *testing.T, process *exec.Cmd) int {
	t.Helper()
	const pidfdOpen = 434 // on every architecture
	fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(process.Process.Pid), 0, 0)
	if errno != 0 {
		t.Fatal("pidfd_open:", errno)
	}
	t.Cleanup(func() { syscall.Close(int(fd)) })
	return int(fd)
}

// hasCookies returns whether the kernel has cookies, without the library.
func hasCookies(t *testing.T) bool {
	t.Helper()
	file, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, ok := cookie(file)
	return ok
}

// ofHost returns whether this is root of the host, who can identify every namespace, and not of a user namespace.
func ofHost() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(ids))
	return err == nil && len(fields) == 3 && fields[2] == "4294967295" && os.Geteuid() == 0
}

// byCookie returns the error of a call that requires a cookie: the given one on kernels with cookies.
func byCookie(t *testing.T, wanted error) error {
	if hasCookies(t) {
		return wanted
	}
	return syscall.EOPNOTSUPP
}

// forSure returns the error of a call that only root of the host can make.
func forSure(t *testing.T, wanted error) error {
	if ofHost() {
		return byCookie(t, wanted)
	}
	return byCookie(t, syscall.EPERM)
}

// identity returns the result of a function, and ends the test if it failed.
func identity(netns nswatch.Netns, err error) func(t *testing.T) nswatch.Netns {
	return func(t *testing.T) nswatch.Netns {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return netns
	}
}

func TestEveryWayLeadsToTheSameIdentity(t *testing.T) {
	clean(t)
	ready := announced(t)
	ipNetns(t, "set", "blue", "5")
	process := sleeper(t, "ip", "netns", "exec", "blue")
	file, stat := opened(t, ready)
	number, _ := cookie(file)
	wanted := nswatch.Netns{Dev: uint64(stat.Dev), Ino: stat.Ino, Cookie: number}
	if number == 0 { // the stamp is not compared
		wanted.Stamp = ready.Netns.Stamp
	}
	if ready.Netns != wanted || ready.Path != "/run/netns/blue" {
		t.Errorf("%+v at %s, not %+v", ready.Netns, ready.Path, wanted)
	}
	var within nswatch.Netns
	if err := ready.Netns.Enter(ready.Path, func() (err error) {
		within, err = nswatch.NetnsForPID(syscall.Gettid())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	all := map[string]nswatch.Netns{
		"name":   identity(nswatch.NetnsForName("blue"))(t),
		"path":   identity(nswatch.NetnsForName("/run/netns/blue"))(t),
		"fd":     identity(nswatch.NetnsForFD(int(file.Fd())))(t),
		"pid":    identity(nswatch.NetnsForPID(process.Process.Pid))(t),
		"pidfd":  identity(nswatch.NetnsForPIDFD(pidfd(t, process)))(t),
		"proc":   identity(nswatch.NetnsForName(fmt.Sprintf("/proc/%d/ns/net", process.Process.Pid)))(t),
		"nsid":   identity(nswatch.NetnsForNSID(5))(t),
		"thread": within,
	}
	own := identity(nswatch.NetnsForPID(os.Getpid()))(t)
	keys := map[nswatch.Netns]string{ready.Netns: "blue", own: "own"}
	for way, netns := range all {
		if !netns.Same(ready.Netns) || !ready.Netns.Same(netns) || netns.Same(own) {
			t.Errorf("by %s it is %+v, not %+v", way, netns, ready.Netns)
		}
		if hasCookies(t) && (netns != ready.Netns || keys[netns] != "blue") {
			t.Errorf("by %s the numbers are %+v, not %+v", way, netns, ready.Netns)
		}
	}
	if text := fmt.Sprint(ready.Netns); text != fmt.Sprintf("net:[%d]", stat.Ino) {
		t.Error(text)
	}
}

func TestDeletedAndRecreated(t *testing.T) {
	clean(t)
	first := announced(t)
	file, err := first.Netns.Open(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	if netns := identity(nswatch.NetnsForFD(int(file.Fd())))(t); netns != first.Netns || file.Name() != first.Path {
		t.Errorf("%s is %+v, not %+v", file.Name(), netns, first.Netns)
	}
	file.Close()
	if file, err = first.Netns.Open(""); err == nil {
		if netns := identity(nswatch.NetnsForFD(int(file.Fd())))(t); netns != first.Netns {
			t.Errorf("by its cookie it is %+v, not %+v", netns, first.Netns)
		}
		file.Close()
	}
	is(t, err, byCookie(t, nil))

	ipNetns(t, "del", "blue")
	_, err = first.Netns.Open(first.Path)
	is(t, err, syscall.ENOENT)
	ipNetns(t, "add", "blue")
	second := identity(nswatch.NetnsForName("blue"))(t)
	if second == first.Netns || second.Same(first.Netns) {
		t.Errorf("%+v is %+v", second, first.Netns)
	}
	_, err = first.Netns.Open(first.Path)
	is(t, err, syscall.ESTALE)
	is(t, first.Netns.Enter(first.Path, func() error { return nil }), syscall.ESTALE)
	// the kernel removes it some time later
	until(t, "the end of the first namespace", func() bool { alive, _ := first.Netns.IsAlive(); return !alive })
	_, err = first.Netns.Open("")
	is(t, err, forSure(t, syscall.ENOENT))
	is(t, first.Netns.Enter("", func() error { return nil }), forSure(t, syscall.ENOENT))
}

// The kernel recycles inode numbers. A successor may have the same number, but never the same cookie or, without cookies, the
// same stamp.
func TestASuccessorWithTheSameInode(t *testing.T) {
	clean(t)
	ready := announced(t)
	// the change time of an inode has the resolution of a tick: make a successor in a later tick
	for made := madeAt(t, ready.Path); made == madeAt(t, ready.Path); {
		ipNetns(t, "del", "blue")
		ipNetns(t, "add", "blue")
	}
	// as if the kernel had recycled the number
	successor := identity(nswatch.NetnsForName("blue"))(t)
	ready.Netns.Ino = successor.Ino
	_, err := ready.OpenNetns()
	is(t, err, syscall.ESTALE)
	if ready.Netns.Same(successor) {
		t.Errorf("%+v is %+v", ready.Netns, successor)
	}
}

func TestASuccessorBehindASymbolicLink(t *testing.T) {
	clean(t)
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	process, other := sleeper(t, "unshare", "--net"), sleeper(t, "unshare", "--net")
	link := func(process *exec.Cmd) {
		t.Helper()
		os.Remove("/run/netns/blue")
		if err := os.Symlink(fmt.Sprintf("/proc/%d/ns/net", process.Process.Pid), "/run/netns/blue"); err != nil {
			t.Fatal(err)
		}
	}
	link(process)
	ready := expect(t, open(t), "created blue (replayed)", "ready blue (replayed)")
	// no mount pins the inode behind a link, so its change time does not identify the namespace
	if ready.Netns.Stamp != 0 {
		t.Errorf("%+v", ready.Netns)
	}
	file, err := ready.OpenNetns()
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	link(other)
	_, err = ready.OpenNetns()
	is(t, err, syscall.ESTALE)
}

func TestOpenComparesTheIdentity(t *testing.T) {
	clean(t)
	const own = "/proc/thread-self/ns/net"
	this := identity(nswatch.NetnsForName(own))(t)
	opens := func(netns nswatch.Netns) error {
		file, err := netns.Open(own)
		if err == nil {
			file.Close()
		}
		return err
	}
	is(t, opens(this), nil)
	without := nswatch.Netns{Dev: this.Dev, Ino: this.Ino}
	is(t, opens(without), nil)
	others := []nswatch.Netns{
		{Dev: without.Dev + 1, Ino: without.Ino},
		{Dev: without.Dev, Ino: without.Ino + 1},
	}
	if this.Cookie != 0 {
		others = append(others, nswatch.Netns{Dev: this.Dev, Ino: this.Ino, Cookie: this.Cookie + 1})
	}
	for _, other := range others {
		if err := opens(other); err == nil || other.Same(this) {
			t.Errorf("%+v is %+v: %v", other, this, err)
		} else {
			is(t, err, syscall.ESTALE)
		}
	}
}

func TestANamespaceWithoutANameDies(t *testing.T) {
	clean(t)
	process := sleeper(t, "unshare", "--net")
	netns := identity(nswatch.NetnsForPID(process.Process.Pid))(t)
	alive, err := netns.IsAlive()
	if is(t, err, byCookie(t, nil)); alive != (err == nil) {
		t.Errorf("a process is in it: %v", alive)
	}
	killed := time.Now()
	end(process)
	until(t, "its death", func() bool { alive, err = netns.IsAlive(); return !alive })
	t.Log("no longer alive", time.Since(killed), "after the kill of its last process")
	if is(t, err, forSure(t, nil)); alive {
		t.Error("it is alive again")
	}
	_, err = netns.Open("")
	is(t, err, forSure(t, syscall.ENOENT))
}

// Without the privilege the kernel returns the same error for dead and for living namespaces.
func TestIdentityWithoutPrivileges(t *testing.T) {
	clean(t)
	ready := announced(t)
	process := sleeper(t, "unshare", "--net")
	gone := identity(nswatch.NetnsForPID(process.Process.Pid))(t)
	end(process)
	unprivileged(t, func() {
		for name, netns := range map[string]nswatch.Netns{"living": ready.Netns, "dead": gone} {
			alive, err := netns.IsAlive()
			if alive || !errors.Is(err, byCookie(t, syscall.EPERM)) {
				t.Errorf("the %s one: %v, %v", name, alive, err)
			} else if hasCookies(t) && !strings.Contains(err.Error(), netns.String()+": operation not permitted") {
				t.Error(err)
			}
			if file, err := netns.Open(""); !errors.Is(err, byCookie(t, syscall.EPERM)) {
				t.Errorf("the %s one: %v, %v", name, file, err)
			}
		}
		file, err := ready.Netns.Open(ready.Path)
		if err != nil {
			t.Error("opening by path requires no privilege:", err)
			return
		}
		file.Close()
	})
}

func TestWhyANameIsNotUsable(t *testing.T) {
	clean(t)
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(path string) error{
		"waits":  func(path string) error { return os.WriteFile(path, nil, 0) },
		"fifo":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"dangle": func(path string) error { return os.Symlink("/nowhere", path) },
		"circle": func(path string) error { return os.Symlink(path, path) },
	} {
		if err := make("/run/netns/" + name); err != nil {
			t.Fatal(err)
		}
	}
	for name, wanted := range map[string]syscall.Errno{
		"waits": syscall.ENODEV, "fifo": syscall.ENODEV, "dangle": syscall.ENOENT, "circle": syscall.ELOOP,
		"red": syscall.ENOENT, "": syscall.EINVAL, "../netns/waits": syscall.EINVAL, "red\x00": syscall.EINVAL,
		"/run/netns/waits/red": syscall.ENOTDIR, "/proc/self/ns/uts": syscall.EPROTOTYPE,
	} {
		netns, err := nswatch.NetnsForName(name)
		if !errors.Is(err, wanted) || netns != (nswatch.Netns{}) {
			t.Errorf("%q: %+v, %v; not %v", name, netns, err, wanted)
		}
		if _, err := nswatch.NSIDForName(name); !errors.Is(err, wanted) {
			t.Errorf("the nsid of %q: %v, not %v", name, err, wanted)
		}
	}
	_, err := nswatch.NetnsForName("red")
	is(t, err, fs.ErrNotExist)
	if text := err.Error(); !strings.HasPrefix(text, "nswatch: cannot identify the namespace of red: no such file") {
		t.Error(text)
	}
}

func TestArgumentsWithoutANamespace(t *testing.T) {
	clean(t)
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	uts, err := os.Open("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	defer uts.Close()
	process := sleeper(t, "unshare", "--net")
	gone := pidfd(t, process)
	end(process)
	const beyond = 1 << 32
	for what, c := range map[string]struct {
		ask    func(int) (nswatch.Netns, error)
		number int
		wanted syscall.Errno
	}{
		"a pipe":                      {nswatch.NetnsForFD, pipe[0], syscall.EINVAL},
		"another kind":                {nswatch.NetnsForFD, int(uts.Fd()), syscall.EPROTOTYPE},
		"no descriptor":               {nswatch.NetnsForFD, -1, syscall.EBADF},
		"a descriptor beyond C's":     {nswatch.NetnsForFD, beyond, syscall.EBADF},
		"process 0":                   {nswatch.NetnsForPID, 0, syscall.EINVAL},
		"a process that has ended":    {nswatch.NetnsForPID, process.Process.Pid, syscall.ESRCH},
		"a process beyond C's":        {nswatch.NetnsForPID, beyond + os.Getpid(), syscall.EINVAL},
		"no pidfd":                    {nswatch.NetnsForPIDFD, pipe[0], syscall.EBADF},
		"the pidfd of one that ended": {nswatch.NetnsForPIDFD, gone, syscall.ESRCH},
		"a pidfd beyond C's":          {nswatch.NetnsForPIDFD, beyond + gone, syscall.EBADF},
		"an unassigned nsid":          {nswatch.NetnsForNSID, 77, syscall.ENOENT},
		"no nsid":                     {nswatch.NetnsForNSID, nswatch.NotAssigned, syscall.EINVAL},
		"an nsid beyond C's":          {nswatch.NetnsForNSID, beyond, syscall.EINVAL},
	} {
		netns, err := c.ask(c.number)
		if !errors.Is(err, c.wanted) || netns != (nswatch.Netns{}) {
			t.Errorf("%s: %+v, %v; not %v", what, netns, err, c.wanted)
		}
	}
	syscall.Close(pipe[0])
	syscall.Close(pipe[1])

	_, err = nswatch.Netns{}.Open("")
	is(t, err, syscall.EOPNOTSUPP)
	_, err = nswatch.Netns{}.IsAlive()
	is(t, err, syscall.EOPNOTSUPP)
	_, err = nswatch.Netns{}.Open("/proc/self/ns/net\x00")
	is(t, err, syscall.EINVAL)
	_, err = nswatch.Netns{}.Open("/dev/null")
	is(t, err, syscall.ENOENT)
}

func TestPaths(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	watcher := open(t, nswatch.Dir(dir), nswatch.DirEvents())
	if event := expect(t, watcher, "dir_created (replayed)", "synced"); event.Path != "" || event.Netns != (nswatch.Netns{}) {
		t.Errorf("%+v", event)
	}
	if err := os.WriteFile(dir+"/\xff näme", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	event := expect(t, watcher, "created \xff näme")
	if event.Path != dir+"/\xff näme" || event.Netns != (nswatch.Netns{}) {
		t.Errorf("%+v", event)
	}
	if err := os.Remove(event.Path); err != nil {
		t.Fatal(err)
	}
	if gone := expect(t, watcher, "deleted \xff näme"); gone.Path != event.Path {
		t.Errorf("%+v", gone)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if event := expect(t, watcher, "dir_deleted"); event.Path != "" || event.Name != "" {
		t.Errorf("%+v", event)
	}
}
