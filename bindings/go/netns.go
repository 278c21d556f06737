package nswatch

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
	"github.com/nswatch/nswatch/bindings/go/internal/netns"
)

// A Netns is the identity of a network namespace: a plain value to keep, compare, send and use as the key of a map. It
// holds no descriptor and keeps nothing alive. It is valid on this host until the next reboot.
//
// From Linux 6.18 on, two values are equal (==) if and only if they are the same namespace, however you obtained them.
// Before, namespaces have no cookie: compare with Same, which uses what both have.
type Netns struct {
	Dev, Ino uint64 // st_dev and st_ino of the namespace's file; the kernel recycles inode numbers
	Cookie   uint64 // a number that the kernel never reuses, from Linux 6.18 on; 0 before
	Stamp    uint64 // without a cookie, for a name: distinguishes it from a later one with the same Ino; else 0
}

// NetnsForFD identifies an open network namespace. The file must stay open during the call; O_PATH suffices. The error is
// EBADF if it is not open, EINVAL if it is no namespace, EPROTOTYPE if it is a namespace of another kind, EOPNOTSUPP
// without /proc, EMFILE, ENFILE or ENOMEM if a limit is reached.
func NetnsForFD(fd int) (Netns, error) {
	return identify("file descriptor", fd, syscall.EBADF, func(n *capi.Netns) int { return capi.NetnsForFD(fd, n) })
}

// NetnsForPID identifies the network namespace of a process or thread. The error is ESRCH if there is no such process or
// it has ended, EACCES without ptrace access to it (requires its user, or CAP_SYS_PTRACE over it), EINVAL if pid is not
// positive; otherwise as for NetnsForFD. The kernel may reuse a pid before this call; NetnsForPIDFD excludes that.
func NetnsForPID(pid int) (Netns, error) {
	return identify("process", pid, syscall.EINVAL, func(n *capi.Netns) int { return capi.NetnsForPID(int32(pid), n) })
}

// NetnsForPIDFD identifies the network namespace of the process of a pidfd, see pidfd_open(2). The error is
// EBADF if it is no pidfd; otherwise as for NetnsForPID.
func NetnsForPIDFD(pidfd int) (Netns, error) {
	return identify("pidfd", pidfd, syscall.EBADF, func(n *capi.Netns) int { return capi.NetnsForPIDFD(pidfd, n) })
}

// NetnsForNSID identifies the network namespace that has an nsid here. It searches all namespaces that the library can see:
// those with a name or another mount, those of processes, and from Linux 6.19 on all others, given the privilege. Each
// costs some system calls. The error is ENOENT if no namespace has the nsid or the library cannot see it, EINVAL if nsid is
// negative, ENOBUFS if a limit is reached, EAGAIN if a namespace kept leaving its places: call
// again; otherwise as for NetnsForFD.
func NetnsForNSID(nsid int) (Netns, error) {
	return identify("nsid", nsid, syscall.EINVAL, func(n *capi.Netns) int { return capi.NetnsForNSID(int32(nsid), n) })
}

// identify asks C by a number; beyond is the error for a number that does not fit into C's type.
func identify(what string, number int, beyond syscall.Errno, ask func(*capi.Netns) int) (Netns, error) {
	var found capi.Netns
	rc := -int(beyond)
	if fits(number) {
		rc = ask(&found)
	}
	if rc < 0 {
		return Netns{}, check(fmt.Sprintf("identify the namespace of %s %d", what, number), "", rc)
	}
	return Netns(found), nil
}

// NetnsForName identifies a named network namespace. A name with a '/' in it is a path; others are in DefaultDir.
//
// The error states why a name is not usable: ENOENT if it does not exist or is a dangling symbolic link, ENODEV if no
// network namespace is mounted on the file (yet), EPROTOTYPE if it is a namespace of another kind, EINVAL if the name is
// empty or has ".." as a component, EACCES, ELOOP, ENOTDIR and ENAMETOOLONG as in open(2); otherwise as for NetnsForFD.
func NetnsForName(name string) (Netns, error) {
	const op = "identify the namespace of"
	if strings.IndexByte(name, 0) >= 0 {
		return Netns{}, &Error{Op: op, Path: name, Errno: syscall.EINVAL}
	}
	var found capi.Netns
	err := check(op, name, capi.NetnsForName(name, &found))
	return Netns(found), err
}

// Open opens exactly this namespace: by a path that may lead to it, as Event.Path, or with path "" by its cookie alone. The
// file keeps the namespace alive until you close it. The path is resolved in the mount namespace of the goroutine's thread.
//
// The error is ENOENT if the namespace is dead or the path does not lead to a network namespace, ESTALE if the path leads
// to another one, EACCES if a directory on the path may not be searched. Without a path it is EPERM if CAP_SYS_ADMIN is
// missing, over the namespace to open a living one, in the initial user and pid namespaces to be sure that it is dead; and
// EOPNOTSUPP if the value has no cookie (before Linux 6.18). EMFILE, ENFILE, ENOMEM: a limit is reached.
//
// From Linux 7.0 on, the kernel does not find a namespace that only sockets keep by its cookie: ENOENT.
func (n Netns) Open(path string) (*os.File, error) {
	const op = "open the namespace"
	name := path
	if path == "" {
		name = n.String()
	}
	if strings.IndexByte(path, 0) >= 0 {
		return nil, &Error{Op: op, Path: path, Errno: syscall.EINVAL}
	}
	raw := capi.Netns(n)
	fd := capi.NetnsOpen(&raw, path)
	if fd < 0 {
		return nil, check(op, name, fd)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// IsAlive returns whether the namespace is alive: a process, a mount, a descriptor or a socket keeps it. False without an
// error is certain.
//
// The error is EPERM if CAP_SYS_ADMIN is missing, EOPNOTSUPP if the value has no cookie (before Linux 6.18) or a filter
// forbids open_by_handle_at(2), EMFILE, ENFILE or ENOMEM if a limit is reached.
//
// From Linux 7.0 on, a namespace that only sockets keep counts as dead.
func (n Netns) IsAlive() (bool, error) {
	raw := capi.Netns(n)
	rc := capi.NetnsIsAlive(&raw)
	if rc < 0 {
		return false, check("look for the namespace", n.String(), rc)
	}
	return rc == 1, nil
}

// Same returns whether two values are the same namespace: by cookie if both have one; else by device and inode, and by the
// stamps if both have one. From Linux 6.18 on, == compares the same.
//
// Without cgo it asks the nswatch command if the values differ, and panics if it cannot.
func (n Netns) Same(other Netns) bool {
	a, b := capi.Netns(n), capi.Netns(other)
	rc := capi.NetnsSame(&a, &b)
	if rc < 0 {
		// a wrong answer would be worse
		panic(check("compare network namespaces", "", rc))
	}
	return rc == 1
}

// Enter calls a function inside the namespace, waits for it, and returns its error. The path is that of Open. If it cannot
// enter, the error is that of Open, or EPERM: Enter requires CAP_SYS_ADMIN in the caller's user namespace and in the one that
// owns the network namespace.
//
// The function runs in a goroutine of its own, on a thread of its own that ends with it. Its sockets and processes are in the
// namespace, but goroutines that it starts are not. If it panics, the program ends: the caller cannot recover.
func (n Netns) Enter(path string, do func() error) error {
	file, err := n.Open(path)
	if err != nil {
		return err
	}
	return enter(file, do)
}

// enter calls a function in an open namespace, and closes the file.
func enter(file *os.File, do func() error) error {
	defer file.Close()
	failure, refused := netns.Do(int(file.Fd()), do)
	if refused != nil {
		return refusal(file.Name(), refused)
	}
	return failure
}

// refusal returns the error of a failed setns.
func refusal(name string, err error) error {
	const op, needs = "enter the network namespace", "CAP_SYS_ADMIN is missing, in your user namespace or in the one that " +
		"owns the network namespace; or a seccomp filter refuses setns(2)"
	if err == syscall.EPERM {
		return &Error{Op: op, Path: name, Errno: syscall.EPERM, Text: "cannot " + op + " " + Printable(name) + ": " + needs}
	}
	return wrap(op, name, err)
}

// String returns the form of /proc and other tools: "net:[4026531840]".
func (n Netns) String() string { return fmt.Sprintf("net:[%d]", n.Ino) }
