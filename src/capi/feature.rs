//! Features
//!
//! Optional features of the kernel that depend on its version and the caller's privileges. A watcher probes each at run
//! time when it needs it, and uses a fallback without it. Any thread may call nsw_feature() at any time.

use libc::c_int;

use super::{guard, invalid};
use crate::feature::Feature;

/// Fanotify reports mounts. Requires Linux 6.15 and CAP_SYS_ADMIN over the mount namespace. Fallback:
/// NSW_FEATURE_MOUNT_POLL. Since: 0.1
pub const NSW_FEATURE_MOUNT_EVENTS: u32 = 1;
/// A kernel AIO poll of mountinfo. Requires Linux 4.18 and permission to use AIO. If both this and
/// NSW_FEATURE_MOUNT_EVENTS are missing, nsw_fd() shows the wake-up for a mount to one poll only: call nsw_next_event()
/// after each wake-up. Since: 0.1
pub const NSW_FEATURE_MOUNT_POLL: u32 = 2;
/// Namespaces have a cookie, which distinguishes one from its successor. Requires Linux 6.18. Fallback: the change time
/// of the inode while the namespace is mounted; nothing behind a symbolic link to /proc/PID/ns/net. nsw_event_cookie()
/// is then 0. Since: 0.1
pub const NSW_FEATURE_COOKIE: u32 = 3;
/// Mounts have an id that the kernel never reuses. By it the watcher finds the names of a mount that goes. Requires
/// Linux 6.8. Fallback, with NSW_MOUNT_EVENTS: a probe of every known name at each change of a mount. Since: 0.1
pub const NSW_FEATURE_MOUNT_ID: u32 = 4;
/// A file handle identifies the namespace behind a name in one system call. Requires Linux 6.18. Fallback: the watcher
/// opens names. Since: 0.1
pub const NSW_FEATURE_NS_HANDLES: u32 = 5;
/// statmount(2) returns where a mount is mounted. Requires Linux 6.8. Without it, mount events are not the default;
/// with NSW_MOUNT_EVENTS the watcher probes every known name at each change of a mount. Since: 0.1
pub const NSW_FEATURE_STATMOUNT: u32 = 6;
/// The kernel lists the nsids of a peer. Requires Linux 5.0 and CAP_NET_ADMIN over the peer. Without it,
/// nsid_translate() fails, and with NSW_ALL_NSID the watcher reports of peers only what the kernel notifies, not the
/// nsids that exist already. Since: 0.1
pub const NSW_FEATURE_TARGET_NSID: u32 = 8;
/// The kernel notifies of nsids in peers. Requires Linux 4.2 and CAP_NET_BROADCAST. Without it, nsw_open() with
/// NSW_ALL_NSID returns -EPERM. Since: 0.1
pub const NSW_FEATURE_ALL_NSID: u32 = 9;
/// listns(2) lists every network namespace. Requires Linux 6.19 and CAP_SYS_ADMIN in the initial user and pid
/// namespaces. Fallback: NSW_SOURCE_ALL searches mounts, processes and their descriptors. Since: 0.1
pub const NSW_FEATURE_LISTNS: u32 = 10;
/// NSW_SOURCE_ALL reports new namespaces as they are made, by perf records. Requires CAP_PERFMON or CAP_SYS_ADMIN in
/// the initial user namespace. Fallback: it notices them when mounts change, when a namespace dies, and at a resync.
/// Since: 0.1
pub const NSW_FEATURE_BIRTHS: u32 = 11;
/// NSW_SOURCE_ALL reports deaths as they happen, from a network namespace of its own. Requires CAP_SYS_ADMIN and
/// CAP_NET_ADMIN, or permission to make user namespaces. Fallback: it notices them at a resync, as far as the kernel
/// reports them. Since: 0.1
pub const NSW_FEATURE_DEATHS: u32 = 12;

/// Probes whether a watcher that the calling thread opened now would have a feature. Nothing stays open afterwards.
///
/// @which: one of NSW_FEATURE_*.
///
/// Returns 1: available; 0: not available; or
/// -EINVAL: @which is unknown;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ENOSPC, -EAGAIN: a limit is reached, and the probe has no result;
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
