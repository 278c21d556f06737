//go:build !linux || !cgo || nswatch_command

package capi

import "time"

// Netns is struct nsw_netns.
type Netns struct {
	Dev, Ino, Cookie, Stamp uint64
}

// The constants of nswatch.h; a test compares them with the header.
const (
	SourceNamed = 1
	SourceNSID  = 2
	SourceAll   = 3

	EventCreated    = 1
	EventReady      = 2
	EventDetached   = 3
	EventDeleted    = 4
	EventDirCreated = 5
	EventDirDeleted = 6
	EventNSIDNew    = 7
	EventNSIDDel    = 8
	EventSynced     = 9
	EventOverflow   = 10
	EventNetnsNew   = 11
	EventNetnsDel   = 12

	EventReplayed = 0x1

	NoReplay      = 0x1
	NoParent      = 0x2
	DirEvents     = 0x4
	MountEvents   = 0x8
	AllNSID       = 0x10
	NoMountEvents = 0x20
	NoSymlinks    = 0x40
	Prepare       = 0x80

	QueueBlock      = 1
	QueueDropNewest = 2
	QueueDropOldest = 3

	StatDelivered = 1
	StatDropped   = 2
	StatOverflows = 3
	StatResyncs   = 4
	StatQueued    = 5
	StatQueuedMax = 6
	StatPending   = 7
	StatKnown     = 8

	FeatureMountEvents = 1
	FeatureMountPoll   = 2
	FeatureCookie      = 3
	FeatureMountID     = 4
	FeatureNSHandles   = 5
	FeatureStatmount   = 6
	FeatureTargetNSID  = 8
	FeatureAllNSID     = 9
	FeatureListNS      = 10
	FeatureBirths      = 11
	FeatureDeaths      = 12

	NotAssigned = -1

	VersionMajor = 0
	VersionMinor = 1
	VersionPatch = 0
)

// The names of the event types, by number.
var typeNames = [...]string{
	"unknown", "created", "ready", "detached", "deleted", "dir_created", "dir_deleted", "nsid_new", "nsid_del", "synced",
	"overflow", "netns_new", "netns_del",
}

func EventTypeName(t uint32) string {
	if t >= uint32(len(typeNames)) {
		return typeNames[0]
	}
	return typeNames[t]
}

// Event is an event as in an answer.
type Event struct {
	kind, flags  uint32
	time         time.Duration
	name, path   string
	netns        Netns
	nsid, origin int
	pid          int
	portid       uint32
	dropped      uint64
}

func EventType(e *Event) uint32 { return e.kind }

func EventFlags(e *Event) uint32 { return e.flags }

func EventTimeNS(e *Event) uint64 { return uint64(e.time) }

func EventNameLen(e *Event) int { return len(e.name) }

func EventPath(e *Event) string { return e.path }

func EventNSID(e *Event) int { return e.nsid }

func EventPID(e *Event) int { return e.pid }

func EventOrigin(e *Event) int { return e.origin }

func EventPortID(e *Event) uint32 { return e.portid }

func EventDropped(e *Event) uint64 { return e.dropped }

func EventNetns(e *Event, netns *Netns) int {
	*netns = e.netns
	return 0
}
