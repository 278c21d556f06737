//! Features
//!
//! What this kernel and these privileges have that not all have. Watchers find it out for themselves, by trying, and
//! do without what is not there; these functions tell what they would find. May be called from any thread.

use libc::c_int;

use super::{guard, invalid};
use crate::feature::Feature;

/// Fanotify reports mounts: Linux 6.15 and CAP_SYS_ADMIN over the mount namespace. Without, by
/// NSW_FEATURE_MOUNT_POLL. Since: 0.1
pub const NSW_FEATURE_MOUNT_EVENTS: u32 = 1;
/// A kernel AIO poll of mountinfo: Linux 4.18, where AIO is not forbidden. Without both this and
/// NSW_FEATURE_MOUNT_EVENTS the readiness of nsw_fd() for what a mount did is gone once polled: ask for events after
/// every wake-up. Since: 0.1
pub const NSW_FEATURE_MOUNT_POLL: u32 = 2;
/// Namespaces have a cookie, which distinguishes one from its successor: Linux 6.18. Without it, the change time of its
/// inode does while the namespace is mounted, nothing does behind a symbolic link to /proc/PID/ns/net, and
/// nsw_event_cookie() is 0.
/// Since: 0.1
pub const NSW_FEATURE_COOKIE: u32 = 3;
/// Mounts have an id that is never used again: Linux 6.8. A mount that goes is traced to its names by it;
/// without, with NSW_MOUNT_EVENTS, each change of a mount costs a look at every known name. Since: 0.1
pub const NSW_FEATURE_MOUNT_ID: u32 = 4;
/// A file handle says in one system call which namespace a name leads to: Linux 6.18. Without, names are opened.
/// Since: 0.1
pub const NSW_FEATURE_NS_HANDLES: u32 = 5;
/// statmount(2) says what a mount is mounted on: Linux 6.8. Without, mount events are not the default, and with
/// NSW_MOUNT_EVENTS each change of a mount costs a look at every known name. Since: 0.1
pub const NSW_FEATURE_STATMOUNT: u32 = 6;
/// A peer's ids can be asked for, given CAP_NET_ADMIN over it: Linux 5.0. Without, nsid_translate() fails, and
/// NSW_ALL_NSID tells of peers only what is notified. Since: 0.1
pub const NSW_FEATURE_TARGET_NSID: u32 = 8;
/// What happens in peers can be listened to: Linux 4.2 and CAP_NET_BROADCAST. Without, nsw_open() with NSW_ALL_NSID is
/// -EPERM. Since: 0.1
pub const NSW_FEATURE_ALL_NSID: u32 = 9;
/// listns(2) lists every network namespace: Linux 6.19, since 7.0 with CAP_SYS_ADMIN in the initial user and pid namespaces.
/// Without, NSW_SOURCE_ALL goes through mounts, processes and their descriptors. Since: 0.1
pub const NSW_FEATURE_LISTNS: u32 = 10;
/// NSW_SOURCE_ALL reports new namespaces as they are made, by perf records: CAP_PERFMON or CAP_SYS_ADMIN in the initial user
/// namespace. Without, it notices them when mounts change, when a namespace dies, and at a resync. Since: 0.1
pub const NSW_FEATURE_BIRTHS: u32 = 11;
/// NSW_SOURCE_ALL reports deaths as they happen, from a network namespace of its own: CAP_SYS_ADMIN and CAP_NET_ADMIN, or
/// user namespaces may be made. Without, it notices them at a resync, as far as the kernel says so. Since: 0.1
pub const NSW_FEATURE_DEATHS: u32 = 12;

/// Tries whether a watcher that the calling thread opened now would have a feature. It leaves nothing behind.
///
/// @which: one of NSW_FEATURE_*.
///
/// Returns 1: it would have it; 0: it would not; or
/// -EINVAL: @which is none of them;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ENOSPC, -EAGAIN: a limit is reached, so that it cannot be found out now;
/// -EOPNOTSUPP: /proc is not mounted.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_feature(which: u32) -> c_int {
    guard(|| {
        let mut all = Feature::ALL.into_iter();
        let feature = all.find(|feature| *feature as u32 == which).ok_or_else(invalid)?;
        feature.is_available().map(c_int::from)
    })
}

#[cfg(test)]
mod tests {
    use crate::capi::tests::constants;
    use crate::feature::Feature;

    #[test]
    fn the_constants_are_those_of_the_table() {
        let table = Feature::ALL.map(|feature| (feature.name().to_owned(), feature as u32));
        assert_eq!(constants(include_str!("feature.rs"), "NSW_FEATURE_", ""), table);
    }
}
