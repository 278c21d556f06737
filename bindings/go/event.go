package nswatch

import (
	"fmt"
	"os"
	"strings"
	"time"

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
	NetnsNew   EventType = capi.EventNetnsNew   // a network namespace exists, with or without a name
	NetnsDel   EventType = capi.EventNetnsDel   // the network namespace is gone
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
	Path     string // where the name is: the watched directory, '/' and the name; for NetnsNew see below
	Netns    Netns  // which namespace it is, for Ready, NetnsNew and NetnsDel

	// PID, for NetnsNew, is a process or thread that was in the namespace when the watcher found it, and may have ended
	// since; 0: none is known. Path is one by which the namespace could be opened then, "" if there was none.
	PID int

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
	now := monotonic()
	return time.Now().Add(e.Monotonic - now)
}

// String is a line for people, as `ready blue net:[4026532177] (existing)`. Name and path are Printable.
func (e Event) String() string {
	var text strings.Builder
	text.WriteString(e.Type.String())
	if e.Name != "" {
		text.WriteString(" " + Printable(e.Name))
	}
	switch e.Type {
	case Ready, NetnsNew, NetnsDel:
		text.WriteString(" " + e.Netns.String())
		if e.Type == NetnsNew && e.Path != "" {
			text.WriteString(" " + Printable(e.Path))
		}
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

// OpenNetns opens exactly the namespace that a Ready or a NetnsNew announced: Netns.Open with Path; where that fails for a
// NetnsNew, without a path, by its cookie (Linux 6.18, CAP_SYS_ADMIN). The file keeps the namespace alive until you close
// it; the event holds none, since an open file would keep the namespace alive.
//
// The error is ENOENT if what was at the path is gone or is no network namespace any more, ESTALE if the path leads to
// another one by now, EINVAL if the event is neither; otherwise as for Netns.Open.
func (e Event) OpenNetns() (*os.File, error) {
	if e.Netns == (Netns{}) || e.Type == NetnsDel {
		return nil, invalid("open the network namespace", "", "the event announces none")
	}
	file, err := e.Netns.Open(e.Path)
	if err != nil && e.Type == NetnsNew && e.Path != "" {
		// it may have moved on from where it was found
		if file, failure := e.Netns.Open(""); failure == nil {
			return file, nil
		}
	}
	return file, err
}

// Enter calls a function inside the namespace that a Ready or a NetnsNew announced, as Netns.Enter does. The error is that
// of the function, or as for OpenNetns, or EPERM without CAP_SYS_ADMIN.
func (e Event) Enter(do func() error) error {
	file, err := e.OpenNetns()
	if err != nil {
		return err
	}
	return enter(file, do)
}
