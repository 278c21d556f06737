//! Events
//!
//! Accessors never fail. Where the event has no such part, and for NULL, they return the value that their comment
//! states. Several threads may call them at once on the same event.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

use crate::event::{self, Event, EventKind};

/// A name appeared; it may be pending, not a namespace yet. Since: 0.1
pub const NSW_EVENT_CREATED: u32 = 1;
/// The name now refers to a network namespace that can be opened. After another NSW_EVENT_READY of the same name:
/// another namespace replaced the first one. Since: 0.1
pub const NSW_EVENT_READY: u32 = 2;
/// The name still exists and no longer refers to a network namespace. Since: 0.1
pub const NSW_EVENT_DETACHED: u32 = 3;
/// The name is gone. Since: 0.1
pub const NSW_EVENT_DELETED: u32 = 4;
/// The watched directory appeared. Since: 0.1
pub const NSW_EVENT_DIR_CREATED: u32 = 5;
/// The watched directory is gone, after an NSW_EVENT_DELETED for each name in it. Since: 0.1
pub const NSW_EVENT_DIR_DELETED: u32 = 6;
/// The kernel assigned an nsid to a peer namespace. Since: 0.1
pub const NSW_EVENT_NSID_NEW: u32 = 7;
/// The namespace that had the nsid died. Since: 0.1
pub const NSW_EVENT_NSID_DEL: u32 = 8;
/// The replay, at open or of a resync, is complete. Since: 0.1
pub const NSW_EVENT_SYNCED: u32 = 9;
/// Events were lost. Replayed events follow for all that changed, then NSW_EVENT_SYNCED. With NSW_SOURCE_NSID and
/// nsw_event_dropped() 0, also: the kernel does not list all nsids, and some may be missing even after that. Since: 0.1
pub const NSW_EVENT_OVERFLOW: u32 = 10;

/// A network namespace exists, with or without a name (NSW_SOURCE_ALL); nsw_event_netns() identifies it. Since: 0.1
pub const NSW_EVENT_NETNS_NEW: u32 = 11;
/// The network namespace that nsw_event_netns() identifies is gone (NSW_SOURCE_ALL). Since: 0.1
pub const NSW_EVENT_NETNS_DEL: u32 = 12;

/// A bit of nsw_event_flags(): a replayed event, which reports what a replay at open or a resync found. Since: 0.1
pub const NSW_EVENT_REPLAYED: u32 = 1;

/// No nsid assigned. Since: 0.1
pub const NSID_NOT_ASSIGNED: i32 = -1;

/// An event, as the C caller borrows it.
pub struct nsw_event {
    event: Event,
    /// Made on first use.
    path: OnceLock<Option<CString>>,
}

impl From<Event> for nsw_event {
    fn from(event: Event) -> Self {
        Self { event, path: OnceLock::new() }
    }
}

impl std::ops::Deref for nsw_event {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// # Safety
/// `e` is NULL, or still borrowed from a watcher.
unsafe fn get<T>(e: *const nsw_event, part: impl FnOnce(&Event) -> Option<T>) -> Option<T> {
    // SAFETY: the caller's promise.
    unsafe { e.as_ref() }.and_then(|e| part(e))
}

/// Returns the type, NSW_EVENT_*; 0 for NULL. Later versions may add types: ignore those that you do not know.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_type(e: *const nsw_event) -> u32 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| Some(e.kind().number())) }.unwrap_or(0)
}

/// Returns the name of a type, as "created" for NSW_EVENT_CREATED; "unknown" for an unknown number. Static text.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_event_type_name(r#type: u32) -> *const c_char {
    event::type_name(r#type).as_ptr()
}

/// Returns the flags: NSW_EVENT_REPLAYED or 0; 0 for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_flags(e: *const nsw_event) -> u32 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| Some(if e.is_replayed() { NSW_EVENT_REPLAYED } else { 0 })) }.unwrap_or(0)
}

/// Returns when the library noticed the change, in nanoseconds of CLOCK_MONOTONIC; 0 for NULL.
///
/// Since: 0.1 (see clock_gettime(2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_time_ns(e: *const nsw_event) -> u64 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| u64::try_from(e.time().as_nanos()).ok()) }.unwrap_or(0)
}

/// Returns the name: any bytes except '/' and NUL, possibly not UTF-8, terminated by a NUL. NULL where the type has no
/// name.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_name(e: *const nsw_event) -> *const c_char {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| e.name().map(|name| name.as_c_str().as_ptr())) }.unwrap_or(std::ptr::null())
}

/// Returns the length of nsw_event_name() in bytes, without the NUL; 0 where there is no name.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_name_len(e: *const nsw_event) -> usize {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| e.name().map(|name| name.as_c_str().count_bytes())) }.unwrap_or(0)
}

/// Returns a path for nsw_netns_open(). Of a name: the watched directory, '/' and the name. Of an NSW_EVENT_NETNS_NEW:
/// a path that led to the namespace when the watcher found it. NULL where there is none.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_path(e: *const nsw_event) -> *const c_char {
    let make = |e: &nsw_event| CString::new(e.path()?.into_os_string().into_vec()).ok();
    // SAFETY: as the conventions demand.
    let event = unsafe { e.as_ref() };
    event.and_then(|e| e.path.get_or_init(|| make(e)).as_ref()).map_or(std::ptr::null(), |path| path.as_ptr())
}

/// Returns st_dev of the namespace, for NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL; else 0.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_dev(e: *const nsw_event) -> u64 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| e.netns().map(|netns| netns.dev())) }.unwrap_or(0)
}

/// Returns st_ino of the namespace, for NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL; else 0. The
/// kernel recycles these numbers: a later namespace may have the same one.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_ino(e: *const nsw_event) -> u64 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| e.netns().map(|netns| netns.ino())) }.unwrap_or(0)
}

/// Returns the cookie of the namespace, a number that the kernel never reuses (SO_NETNS_COOKIE, NS_GET_ID), for
/// NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL on Linux 6.18 and later; else 0.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_cookie(e: *const nsw_event) -> u64 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, |e| e.netns().and_then(|netns| netns.cookie())) }.unwrap_or(0)
}

/// Returns a process or thread that was in the namespace when the watcher found it, for NSW_EVENT_NETNS_NEW; 0 if none
/// is known, or for another type.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_pid(e: *const nsw_event) -> i32 {
    // SAFETY: as the conventions demand.
    unsafe { get(e, Event::pid) }.unwrap_or(0)
}

/// Returns the nsid, for NSW_EVENT_NSID_NEW and NSW_EVENT_NSID_DEL; else NSID_NOT_ASSIGNED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_nsid(e: *const nsw_event) -> i32 {
    let nsid = |e: &Event| match *e.kind() {
        EventKind::NsidNew { nsid, .. } | EventKind::NsidDel { nsid, .. } => Some(nsid),
        _ => None,
    };
    // SAFETY: as the conventions demand.
    unsafe { get(e, nsid) }.unwrap_or(NSID_NOT_ASSIGNED)
}

/// Returns the nsid of the origin, the namespace in which the event happened, for NSW_EVENT_NSID_NEW and
/// NSW_EVENT_NSID_DEL of a peer (NSW_ALL_NSID); else NSID_NOT_ASSIGNED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_origin(e: *const nsw_event) -> i32 {
    let origin = |e: &Event| match *e.kind() {
        EventKind::NsidNew { origin, .. } | EventKind::NsidDel { origin, .. } => origin,
        _ => None,
    };
    // SAFETY: as the conventions demand.
    unsafe { get(e, origin) }.unwrap_or(NSID_NOT_ASSIGNED)
}

/// Returns the netlink port of the requester, for an NSW_EVENT_NSID_NEW that follows an explicit request for the nsid;
/// else 0.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_portid(e: *const nsw_event) -> u32 {
    let portid = |e: &Event| match *e.kind() {
        EventKind::NsidNew { portid, .. } => Some(portid),
        _ => None,
    };
    // SAFETY: as the conventions demand.
    unsafe { get(e, portid) }.unwrap_or(0)
}

/// Returns how many events were lost, for NSW_EVENT_OVERFLOW. 0: the kernel did not count them, nsids may be missing,
/// or another type.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_dropped(e: *const nsw_event) -> u64 {
    let dropped = |e: &Event| match *e.kind() {
        EventKind::Overflow { dropped } => Some(dropped),
        _ => None,
    };
    // SAFETY: as the conventions demand.
    unsafe { get(e, dropped) }.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::capi::tests::constants;
    use crate::event::type_name;

    #[test]
    fn the_constants_are_those_of_the_table() {
        let types = constants(include_str!("event.rs"), "NSW_EVENT_", "REPLAYED");
        for (name, number) in &types {
            assert_eq!(type_name(*number).to_str(), Ok(name.as_str()));
        }
        assert_eq!(type_name(types.len() as u32 + 1), c"unknown");
    }
}
