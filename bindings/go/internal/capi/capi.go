//go:build cgo && linux && !nswatch_command

// Package capi is nswatch.h in Go: one function for each C function, with the same contract, and nothing else. A test
// compares this file with the header.
package capi

/*
#cgo pkg-config: nswatch
#include <nswatch.h>
#include <stdlib.h>
*/
import "C"

import "unsafe"

// The handles of C, borrowed or owned as nswatch.h says. Go's garbage collector does not free them.
type (
	Watcher C.nsw_watcher
	Options C.nsw_options
	Event   C.nsw_event
)

// Netns is the one public struct of C: struct nsw_netns.
type Netns struct {
	Dev, Ino, Cookie, Stamp uint64
}

// The constants, with the values of the header at compile time.
const (
	SourceNamed = C.NSW_SOURCE_NAMED
	SourceNSID  = C.NSW_SOURCE_NSID
	SourceAll   = C.NSW_SOURCE_ALL

	EventCreated    = C.NSW_EVENT_CREATED
	EventReady      = C.NSW_EVENT_READY
	EventDetached   = C.NSW_EVENT_DETACHED
	EventDeleted    = C.NSW_EVENT_DELETED
	EventDirCreated = C.NSW_EVENT_DIR_CREATED
	EventDirDeleted = C.NSW_EVENT_DIR_DELETED
	EventNSIDNew    = C.NSW_EVENT_NSID_NEW
	EventNSIDDel    = C.NSW_EVENT_NSID_DEL
	EventSynced     = C.NSW_EVENT_SYNCED
	EventOverflow   = C.NSW_EVENT_OVERFLOW
	EventNetnsNew   = C.NSW_EVENT_NETNS_NEW
	EventNetnsDel   = C.NSW_EVENT_NETNS_DEL

	EventReplayed = C.NSW_EVENT_REPLAYED

	NoReplay    = C.NSW_NO_REPLAY
	NoParent    = C.NSW_NO_PARENT
	DirEvents   = C.NSW_DIR_EVENTS
	MountEvents = C.NSW_MOUNT_EVENTS
	AllNSID     = C.NSW_ALL_NSID
	Prepare     = C.NSW_PREPARE

	NoMountEvents = C.NSW_NO_MOUNT_EVENTS
	NoSymlinks    = C.NSW_NO_SYMLINKS

	QueueBlock      = C.NSW_QUEUE_BLOCK
	QueueDropNewest = C.NSW_QUEUE_DROP_NEWEST
	QueueDropOldest = C.NSW_QUEUE_DROP_OLDEST

	StatDelivered = C.NSW_STAT_DELIVERED
	StatDropped   = C.NSW_STAT_DROPPED
	StatOverflows = C.NSW_STAT_OVERFLOWS
	StatResyncs   = C.NSW_STAT_RESYNCS
	StatQueued    = C.NSW_STAT_QUEUED
	StatQueuedMax = C.NSW_STAT_QUEUED_MAX
	StatPending   = C.NSW_STAT_PENDING
	StatKnown     = C.NSW_STAT_KNOWN

	FeatureMountEvents = C.NSW_FEATURE_MOUNT_EVENTS
	FeatureMountPoll   = C.NSW_FEATURE_MOUNT_POLL
	FeatureCookie      = C.NSW_FEATURE_COOKIE
	FeatureMountID     = C.NSW_FEATURE_MOUNT_ID
	FeatureNSHandles   = C.NSW_FEATURE_NS_HANDLES
	FeatureStatmount   = C.NSW_FEATURE_STATMOUNT
	FeatureTargetNSID  = C.NSW_FEATURE_TARGET_NSID
	FeatureAllNSID     = C.NSW_FEATURE_ALL_NSID
	FeatureListNS      = C.NSW_FEATURE_LISTNS
	FeatureBirths      = C.NSW_FEATURE_BIRTHS
	FeatureDeaths      = C.NSW_FEATURE_DEATHS

	NotAssigned = C.NSID_NOT_ASSIGNED

	VersionMajor = C.NSW_VERSION_MAJOR
	VersionMinor = C.NSW_VERSION_MINOR
	VersionPatch = C.NSW_VERSION_PATCH
)

// Watching

func Open(source uint32, options *Options, watcher **Watcher) int {
	var opened *C.nsw_watcher
	rc := C.nsw_open(C.uint32_t(source), (*C.nsw_options)(options), &opened)
	if rc == 0 {
		*watcher = (*Watcher)(opened)
	}
	return int(rc)
}

func Close(w *Watcher) { C.nsw_close((*C.nsw_watcher)(w)) }

func FD(w *Watcher) int { return int(C.nsw_fd((*C.nsw_watcher)(w))) }

func NextEvent(w *Watcher, event **Event) int {
	var next *C.nsw_event
	rc := C.nsw_next_event((*C.nsw_watcher)(w), &next)
	if rc == 1 {
		*event = (*Event)(next)
	}
	return int(rc)
}

// WaitEvent occupies an operating system thread while it waits. Package nswatch does not use it.
func WaitEvent(w *Watcher, timeoutMS int, event **Event) int {
	var next *C.nsw_event
	rc := C.nsw_wait_event((*C.nsw_watcher)(w), C.int(timeoutMS), &next)
	if rc == 1 {
		*event = (*Event)(next)
	}
	return int(rc)
}

func Resync(w *Watcher) int { return int(C.nsw_resync((*C.nsw_watcher)(w))) }

func OpenNetns(w *Watcher, event *Event) int {
	return int(C.nsw_open_netns((*C.nsw_watcher)(w), (*C.nsw_event)(event)))
}

func Stat(w *Watcher, which uint32) uint64 {
	return uint64(C.nsw_stat((*C.nsw_watcher)(w), C.uint32_t(which)))
}

// Error copies the sentence.
func Error(w *Watcher) string { return C.GoString(C.nsw_error((*C.nsw_watcher)(w))) }

// Events

func EventType(e *Event) uint32 { return uint32(C.nsw_event_type((*C.nsw_event)(e))) }

func EventTypeName(t uint32) string { return C.GoString(C.nsw_event_type_name(C.uint32_t(t))) }

func EventFlags(e *Event) uint32 { return uint32(C.nsw_event_flags((*C.nsw_event)(e))) }

func EventTimeNS(e *Event) uint64 { return uint64(C.nsw_event_time_ns((*C.nsw_event)(e))) }

// EventName copies the name; "": the event has none.
func EventName(e *Event) string {
	return C.GoStringN(C.nsw_event_name((*C.nsw_event)(e)), C.int(EventNameLen(e)))
}

func EventNameLen(e *Event) int { return int(C.nsw_event_name_len((*C.nsw_event)(e))) }

func EventPath(e *Event) string { return C.GoString(C.nsw_event_path((*C.nsw_event)(e))) }

func EventDev(e *Event) uint64 { return uint64(C.nsw_event_dev((*C.nsw_event)(e))) }

func EventIno(e *Event) uint64 { return uint64(C.nsw_event_ino((*C.nsw_event)(e))) }

func EventNSID(e *Event) int { return int(C.nsw_event_nsid((*C.nsw_event)(e))) }

func EventCookie(e *Event) uint64 { return uint64(C.nsw_event_cookie((*C.nsw_event)(e))) }

func EventPID(e *Event) int { return int(C.nsw_event_pid((*C.nsw_event)(e))) }

func EventOrigin(e *Event) int { return int(C.nsw_event_origin((*C.nsw_event)(e))) }

func EventPortID(e *Event) uint32 { return uint32(C.nsw_event_portid((*C.nsw_event)(e))) }

func EventDropped(e *Event) uint64 { return uint64(C.nsw_event_dropped((*C.nsw_event)(e))) }

// Identity

// forC is the same memory as the C type; a test compares the two types.
func (n *Netns) forC() *C.struct_nsw_netns { return (*C.struct_nsw_netns)(unsafe.Pointer(n)) }

func EventNetns(e *Event, netns *Netns) int {
	return int(C.nsw_event_netns((*C.nsw_event)(e), netns.forC()))
}

func NetnsForFD(fd int, netns *Netns) int { return int(C.nsw_netns_for_fd(C.int(fd), netns.forC())) }

func NetnsForPID(pid int32, netns *Netns) int {
	return int(C.nsw_netns_for_pid(C.int32_t(pid), netns.forC()))
}

func NetnsForPIDFD(pidfd int, netns *Netns) int {
	return int(C.nsw_netns_for_pidfd(C.int(pidfd), netns.forC()))
}

// NetnsForName requires a name without NUL.
func NetnsForName(name string, netns *Netns) int {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return int(C.nsw_netns_for_name(text, netns.forC()))
}

func NetnsForNSID(nsid int32, netns *Netns) int {
	return int(C.nsw_netns_for_nsid(C.int32_t(nsid), netns.forC()))
}

// NetnsOpen requires a path without NUL; an empty path is NULL.
func NetnsOpen(netns *Netns, path string) int {
	var text *C.char
	if path != "" {
		text = C.CString(path)
		defer C.free(unsafe.Pointer(text))
	}
	return int(C.nsw_netns_open(netns.forC(), text))
}

func NetnsSame(a, b *Netns) int { return int(C.nsw_netns_same(a.forC(), b.forC())) }

func NetnsIsAlive(netns *Netns) int { return int(C.nsw_netns_is_alive(netns.forC())) }

// NetnsWait occupies an operating system thread while it waits. Package nswatch does not use it.
func NetnsWait(name string, timeoutMS int, netns *Netns) int {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return int(C.nsw_netns_wait(text, C.int(timeoutMS), netns.forC()))
}

// Options

func OptionsNew() *Options { return (*Options)(C.nsw_options_new()) }

func OptionsFree(o *Options) { C.nsw_options_free((*C.nsw_options)(o)) }

func OptionsSetFlags(o *Options, flags uint32) int {
	return int(C.nsw_options_set_flags((*C.nsw_options)(o), C.uint32_t(flags)))
}

// OptionsSetDir requires a path without NUL.
func OptionsSetDir(o *Options, path string) int {
	text := C.CString(path)
	defer C.free(unsafe.Pointer(text))
	return int(C.nsw_options_set_dir((*C.nsw_options)(o), text))
}

func OptionsSetSettle(o *Options, ms uint32) int {
	return int(C.nsw_options_set_settle((*C.nsw_options)(o), C.uint32_t(ms)))
}

func OptionsSetMaxNames(o *Options, names uint32) int {
	return int(C.nsw_options_set_max_names((*C.nsw_options)(o), C.uint32_t(names)))
}

func OptionsSetRcvbuf(o *Options, bytes uint32) int {
	return int(C.nsw_options_set_rcvbuf((*C.nsw_options)(o), C.uint32_t(bytes)))
}

func OptionsSetQueue(o *Options, capacity, policy uint32) int {
	return int(C.nsw_options_set_queue((*C.nsw_options)(o), C.uint32_t(capacity), C.uint32_t(policy)))
}

// OptionsError copies the sentence.
func OptionsError(o *Options) string { return C.GoString(C.nsw_options_error((*C.nsw_options)(o))) }

// Nsids

func NSIDGetForPID(pid int32, nsid *int32) int {
	return int(C.nsid_get_for_pid(C.int32_t(pid), (*C.int32_t)(nsid)))
}

func NSIDGetForFD(fd int, nsid *int32) int {
	return int(C.nsid_get_for_fd(C.int(fd), (*C.int32_t)(nsid)))
}

// NSIDGetForName requires a name without NUL.
func NSIDGetForName(name string, nsid *int32) int {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return int(C.nsid_get_for_name(text, (*C.int32_t)(nsid)))
}

func NSIDGetForPIDFD(pidfd int, nsid *int32) int {
	return int(C.nsid_get_for_pidfd(C.int(pidfd), (*C.int32_t)(nsid)))
}

func NSIDGetAsSeenFrom(where, fd int, nsid *int32) int {
	return int(C.nsid_get_as_seen_from(C.int(where), C.int(fd), (*C.int32_t)(nsid)))
}

func NSIDAssign(fd int, wanted int32, nsid *int32) int {
	return int(C.nsid_assign(C.int(fd), C.int32_t(wanted), (*C.int32_t)(nsid)))
}

func NSIDTranslate(nsid, from int32, result *int32) int {
	return int(C.nsid_translate(C.int32_t(nsid), C.int32_t(from), (*C.int32_t)(result)))
}

// NSIDList fills nsids and stores the number of nsids, which may be larger.
func NSIDList(nsids []int32, count *int) int {
	var there C.size_t
	var room *C.int32_t
	if len(nsids) > 0 {
		room = (*C.int32_t)(&nsids[0])
	}
	rc := C.nsid_list(room, C.size_t(len(nsids)), &there)
	if rc == 0 {
		*count = int(there)
	}
	return int(rc)
}

// Features

func Feature(which uint32) int { return int(C.nsw_feature(C.uint32_t(which))) }

// About the library

func Version() string { return C.GoString(C.nsw_version()) }

func Strerror(rc int) string { return C.GoString(C.nsw_strerror(C.int(rc))) }
