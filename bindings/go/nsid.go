package nswatch

import (
	"fmt"
	"math"
	"strings"
	"syscall"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// NSIDForPID asks for the id that the network namespace of a process has here: NotAssigned if it has none. The error is
// ESRCH if there is no such process, EINVAL if pid is not positive.
func NSIDForPID(pid int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of process %d", pid)
	if !fits(pid) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EINVAL}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetForPID(int32(pid), nsid) })
}

// NSIDForFD asks for the id that an open network namespace has here: NotAssigned if it has none. The error is EBADF, or
// EINVAL if it is not a network namespace. The file must stay open during the call.
func NSIDForFD(fd int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of file descriptor %d", fd)
	if !fits(fd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetForFD(fd, nsid) })
}

// NSIDForName asks for the id that a named network namespace has here: NotAssigned if it has none. A name with a '/' in
// it is a path; others are in DefaultDir. The error is as for NetnsForName.
func NSIDForName(name string) (int, error) {
	const op = "ask for the nsid of"
	if strings.IndexByte(name, 0) >= 0 {
		return NotAssigned, &Error{Op: op, Path: name, Errno: syscall.EINVAL}
	}
	return ask(op, name, func(nsid *int32) int { return capi.NSIDGetForName(name, nsid) })
}

// NSIDForPIDFD asks for the id that the network namespace of the process behind a pidfd has here, see pidfd_open(2):
// NotAssigned if it has none. The error is as for NetnsForPIDFD.
func NSIDForPIDFD(pidfd int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of pidfd %d", pidfd)
	if !fits(pidfd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetForPIDFD(pidfd, nsid) })
}

// NSIDAsSeenFrom asks for the id that one open network namespace has in another one, whatever namespace the calling
// goroutine's thread is in: NotAssigned if it has none there. The id counts in where, and fd has it. Both files must
// stay open during the call.
//
// The error is EBADF if one is not open, EINVAL if one is not of a namespace, EPROTOTYPE if where is of a namespace of
// another kind. It is EPERM if where is another namespace than the thread's and the privilege to ask there is missing:
// CAP_NET_ADMIN over it if it has an id here, else CAP_SYS_ADMIN here and over it. EAGAIN: RLIMIT_NPROC prevents
// starting the thread that asks there and ends with the call. EOPNOTSUPP: /proc is not mounted.
func NSIDAsSeenFrom(where, fd int) (int, error) {
	op := fmt.Sprintf("ask file descriptor %d for the nsid of file descriptor %d", where, fd)
	if !fits(where) || !fits(fd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetAsSeenFrom(where, fd, nsid) })
}

// AssignNSID gives an open network namespace an id here, for as long as it lives, and tells which: the wanted one, or
// with NotAssigned the lowest that is free. The error is EEXIST if the namespace has an id here already or another one
// has the wanted id, EPERM without CAP_NET_ADMIN, EBADF, EINVAL.
func AssignNSID(fd, wanted int) (int, error) {
	const op = "assign an nsid"
	if !fits(wanted) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EINVAL}
	}
	if !fits(fd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDAssign(fd, int32(wanted), nsid) })
}

// TranslateNSID asks for the id here of the namespace that is called nsid in the peer which is called from here:
// NotAssigned if it has none here. The error is ENOENT if the peer has no such id, EINVAL if there is no such peer,
// EACCES without CAP_NET_ADMIN over it.
func TranslateNSID(nsid, from int) (int, error) {
	op := fmt.Sprintf("translate nsid %d of the peer %d", nsid, from)
	if !fits(nsid) || !fits(from) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EINVAL}
	}
	return ask(op, "", func(result *int32) int { return capi.NSIDTranslate(int32(nsid), int32(from), result) })
}

// ListNSIDs lists the ids that are assigned here, in ascending order. EOVERFLOW: the list would not be complete,
// for there are more than the kernel lists, and far apart.
func ListNSIDs() ([]int, error) {
	for room := 64; ; {
		found := make([]int32, room)
		var count int
		if err := check("list nsids", "", capi.NSIDList(found, &count)); err != nil {
			return nil, err
		}
		if count > room {
			// with some to spare, since more may come in between
			room = count + count/8
			continue
		}
		nsids := make([]int, count)
		for i, nsid := range found[:count] {
			nsids[i] = int(nsid)
		}
		return nsids, nil
	}
}

// fits tells whether C can be asked about a number. Its numbers have 32 bits, an int may have more.
func fits(number int) bool { return number >= math.MinInt32 && number <= math.MaxInt32 }

func ask(op, path string, question func(*int32) int) (int, error) {
	nsid := int32(NotAssigned)
	err := check(op, path, question(&nsid))
	return int(nsid), err
}
