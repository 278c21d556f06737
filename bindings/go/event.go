package nswatch

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
	"github.com/nswatch/nswatch/bindings/go/internal/netns"
)

// An EventType says what happened. Types may be added in later versions: ignore those that you do not know.
type EventType uint32

const (
	Created    EventType = capi.EventCreated    // a name appeared; it may not be a namespace yet
	Ready      EventType = capi.EventReady      // the name now refers to a network namespace that can be opened
	Detached   EventType = capi.EventDetached   // the name is still there but refers to no network namespace any more
	Deleted    EventType = capi.EventDeleted    // the name is gone
	DirCreated EventType = capi.EventDirCreated // the watched directory came
	DirDeleted EventType = capi.EventDirDeleted // the watched directory went
	NSIDNew    EventType = capi.EventNSIDNew    // an id was assigned to a peer namespace
	NSIDDel    EventType = capi.EventNSIDDel    // the namespace that had the id died
	Synced     EventType = capi.EventSynced     // what was replayed, at Open or by a Resync, is complete
	Overflow   EventType = capi.EventOverflow   // events were lost; what they did follows as replayed events, then Synced
)

// String is "created", "ready" and so on; "unknown" for a number that is no type.
func (t EventType) String() string { return capi.EventTypeName(uint32(t)) }

// NotAssigned is what an nsid is where there is none.
const NotAssigned = capi.NotAssigned

// An Event is a plain value: copy it and keep it as you like. What does not apply to its type is zero; NSID and Origin
// are NotAssigned.
type Event struct {
	Type     EventType
	Replayed bool   // existing state, told at Open or by a Resync
	Name     string // any bytes but '/' and NUL, perhaps not UTF-8

	// Which namespace it is, for Ready. The kernel recycles inode numbers: a later namespace may have the same.
	Dev, Ino uint64
	// Cookie is the number that the kernel never reuses, for Ready on Linux 6.18 and later; else 0.
	Cookie uint64

	NSID   int    // the id, for NSIDNew and NSIDDel
	Origin int    // the id of the namespace that it happened in, for the same with AllNSID; NotAssigned: here
	PortID uint32 // the netlink port of who asked for the id, for an NSIDNew that was explicitly asked for

	Dropped uint64 // how many events were lost, for Overflow; 0: the kernel did not say

	// Monotonic is when the library learned of it: CLOCK_MONOTONIC, the time since boot without that of suspension.
	// Compare and subtract these; for a time of day there is Time.
	Monotonic time.Duration

	dir   string // where the name is
	stamp int64  // which namespace it is, where there is no Cookie: see netns.Identity
}

// event copies what C lends.
func event(e *capi.Event) Event {
	return Event{
		Type:      EventType(capi.EventType(e)),
		Replayed:  capi.EventFlags(e)&capi.EventReplayed != 0,
		Name:      capi.EventName(e),
		Dev:       capi.EventDev(e),
		Ino:       capi.EventIno(e),
		Cookie:    capi.EventCookie(e),
		NSID:      capi.EventNSID(e),
		Origin:    capi.EventOrigin(e),
		PortID:    capi.EventPortID(e),
		Dropped:   capi.EventDropped(e),
		Monotonic: time.Duration(capi.EventTimeNS(e)),
	}
}

// Time is when the library learned of it, by the clock on the wall as it is set now. It has a monotonic reading too, so
// that time.Since is right whatever is done to that clock.
func (e Event) Time() time.Time {
	const clockMonotonic = 1
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return time.Now().Add(e.Monotonic - time.Duration(now.Nano()))
}

// String is a line for people, as `ready blue net:[4026532177] (existing)`.
func (e Event) String() string {
	var text strings.Builder
	text.WriteString(e.Type.String())
	if e.Name != "" {
		text.WriteString(" " + e.Name)
	}
	switch e.Type {
	case Ready:
		fmt.Fprintf(&text, " net:[%d]", e.Ino)
	case NSIDNew, NSIDDel:
		fmt.Fprintf(&text, " %d", e.NSID)
		if e.Origin != NotAssigned {
			fmt.Fprintf(&text, " in %d", e.Origin)
		}
	}
	if e.Replayed {
		text.WriteString(" (existing)")
	}
	return text.String()
}

// OpenNetns opens the very namespace that a Ready announced. The file keeps the namespace alive until it is closed.
//
// It is found by its name again, since an open file in the event would keep the namespace alive. The error is ENOENT
// if the name is gone or no longer refers to a network namespace, ESTALE if it refers to another one by now, EINVAL if
// the event is not a Ready. Otherwise as open(2). The path is resolved in the mount namespace of the goroutine's thread.
//
// Before Linux 6.18, namespaces have no number that is never used again. There they are told apart by inode number and
// by the time at which the kernel made the inode; behind names that are symbolic links by inode number alone, which the
// kernel recycles.
func (e Event) OpenNetns() (*os.File, error) {
	const op = "open the namespace"
	if e.Type != Ready || e.dir == "" {
		return nil, &Error{Op: op, Path: e.Name, Errno: syscall.EINVAL}
	}
	path := e.path()
	fd, err := netns.Open(path, netns.Identity{Dev: e.Dev, Ino: e.Ino, ID: e.Cookie, Stamp: e.stamp})
	if err != nil {
		return nil, wrap(op, path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (e Event) path() string { return e.dir + "/" + e.Name }

// Enter calls a function inside the namespace that a Ready announced, waits for it, and answers what it answers; or
// what keeps it from getting there: as OpenNetns, and EPERM without CAP_SYS_ADMIN.
//
// The function runs in a goroutine of its own, on a thread that nobody else uses and that ends with it: sockets that it
// makes and processes that it starts are in the namespace. Goroutines that it starts are not. If it panics, so does the
// program: no recover of the caller's sees it.
func (e Event) Enter(do func() error) error {
	file, err := e.OpenNetns()
	if err != nil {
		return err
	}
	defer file.Close()
	failure, refused := netns.Do(int(file.Fd()), do)
	if refused != nil {
		return wrap("enter the namespace", file.Name(), refused)
	}
	return failure
}
