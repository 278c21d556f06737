//! Directories that cannot be watched, and callers without permission: the promised errno, and a message that helps.

use std::ffi::CStr;
use std::os::unix::fs::PermissionsExt;
use std::ptr::{null, null_mut};
use std::time::Duration;

use crate::support::api::{Api, How, Kind, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::{about, event as ce, options as co, watcher as cw};

both! {
    only_a_directory_is_watched
    too_long_a_path_is_refused
    an_unreadable_directory_is_refused
    an_ancestor_without_search_permission_is_refused
    an_unreadable_ancestor_does_not_prevent_watching
    permission_is_taken_away_and_given_back
    permission_for_an_ancestor_is_taken_away_and_given_back
    unreadable_names_are_reported
    names_change_places_in_a_directory_that_became_unreadable
    a_lost_right_is_no_answer_about_the_directory
    names_change_while_the_right_is_lost
    a_search_only_directory_was_never_open
}

fn refused<A: Api>(dir: &str, errno: i32) {
    for flags in [0, co::NSW_NO_PARENT, co::NSW_NO_REPLAY, co::NSW_DIR_EVENTS] {
        assert_eq!(A::open(&How::dir(dir).flags(flags)).err(), Some(errno), "{dir:?}");
    }
}

fn only_a_directory_is_watched<A: Api>() {
    sandbox();
    placeholder("/run/file");
    symlink("file", "/run/link");
    run("mkfifo", &["/run/fifo"]);
    for dir in ["/dev/null", "/dev/null/netns", "/run/file", "/run/file/a/b", "/run/link", "/run/link/a", "/run/fifo"] {
        refused::<A>(dir, libc::ENOTDIR);
    }
}

fn too_long_a_path_is_refused<A: Api>() {
    sandbox();
    refused::<A>(&format!("/run/{}", "x".repeat(256)), libc::ENAMETOOLONG);
    refused::<A>(&format!("/run/{}/netns", "x".repeat(256)), libc::ENAMETOOLONG);
    // not too long
    Observer::<A>::open_synced(&How::dir(format!("/run/{}", "x".repeat(255))));
}

fn set_mode(path: &str, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn an_unreadable_directory_is_refused<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    for mode in [0o000, 0o111, 0o444, 0o333] {
        set_mode(RUN_NETNS, mode);
        elsewhere(&Restriction::powerless(), || refused::<A>(RUN_NETNS, libc::EACCES));
    }
    set_mode(RUN_NETNS, 0o555);
    elsewhere(&Restriction::powerless(), || Observer::<A>::open_synced(&How::default()));
}

fn an_ancestor_without_search_permission_is_refused<A: Api>() {
    sandbox();
    make_dir("/run/a/b/netns");
    for (path, mode) in [("/run/a", 0o000), ("/run/a", 0o666), ("/run/a/b", 0o000)] {
        set_mode(path, mode);
        elsewhere(&Restriction::powerless(), || {
            refused::<A>("/run/a/b/netns", libc::EACCES);
            refused::<A>("/run/a/b/missing", libc::EACCES);
        });
        set_mode(path, 0o755);
    }
}

fn an_unreadable_ancestor_does_not_prevent_watching<A: Api>() {
    sandbox();
    make_dir("/run/a/netns");
    set_mode("/run/a", 0o111);
    let mut o = elsewhere(&Restriction::powerless(), || Observer::<A>::open_synced(&How::dir("/run/a/netns")));
    placeholder("/run/a/netns/half");
    elsewhere(&Restriction::powerless(), || o.expect(&[(Created, "half")]));
    // but it cannot wait for a missing part there: the kernel would not report it
    elsewhere(&Restriction::powerless(), || refused::<A>("/run/a/missing", libc::EACCES));
    // inotify on the directory itself reports its end
    std::fs::remove_dir_all("/run/a/netns").unwrap();
    elsewhere(&Restriction::powerless(), || o.expect(&[(Deleted, "half")]));
    o.resync();
    make_dir("/run/a/netns");
    placeholder("/run/a/netns/half");
    elsewhere(&Restriction::powerless(), || o.resync());
    // and the loss of read permission; only a resync finds that the permission is back
    set_mode("/run/a/netns", 0o000);
    elsewhere(&Restriction::powerless(), || o.expect(&[(Deleted, "half")]));
    set_mode("/run/a/netns", 0o700);
    let events = elsewhere(&Restriction::powerless(), || o.resync());
    assert_eq!(events.iter().map(|event| event.brief()).collect::<Vec<_>>(), [(Created, "half".to_owned())]);
}

/// The watcher looks exchanged names up once more, but not in a directory that it has reported as gone: here one with
/// search but without read permission.
fn names_change_places_in_a_directory_that_became_unreadable<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/a");
    placeholder("/run/netns/b");
    let how = How::default().flags(co::NSW_DIR_EVENTS);
    let mut o = elsewhere(&Restriction::powerless(), || Observer::<A>::open_synced(&how));
    exchange("/run/netns/a", "/run/netns/b");
    set_mode(RUN_NETNS, 0o111);
    elsewhere(&Restriction::powerless(), || o.until(DirDeleted, ""));
    elsewhere(&Restriction::powerless(), || o.expect_nothing());
    set_mode(RUN_NETNS, 0o755);
    elsewhere(&Restriction::powerless(), || o.expect(&[(DirCreated, "")]));
    elsewhere(&Restriction::powerless(), || o.expect_unordered(&[(Created, "a"), (Created, "b")]));
}

/// Changes the mode of `path`, at or above the watched `dir`; the watcher runs without capabilities.
fn permission_changes<A: Api>(path: &str, dir: &str) {
    sandbox();
    make_dir(dir);
    let half = format!("{dir}/half");
    placeholder(&half);
    let powerless = Restriction::powerless();
    let how = How::dir(dir).flags(co::NSW_DIR_EVENTS);
    let mut o = elsewhere(&powerless, || Observer::<A>::open_synced(&how));
    for _ in 0..3 {
        for mode in [0o000, 0o444, 0o600] {
            set_mode(path, mode);
            elsewhere(&powerless, || {
                o.expect(&[(Deleted, "half"), (DirDeleted, "")]);
                o.expect_nothing();
                assert_eq!(o.resync(), []);
            });
            // the watcher sees these changes afterwards
            std::fs::remove_file(&half).unwrap();
            placeholder(&half);
            set_mode(path, 0o700);
            elsewhere(&powerless, || {
                o.expect(&[(DirCreated, ""), (Created, "half")]);
                o.expect_nothing();
                assert_eq!(o.resync(), []);
            });
        }
    }
    mount_new_netns(&half);
    elsewhere(&powerless, || o.expect(&[(Ready, "half")]));
}

fn permission_is_taken_away_and_given_back<A: Api>() {
    permission_changes::<A>("/run/a/netns", "/run/a/netns");
}

fn permission_for_an_ancestor_is_taken_away_and_given_back<A: Api>() {
    permission_changes::<A>("/run/a/b", "/run/a/b/c/netns");
}

/// A directory that only a caller who overrides permissions may search: an ancestor, or the watched one itself.
const CLOSED: [&str; 2] = ["/run/a", "/run/a/netns"];

/// Opens a watcher of names there; `blue` is a namespace.
fn in_a_closed_directory<A: Api>(closed: &str, flags: u32) -> Observer<A> {
    sandbox();
    make_dir("/run/a/netns");
    for name in ["blue", "half", "other"] {
        placeholder(format!("/run/a/netns/{name}"));
    }
    mount_new_netns("/run/a/netns/blue");
    symlink("blue", "/run/a/netns/link");
    set_mode(closed, 0o000);
    Observer::open_synced(&How::dir("/run/a/netns").flags(flags))
}

/// The events that a caller without the right gets before it is refused.
fn events_without_the_right<A: Api>(o: &mut Observer<A>) -> Vec<(Kind, String)> {
    let before = o.log.len();
    let refused = elsewhere(&Restriction::powerless(), || {
        std::iter::from_fn(|| o.try_now().transpose()).take(10).find_map(Result::err)
    });
    let events: Vec<_> = o.log[before..].iter().map(|event| event.brief()).collect();
    assert_eq!(refused, Some(libc::EACCES), "{events:?}");
    events
}

/// A revoked permission is an answer about the directory; a right that the process gave up is not.
fn a_lost_right_is_no_answer_about_the_directory<A: Api>() {
    for closed in CLOSED {
        let mut o = in_a_closed_directory::<A>(closed, co::NSW_DIR_EVENTS);
        assert_eq!(elsewhere(&Restriction::powerless(), || o.api.resync()), Err(libc::EACCES), "{closed}");
        assert_eq!(events_without_the_right(&mut o), []);
        assert!(readable(o.api.fd(), Duration::ZERO));
        placeholder("/run/a/netns/new");
        assert_eq!(events_without_the_right(&mut o), [(Created, "new".to_owned())]);
        // the requested resync continues
        o.expect(&[(Synced, "")]);
        o.expect_nothing();
        o.expect_truth("/run/a/netns");
        // the permissions change: that is an answer again
        set_mode(closed, 0o001);
        elsewhere(&Restriction::powerless(), || o.until(DirDeleted, ""));
        o.resync();
        o.expect_truth("/run/a/netns");
    }
}

fn names_change_while_the_right_is_lost<A: Api>() {
    for (closed, flags) in CLOSED.into_iter().flat_map(|closed| [0, co::NSW_MOUNT_EVENTS].map(|flags| (closed, flags)))
    {
        let expect = |happens: &dyn Fn(), events: &[(Kind, &str)], then: &[(Kind, &str)]| {
            let mut o = in_a_closed_directory::<A>(closed, flags);
            happens();
            let events: Vec<_> = events.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
            assert_eq!(events_without_the_right(&mut o), events, "{closed}");
            o.expect_unordered(then);
            o.expect_nothing();
            o.expect_truth("/run/a/netns");
        };
        let path = |name: &str| format!("/run/a/netns/{name}");
        expect(&|| mount_new_netns(path("half")), &[], &[(Ready, "half")]);
        expect(&|| placeholder(path("new")), &[(Created, "new")], &[]);
        let comes = || {
            placeholder(path("new"));
            mount_new_netns(path("new"));
        };
        expect(&comes, &[(Created, "new")], &[(Ready, "new")]);
        // the kernel reports the old name of the one after the new name of the other
        let notices = [(Deleted, "half"), (Deleted, "other"), (Created, "half")];
        expect(&|| exchange(path("half"), path("other")), &notices, &[(Created, "other")]);
        if flags != 0 {
            expect(&|| mount_new_netns(path("blue")), &[], &[(Ready, "blue"), (Ready, "link")]);
        }
    }
}

/// The watcher need not read an intermediate directory. If the path comes to end there, no right was given up.
fn a_search_only_directory_was_never_open<A: Api>() {
    sandbox();
    make_dir("/run/b/c");
    placeholder("/run/b/c/blue");
    set_mode("/run/b", 0o111);
    symlink("b/c", "/run/link");
    symlink("b", "/run/other");
    elsewhere(&Restriction::powerless(), || {
        refused::<A>("/run/other", libc::EACCES);
        let mut o = Observer::<A>::open_synced(&How::dir("/run/link").flags(co::NSW_DIR_EVENTS));
        rename("/run/other", "/run/link");
        o.until(DirDeleted, "");
        o.expect_nothing();
    });
}

fn unreadable_names_are_reported<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let powerless = Restriction::powerless();
    let mut o = elsewhere(&powerless, || Observer::<A>::open_synced(&How::default()));
    ip_netns(&["add", "blue"]);
    elsewhere(&powerless, || o.expect(&[(Created, "blue"), (Ready, "blue")]));
    elsewhere(&powerless, || o.api.open_netns().unwrap());
    assert_eq!(elsewhere(&powerless, || o.resync()), []);
    o.expect_truth(RUN_NETNS);
}

#[test]
fn an_invalid_path_is_refused() {
    for dir in ["", "netns", "./netns", "run/netns", "..", "/run/\0"] {
        let error = nswatch::Options::new().dir(dir).unwrap_err();
        assert_eq!(error.errno(), libc::EINVAL, "{dir:?}");
        assert!(error.to_string().contains("absolute"), "{error}");
    }
    // SAFETY: as nswatch.h requires.
    unsafe {
        let options = co::nsw_options_new();
        for dir in [c"", c"netns", c"./netns", c"run/netns", c".."] {
            assert_eq!(co::nsw_options_set_dir(options, dir.as_ptr()), -libc::EINVAL);
        }
        co::nsw_options_free(options);
    }
}

/// The message of nsw_strerror().
fn strerror(rc: i32) -> &'static str {
    // SAFETY: it is static and NUL-terminated.
    unsafe { CStr::from_ptr(about::nsw_strerror(rc)) }.to_str().unwrap()
}

#[test]
fn errors_name_the_remedy() {
    let unknown = strerror(-9999);
    let words = [
        (libc::EMFILE, "fs.inotify.max_user_instances"),
        (libc::ENOSPC, "fs.inotify.max_user_watches"),
        (libc::EACCES, "searchable"),
        (libc::ENOTDIR, "not a directory"),
        (libc::ENOENT, "directory"),
        (libc::EINVAL, "relative"),
        (libc::ENOTRECOVERABLE, "close it"),
        (libc::ESTALE, "another network namespace"),
        (libc::EINTR, "again"),
    ];
    for (errno, word) in words {
        assert!(strerror(-errno).contains(word), "{errno}: {}", strerror(-errno));
        assert_eq!(strerror(errno), strerror(-errno));
    }
    assert_eq!(strerror(0), "success");
    for errno in [i32::MIN, i32::MAX, -4096, 1 << 20] {
        assert_eq!(strerror(errno), unknown);
    }
    let error = nswatch::Watcher::named(&nswatch::Options::new().dir("/dev/null").unwrap()).unwrap_err();
    assert_eq!(error.errno(), libc::ENOTDIR);
    let text = error.to_string();
    assert!(text.contains("/dev/null") && text.contains(strerror(-libc::ENOTDIR)), "{text}");
}

#[test]
fn every_function_of_c_takes_null_and_garbage() {
    sandbox();
    // SAFETY: the functions promise to accept NULL and meaningless numbers; the rest is as nswatch.h requires.
    unsafe {
        co::nsw_options_free(null_mut());
        cw::nsw_close(null_mut());
        assert_eq!(co::nsw_options_set_flags(null_mut(), 0), -libc::EINVAL);
        assert_eq!(co::nsw_options_set_dir(null_mut(), c"/run".as_ptr()), -libc::EINVAL);
        assert_eq!(cw::nsw_open(cw::NSW_SOURCE_NAMED, null_mut(), null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_fd(null()), -libc::EINVAL);
        assert_eq!(cw::nsw_resync(null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_next_event(null_mut(), null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_wait_event(null_mut(), 0, null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_wait_event(null_mut(), -1, null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_open_netns(null(), null()), -libc::EINVAL);
        assert_eq!(cw::nsw_stat(null(), cw::NSW_STAT_KNOWN), 0);
        assert_eq!(ce::nsw_event_type(null()), 0);
        assert_eq!(ce::nsw_event_flags(null()), 0);
        assert_eq!(ce::nsw_event_time_ns(null()), 0);
        assert!(ce::nsw_event_name(null()).is_null());
        assert_eq!(ce::nsw_event_name_len(null()), 0);
        assert_eq!(ce::nsw_event_dev(null()) | ce::nsw_event_ino(null()) | ce::nsw_event_cookie(null()), 0);
        assert_eq!((ce::nsw_event_nsid(null()), ce::nsw_event_origin(null())), (-1, -1));
        assert_eq!((ce::nsw_event_portid(null()), ce::nsw_event_dropped(null())), (0, 0));
        for kind in [0, 13, u32::MAX] {
            assert_eq!(CStr::from_ptr(ce::nsw_event_type_name(kind)), c"unknown");
        }
        assert_eq!(CStr::from_ptr(about::nsw_version()).to_str().unwrap(), env!("CARGO_PKG_VERSION"));

        let options = co::nsw_options_new();
        assert_eq!(co::nsw_options_set_dir(options, null()), -libc::EINVAL);
        assert_eq!(co::nsw_options_set_dir(options, c"/run".as_ptr()), 0);
        assert_eq!(co::nsw_options_set_dir(options, c"relative".as_ptr()), -libc::EINVAL);
        assert_eq!(co::nsw_options_set_flags(options, 1 << 31), -libc::EINVAL);
        assert_eq!(co::nsw_options_set_flags(options, !0), -libc::EINVAL);

        // a refused call leaves its out-parameter alone
        let mut watcher = std::ptr::dangling_mut::<cw::nsw_watcher>();
        for source in [0, 4, 99, u32::MAX] {
            assert_eq!(cw::nsw_open(source, options, &mut watcher), -libc::EINVAL);
        }
        assert_eq!(watcher, std::ptr::dangling_mut::<cw::nsw_watcher>());
        assert_eq!(cw::nsw_open(cw::NSW_SOURCE_NAMED, options, &mut watcher), 0, "the options are unchanged");
        co::nsw_options_free(options);

        let mut event = null();
        assert_eq!(cw::nsw_next_event(watcher, null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_wait_event(watcher, 0, null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_next_event(watcher, &mut event), 1, "no event was lost");
        assert_eq!(ce::nsw_event_type(event), ce::NSW_EVENT_SYNCED);
        assert_eq!(cw::nsw_open_netns(watcher, null()), -libc::EINVAL);
        assert_eq!(cw::nsw_open_netns(null(), event), -libc::EINVAL);
        assert_eq!(cw::nsw_open_netns(watcher, event), -libc::EINVAL);
        for which in [0, 9, u32::MAX] {
            assert_eq!(cw::nsw_stat(watcher, which), 0);
        }
        let mut untouched = std::ptr::dangling::<ce::nsw_event>();
        assert_eq!(cw::nsw_next_event(watcher, &mut untouched), 0);
        assert_eq!(cw::nsw_wait_event(watcher, 0, &mut untouched), 0);
        assert_eq!(untouched, std::ptr::dangling::<ce::nsw_event>());
        cw::nsw_close(watcher);
    }
}
