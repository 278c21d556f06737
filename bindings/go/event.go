package nswatch

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
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
	Path     string // where the name is: the watched directory, '/' and the name
	Netns    Netns  // which namespace it is, for Ready

	NSID   int    // the id, for NSIDNew and NSIDDel
	Origin int    // the id of the namespace that it happened in, for the same with AllNSID; NotAssigned: here
	PortID uint32 // the netlink port of who asked for the id, for an NSIDNew that was explicitly asked for

	Dropped uint64 // how many events were lost, for Overflow; 0: the kernel did not say, or ids may be missing

	// Monotonic is when the library learned of it: CLOCK_MONOTONIC, the time since boot without that of suspension.
	// Compare and subtract these; for a time of day there is Time.
	Monotonic time.Duration
}

// Time is when the library learned of it, by the clock on the wall as it is set now. It has a monotonic reading too, so
// that time.Since is right whatever is done to that clock.
func (e Event) Time() time.Time {
	const clockMonotonic = 1
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return time.Now().Add(e.Monotonic - time.Duration(now.Nano()))
}

// String is a line for people, as `ready blue net:[4026532177] (existing)`. The name is Printable.
func (e Event) String() string {
	var text strings.Builder
	text.WriteString(e.Type.String())
	if e.Name != "" {
		text.WriteString(" " + Printable(e.Name))
	}
	switch e.Type {
	case Ready:
		text.WriteString(" " + e.Netns.String())
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

// OpenNetns opens exactly the namespace that a Ready announced: Netns.Open with Path. The file keeps the namespace alive
// until you close it; the event holds none, since an open file would keep the namespace alive.
//
// The error is ENOENT if the name is gone or no longer refers to a network namespace, ESTALE if it refers to another one
// by now, EINVAL if the event is not a Ready; otherwise as for Netns.Open.
func (e Event) OpenNetns() (*os.File, error) {
	if err := e.hasNetns(); err != nil {
		return nil, err
	}
	return e.Netns.Open(e.Path)
}

// Enter calls a function inside the namespace that a Ready announced: Netns.Enter with Path. The error is that of the
// function, or as for OpenNetns, or EPERM without CAP_SYS_ADMIN.
func (e Event) Enter(do func() error) error {
	if err := e.hasNetns(); err != nil {
		return err
	}
	return e.Netns.Enter(e.Path, do)
}

// hasNetns is EINVAL for an event that announced no namespace.
func (e Event) hasNetns() error {
	if e.Netns == (Netns{}) {
		return &Error{Op: "open the namespace of an event that has none", Path: e.Path, Errno: syscall.EINVAL}
	}
	return nil
}
