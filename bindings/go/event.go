package nswatch

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// An EventType says what happened. Later versions may add types: ignore those that you do not know.
type EventType uint32

const (
	Created    EventType = capi.EventCreated    // a name appeared; it may not be a namespace yet
	Ready      EventType = capi.EventReady      // you can open the network namespace of the name
	Detached   EventType = capi.EventDetached   // the name still exists but no longer refers to a network namespace
	Deleted    EventType = capi.EventDeleted    // the name is gone
	DirCreated EventType = capi.EventDirCreated // the watched directory appeared
	DirDeleted EventType = capi.EventDirDeleted // the watched directory disappeared
	NSIDNew    EventType = capi.EventNSIDNew    // the kernel assigned an nsid to a peer namespace
	NSIDDel    EventType = capi.EventNSIDDel    // the namespace that had the nsid died
	Synced     EventType = capi.EventSynced     // the replay at Open, or the Resync, is complete
	Overflow   EventType = capi.EventOverflow   // events were lost; replayed events with their net effect follow, then Synced
	NetnsNew   EventType = capi.EventNetnsNew   // a network namespace exists, with or without a name
	NetnsDel   EventType = capi.EventNetnsDel   // a network namespace is gone
)

// String returns "created", "ready" and so on; "unknown" for a type without a name.
func (t EventType) String() string { return capi.EventTypeName(uint32(t)) }

// NotAssigned: no nsid assigned.
const NotAssigned = capi.NotAssigned

// An Event is a plain value: copy it and keep it. Fields that do not apply to its type are zero; NSID and Origin are
// NotAssigned.
type Event struct {
	Type     EventType
	Replayed bool   // whether it is a replayed event, at Open or by a Resync
	Name     string // any bytes but '/' and NUL, perhaps not UTF-8
	Path     string // of the name: the watched directory, '/' and the name; for NetnsNew see below
	Netns    Netns  // the identity of the namespace, for Ready, NetnsNew and NetnsDel

	// PID, for NetnsNew, is a process or thread that was in the namespace when the watcher found it. It may have ended
	// since; 0: none is known. Path is a path that led to the namespace then, "" if none did.
	PID int

	NSID   int    // the nsid, for NSIDNew and NSIDDel
	Origin int    // the nsid of the namespace in which it happened, for the same with AllNSID; NotAssigned: here
	PortID uint32 // the netlink port of the program that assigned the nsid explicitly, for NSIDNew

	Dropped uint64 // how many events were lost, for Overflow; 0: the kernel did not count them, or nsids may be missing

	// Monotonic is when the library noticed it: CLOCK_MONOTONIC, the time since boot without suspension. Compare and
	// subtract these; Time returns the time of day.
	Monotonic time.Duration
}

// Time returns when the library noticed it, by the wall clock as it is set now. The value has a monotonic reading too, so
// time.Since is right even if the wall clock is changed.
func (e Event) Time() time.Time {
	now := monotonic()
	return time.Now().Add(e.Monotonic - now)
}

// String returns one line for people, as `ready blue net:[4026532177] (replayed)`. Name and path are Printable.
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
		text.WriteString(" (replayed)")
	}
	return text.String()
}

// OpenNetns opens exactly the namespace that a Ready or a NetnsNew announced: by Path, and if that fails for a NetnsNew, by
// its cookie (requires Linux 6.18 and CAP_SYS_ADMIN). The file keeps the namespace alive until you close it. The event holds
// no file, since that would keep the namespace alive.
//
// The error is ENOENT if the path no longer leads to a network namespace, ESTALE if it leads to another one, EINVAL if the
// event is neither; otherwise as for Netns.Open.
func (e Event) OpenNetns() (*os.File, error) {
	if e.Netns == (Netns{}) || e.Type == NetnsDel {
		return nil, invalid("open the network namespace", "", "the event announces none")
	}
	file, err := e.Netns.Open(e.Path)
	if err != nil && e.Type == NetnsNew && e.Path != "" {
		// the namespace may have left the path
		if file, failure := e.Netns.Open(""); failure == nil {
			return file, nil
		}
	}
	return file, err
}

// Enter calls a function inside the namespace that a Ready or a NetnsNew announced, as Netns.Enter. The error is that of the
// function, or as for OpenNetns, or EPERM without CAP_SYS_ADMIN.
func (e Event) Enter(do func() error) error {
	file, err := e.OpenNetns()
	if err != nil {
		return err
	}
	return enter(file, do)
}
