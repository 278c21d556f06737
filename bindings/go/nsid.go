package nswatch

import (
	"fmt"
	"math"
	"strings"
	"syscall"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// NSIDForPID returns the nsid that the network namespace of a process has here: NotAssigned if it has none. The error is
// ESRCH if there is no such process, EINVAL if pid is not positive.
func NSIDForPID(pid int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of process %d", pid)
	if !fits(pid) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EINVAL}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetForPID(int32(pid), nsid) })
}

// NSIDForFD returns the nsid that an open network namespace has here: NotAssigned if it has none. The error is EBADF, or
// EINVAL if it is not a network namespace. The file must stay open during the call.
func NSIDForFD(fd int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of file descriptor %d", fd)
	if !fits(fd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetForFD(fd, nsid) })
}

// NSIDForName returns the nsid that a named network namespace has here: NotAssigned if it has none. A name with a '/' in
// it is a path; others are in DefaultDir. The error is as for NetnsForName.
func NSIDForName(name string) (int, error) {
	const op = "ask for the nsid of"
	if strings.IndexByte(name, 0) >= 0 {
		return NotAssigned, &Error{Op: op, Path: name, Errno: syscall.EINVAL}
	}
	return ask(op, name, func(nsid *int32) int { return capi.NSIDGetForName(name, nsid) })
}

// NSIDForPIDFD returns the nsid that the network namespace of the process of a pidfd has here, see pidfd_open(2):
// NotAssigned if it has none. The error is as for NetnsForPIDFD.
func NSIDForPIDFD(pidfd int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of pidfd %d", pidfd)
	if !fits(pidfd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetForPIDFD(pidfd, nsid) })
}

// NSIDAsSeenFrom returns the nsid that the open network namespace fd has in the open network namespace where: NotAssigned if
// it has none there. The namespace of the calling goroutine's thread does not matter. Both files must stay open during the
// call.
//
// The error is EBADF if one is not open, EINVAL if one is not of a namespace, EPROTOTYPE if where is of a namespace of
// another kind. It is EPERM if where is not the namespace of the thread and a privilege is missing: CAP_NET_ADMIN over where
// if it has an nsid here, else CAP_SYS_ADMIN here and over it. EAGAIN: RLIMIT_NPROC prevents starting a thread inside where,
// which ends with the call. EOPNOTSUPP: /proc is not mounted.
func NSIDAsSeenFrom(where, fd int) (int, error) {
	op := fmt.Sprintf("ask for the nsid of file descriptor %d as seen from file descriptor %d", fd, where)
	if !fits(where) || !fits(fd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDGetAsSeenFrom(where, fd, nsid) })
}

// AssignNSID assigns an nsid here to an open network namespace, for as long as it lives, and returns the nsid: the wanted
// one, or with NotAssigned the lowest free one. The error is EEXIST if the namespace has an nsid here already or another one
// has the wanted nsid, EPERM without CAP_NET_ADMIN, EBADF, EINVAL.
func AssignNSID(fd, wanted int) (int, error) {
	op := fmt.Sprintf("assign an nsid to file descriptor %d", fd)
	if !fits(wanted) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EINVAL}
	}
	if !fits(fd) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EBADF}
	}
	return ask(op, "", func(nsid *int32) int { return capi.NSIDAssign(fd, int32(wanted), nsid) })
}

// TranslateNSID returns the nsid here of a namespace given by its nsid in a peer, where from is the nsid of the peer here:
// NotAssigned if it has none here. The error is ENOENT if the peer has no such nsid, EINVAL if there is no such peer, EACCES
// without CAP_NET_ADMIN over it.
func TranslateNSID(nsid, from int) (int, error) {
	op := fmt.Sprintf("translate nsid %d of the peer %d", nsid, from)
	if !fits(nsid) || !fits(from) {
		return NotAssigned, &Error{Op: op, Errno: syscall.EINVAL}
	}
	return ask(op, "", func(result *int32) int { return capi.NSIDTranslate(int32(nsid), int32(from), result) })
}

// ListNSIDs returns the nsids assigned here, in ascending order. EOVERFLOW: the list would be incomplete: there are more than
// the kernel lists, and far apart.
func ListNSIDs() ([]int, error) {
	for room := 64; ; {
		found := make([]int32, room)
		var count int
		if err := check("list nsids", "", capi.NSIDList(found, &count)); err != nil {
			return nil, err
		}
		if count > room {
			// spare room, since more may appear meanwhile
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

// fits returns whether a number fits into C's int of 32 bits.
func fits(number int) bool { return number >= math.MinInt32 && number <= math.MaxInt32 }

func ask(op, path string, question func(*int32) int) (int, error) {
	nsid := int32(NotAssigned)
	err := check(op, path, question(&nsid))
	return int(nsid), err
}
