//! Features: one that this kernel has is available and in use; one that is taken away is missing.

use std::ffi::CStr;

use crate::support::api::{Api, How, Kind::*, Observer, Rust};
use crate::support::nsid::anonymous;
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::Feature::{self, *};
use nswatch::capi::feature::{NSW_FEATURE_DEATHS, nsw_feature};
use nswatch::capi::options::NSW_ALL_NSID;
use nswatch::nsid;

/// The answer about a feature, the same through Rust and C: 1, 0 or a negative errno.
fn reported(feature: Feature) -> i32 {
    let reported = feature.is_available().map_or_else(|error| -error.errno(), i32::from);
    assert_eq!(nsw_feature(feature as u32), reported, "{feature}");
    reported
}

fn all() -> Vec<(Feature, i32)> {
    Feature::ALL.into_iter().map(|feature| (feature, reported(feature))).collect()
}

/// The first kernel version with the feature.
fn since(feature: Feature) -> (u32, u32) {
    match feature {
        MountEvents => (6, 15),
        MountPoll => (4, 18),
        Cookie | NsHandles => (6, 18),
        MountId | Statmount => (6, 8),
        TargetNsid => (5, 0),
        AllNsid => (4, 2),
        ListNs => (6, 19),
        Births => (4, 12),
        Deaths => (4, 9),
        other => panic!("unknown to the tests: {other}"),
    }
}

fn running() -> (u32, u32) {
    // SAFETY: all zeroes is a valid `utsname`, and uname fills it in; the release is NUL-terminated.
    let release = unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        assert_eq!(libc::uname(&mut name), 0);
        CStr::from_ptr(name.release.as_ptr()).to_str().unwrap().to_owned()
    };
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The library never checks the version. This test does: with all privileges, which a sandbox gives, a kernel has the
/// features of its version, and a fallback on it is a mistake.
#[test]
fn no_fallback_is_taken_on_a_kernel_that_needs_none() {
    sandbox();
    for feature in Feature::ALL {
        // root in a user namespace may not see the whole host
        let is_permitted = is_real_root() || !matches!(feature, ListNs | Births);
        if is_permitted && running() >= since(feature) {
            assert_eq!(reported(feature), 1, "{feature}: Linux has had it since {:?}", since(feature));
        }
    }
}

/// The descriptors that a watcher listens to while a name is pending; a thread with these rights opens it.
fn listened_to(rights: &Restriction) -> Vec<String> {
    make_dir(RUN_NETNS);
    placeholder("/run/netns/waits");
    let o = elsewhere(rights, || Observer::<Rust>::open_synced(&How::default()));
    std::fs::remove_file("/run/netns/waits").unwrap();
    kernel::listens_to(o.api.fd())
}

#[test]
fn mounts_are_noticed_by_the_available_backend() {
    sandbox();
    let no_aio = || Restriction::none().failing(libc::SYS_io_setup, libc::EPERM);
    let rights = [
        Restriction::none(),
        Restriction::without_sys_admin(),
        no_aio(),
        no_aio().failing(libc::SYS_fanotify_init, libc::EPERM),
    ];
    for rights in rights {
        let (events, poll) = elsewhere(&rights, || (reported(MountEvents), reported(MountPoll)));
        let listens = listened_to(&rights);
        let shows = |what: &str| listens.iter().filter(|fd| fd.ends_with(what)).count();
        // the watcher owns one eventfd itself
        let expected = match (events, poll) {
            (1, _) => (1, 1, 0),
            (0, 1) => (0, 2, 0),
            (0, 0) => (0, 1, 1),
            other => panic!("{other:?}"),
        };
        let found = (shows("anon_inode:[fanotify]"), shows("anon_inode:[eventfd]"), shows("/mountinfo"));
        assert_eq!(found, expected, "{rights:?}: {listens:?}");
    }
}

#[test]
fn namespaces_have_cookies_where_available() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let ready = Observer::<Rust>::open(&How::default()).until(Ready, "blue");
    assert_eq!(reported(Cookie) == 1, kernel::has_cookie());
    assert_eq!(reported(Cookie) == 1, ready.cookie != 0);
}

/// On every kernel, for a name that is a mount and for one that leads to a mount.
#[test]
fn successors_are_distinguished() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/blue");
    mount_new_netns("/run/blue");
    symlink("/run/blue", "/run/netns/link");
    ip_netns(&["add", "blue"]);
    let mut o = Observer::<Rust>::open_synced(&How::default());
    for path in ["/run/netns/blue", "/run/blue"] {
        let (_, ino, _) = kernel::netns(path).unwrap();
        unmount(path);
        mount_successor(path, ino);
        let kinds: Vec<_> = o.resync().iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [Ready], "{path}");
    }
}

#[test]
fn names_are_opened_unless_handles_are_available() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<Rust>::open_synced(&How::default());
    placeholder("/run/netns/blue");
    o.expect(&[(Created, "blue")]);
    mount_new_netns("/run/netns/blue");
    // where the watcher must open names, it cannot identify a name that it may not open
    let rights = Restriction::none().failing(libc::SYS_openat, libc::EACCES);
    let (expected, found) = elsewhere(&rights, || (reported(NsHandles), o.api.wait(Some(DEADLINE / 20))));
    match found {
        Ok(event) => assert!(event.is_some() && expected == 1),
        Err(errno) => assert_eq!((errno, expected), (libc::EACCES, 0)),
    }
}

#[test]
fn peers_are_queried_and_watched_where_available() {
    sandbox();
    let peer = anonymous();
    nsid::assign(&peer, Some(5)).unwrap();
    let asks = |rights: &Restriction| {
        elsewhere(rights, || {
            let translated = nsid::translate(0, 5).map_err(|error| error.errno());
            assert_ne!(translated, Ok(None));
            (reported(TargetNsid), translated == Err(libc::ENOENT))
        })
    };
    for rights in [Restriction::none(), Restriction::powerless()] {
        let opens = elsewhere(&rights, || Rust::open(&How::nsid().flags(NSW_ALL_NSID)).is_ok());
        assert_eq!(elsewhere(&rights, || reported(AllNsid) == 1), opens, "{rights:?}");
    }
    let (target, answers) = asks(&Restriction::none());
    assert_eq!(target == 1, answers);
    let deaf = Restriction::none().failing(libc::SYS_setsockopt, libc::ENOPROTOOPT);
    assert_eq!(asks(&deaf), (0, false));
}

/// The same number on every architecture.
const LISTNS: libc::c_long = 470;

/// Each feature, with a restriction that takes it away or makes the answer an error.
#[test]
fn a_feature_that_is_taken_away_is_missing() {
    sandbox();
    let fails = |call, errno| Restriction::none().failing(call, errno);
    let by_handle = || fails(libc::SYS_name_to_handle_at, libc::EPERM);
    let cases = [
        (MountEvents, Restriction::without_sys_admin(), 0),
        (MountEvents, fails(libc::SYS_fanotify_init, libc::ENOSYS), 0),
        (MountEvents, fails(libc::SYS_fanotify_mark, libc::EINVAL), 0),
        (MountPoll, fails(libc::SYS_io_setup, libc::ENOSYS), 0),
        (MountPoll, fails(libc::SYS_io_submit, libc::EINVAL), 0),
        (MountPoll, fails(libc::SYS_io_setup, libc::EAGAIN), -libc::EAGAIN),
        (MountPoll, fails(libc::SYS_eventfd2, libc::EMFILE), -libc::EMFILE),
        (NsHandles, by_handle(), 0),
        (Cookie, by_handle().failing_ioctl(0x8008_b70d, libc::ENOTTY), 0),
        (Cookie, by_handle().failing(libc::SYS_openat, libc::EMFILE), -libc::EMFILE),
        (Statmount, fails(457, libc::ENOSYS), 0),
        (TargetNsid, fails(libc::SYS_socket, libc::ENFILE), -libc::ENFILE),
        (TargetNsid, fails(libc::SYS_setsockopt, libc::ENOPROTOOPT), 0),
        (AllNsid, Restriction::powerless(), 0),
        (ListNs, fails(LISTNS, libc::ENOSYS), 0),
        (Births, fails(libc::SYS_perf_event_open, libc::EACCES), 0),
        (Births, Restriction::powerless(), 0),
        (Deaths, fails(libc::SYS_unshare, libc::EPERM).failing_user_namespace(libc::EPERM), 0),
        (Deaths, fails(libc::SYS_socket, libc::ENFILE), -libc::ENFILE),
    ];
    for (feature, rights, expected) in cases {
        assert_eq!(elsewhere(&rights, || reported(feature)), expected, "{feature} {rights:?}");
    }
    if reported(MountEvents) == 1 {
        let full = fails(libc::SYS_fanotify_init, libc::EMFILE);
        assert_eq!(elsewhere(&full, || reported(MountEvents)), -libc::EMFILE);
    }
}

#[test]
fn without_proc_the_answer_is_an_error() {
    sandbox();
    let before = all();
    mount("nothing", "/proc", Some("tmpfs"), 0);
    for (feature, with_proc) in before {
        let expected = match feature {
            TargetNsid | AllNsid => with_proc,
            // older kernels do not get this far
            MountEvents if with_proc == 0 => 0,
            _ => -libc::EOPNOTSUPP,
        };
        assert_eq!(reported(feature), expected, "{feature}");
    }
}

#[test]
fn nothing_is_left_behind() {
    sandbox();
    // a descriptor table of this thread alone
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
    let fds = kernel::open_fds();
    let first = all();
    assert_eq!(kernel::open_fds(), fds);
    assert_eq!(all(), first);
}

#[test]
fn numbers_and_names() {
    // number 7 was a feature that every supported kernel has
    for (number, feature) in (1..).filter(|number| *number != 7).zip(Feature::ALL) {
        assert_eq!(feature as u32, number);
        assert_eq!(feature.to_string(), feature.name());
    }
    assert_eq!(Feature::ALL.last().map(|last| *last as u32), Some(NSW_FEATURE_DEATHS));
    for unknown in [0, 7, NSW_FEATURE_DEATHS + 1, u32::MAX] {
        assert_eq!(nsw_feature(unknown), -libc::EINVAL);
    }
}
