//! What cannot be watched, and who may not: the promised errno, and a sentence that helps.

use std::ffi::CStr;
use std::os::unix::fs::PermissionsExt;
use std::ptr::{null, null_mut};
use std::time::Duration;

use crate::support::api::{Api, How, Kind, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::{about, event as ce, options as co, watcher as cw};

both! {
    what_is_no_directory_is_refused
    what_is_too_long_is_refused
    who_may_not_read_the_directory_is_refused
    who_may_not_search_an_ancestor_is_refused
    who_may_not_read_an_ancestor_may_watch
    permission_is_taken_away_and_given_back
    permission_for_an_ancestor_is_taken_away_and_given_back
    names_that_may_not_be_read_are_told
    names_change_places_in_a_directory_that_may_not_be_read_any_more
    who_gave_up_the_right_to_the_directory_cannot_tell
    what_happens_to_names_while_the_right_is_given_up
    a_directory_that_could_only_be_searched_was_never_open
}

fn refused<A: Api>(dir: &str, errno: i32) {
    for flags in [0, co::NSW_NO_PARENT, co::NSW_NO_REPLAY, co::NSW_DIR_EVENTS] {
        assert_eq!(A::open(&How::dir(dir).flags(flags)).err(), Some(errno), "{dir:?}");
    }
}

fn what_is_no_directory_is_refused<A: Api>() {
    sandbox();
    placeholder("/run/file");
    symlink("file", "/run/link");
    run("mkfifo", &["/run/fifo"]);
    for dir in ["/dev/null", "/dev/null/netns", "/run/file", "/run/file/a/b", "/run/link", "/run/link/a", "/run/fifo"] {
        refused::<A>(dir, libc::ENOTDIR);
    }
}

fn what_is_too_long_is_refused<A: Api>() {
    sandbox();
    refused::<A>(&format!("/run/{}", "x".repeat(256)), libc::ENAMETOOLONG);
    refused::<A>(&format!("/run/{}/netns", "x".repeat(256)), libc::ENAMETOOLONG);
    // not too long
    Observer::<A>::open_synced(&How::dir(format!("/run/{}", "x".repeat(255))));
}

fn set_mode(path: &str, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn who_may_not_read_the_directory_is_refused<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    for mode in [0o000, 0o111, 0o444, 0o333] {
        set_mode(RUN_NETNS, mode);
        elsewhere(&Restriction::powerless(), || refused::<A>(RUN_NETNS, libc::EACCES));
    }
    set_mode(RUN_NETNS, 0o555);
    elsewhere(&Restriction::powerless(), || Observer::<A>::open_synced(&How::default()));
}

fn who_may_not_search_an_ancestor_is_refused<A: Api>() {
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

fn who_may_not_read_an_ancestor_may_watch<A: Api>() {
    sandbox();
    make_dir("/run/a/netns");
    set_mode("/run/a", 0o111);
    let mut o = elsewhere(&Restriction::powerless(), || Observer::<A>::open_synced(&How::dir("/run/a/netns")));
    placeholder("/run/a/netns/half");
    elsewhere(&Restriction::powerless(), || o.expect(&[(Created, "half")]));
    // but not wait for what is missing there: nobody would tell
    elsewhere(&Restriction::powerless(), || refused::<A>("/run/a/missing", libc::EACCES));
    // its end is seen from within
    std::fs::remove_dir_all("/run/a/netns").unwrap();
    elsewhere(&Restriction::powerless(), || o.expect(&[(Deleted, "half")]));
    o.resync();
    make_dir("/run/a/netns");
    placeholder("/run/a/netns/half");
    elsewhere(&Restriction::powerless(), || o.resync());
    // so is that it may not be read any more; that it may again, only a comparison can tell
    set_mode("/run/a/netns", 0o000);
    elsewhere(&Restriction::powerless(), || o.expect(&[(Deleted, "half")]));
    set_mode("/run/a/netns", 0o700);
    let told = elsewhere(&Restriction::powerless(), || o.resync());
    assert_eq!(told.iter().map(|event| event.brief()).collect::<Vec<_>>(), [(Created, "half".to_owned())]);
}

/// Names that changed places are looked for once more, but not in a directory that has been told as gone: one that may
/// be searched, not read.
fn names_change_places_in_a_directory_that_may_not_be_read_any_more<A: Api>() {
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

/// The mode of `path` changes, above or at the watched `dir`; all that the watcher does, it does without power.
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
            // what happens meanwhile is seen afterwards
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

/// A directory that only who overrides permissions may search: an ancestor, or the watched one itself.
const CLOSED: [&str; 2] = ["/run/a", "/run/a/netns"];

/// Opens a watcher of names there, of which `blue` is a namespace.
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

/// What a caller without the right is told before it is refused.
fn told_without_the_right<A: Api>(o: &mut Observer<A>) -> Vec<(Kind, String)> {
    let before = o.log.len();
    let refused = elsewhere(&Restriction::powerless(), || {
        std::iter::from_fn(|| o.try_now().transpose()).take(10).find_map(Result::err)
    });
    let told: Vec<_> = o.log[before..].iter().map(|event| event.brief()).collect();
    assert_eq!(refused, Some(libc::EACCES), "{told:?}");
    told
}

/// That a permission was taken away is an answer about the directory; that a process gave up a right says nothing of it.
fn who_gave_up_the_right_to_the_directory_cannot_tell<A: Api>() {
    for closed in CLOSED {
        let mut o = in_a_closed_directory::<A>(closed, co::NSW_DIR_EVENTS);
        assert_eq!(elsewhere(&Restriction::powerless(), || o.api.resync()), Err(libc::EACCES), "{closed}");
        assert_eq!(told_without_the_right(&mut o), []);
        assert!(readable(o.api.fd(), Duration::ZERO));
        placeholder("/run/a/netns/new");
        assert_eq!(told_without_the_right(&mut o), [(Created, "new".to_owned())]);
        // what was asked for goes on
        o.expect(&[(Synced, "")]);
        o.expect_nothing();
        o.expect_truth("/run/a/netns");
        // another permission, and it is an answer again
        set_mode(closed, 0o001);
        elsewhere(&Restriction::powerless(), || o.until(DirDeleted, ""));
        o.resync();
        o.expect_truth("/run/a/netns");
    }
}

fn what_happens_to_names_while_the_right_is_given_up<A: Api>() {
    for (closed, flags) in CLOSED.into_iter().flat_map(|closed| [0, co::NSW_MOUNT_EVENTS].map(|flags| (closed, flags)))
    {
        let expect = |happens: &dyn Fn(), told: &[(Kind, &str)], then: &[(Kind, &str)]| {
            let mut o = in_a_closed_directory::<A>(closed, flags);
            happens();
            let told: Vec<_> = told.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
            assert_eq!(told_without_the_right(&mut o), told, "{closed}");
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

/// A step on the way need not be readable. If the path comes to end there, no right was given up.
fn a_directory_that_could_only_be_searched_was_never_open<A: Api>() {
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

fn names_that_may_not_be_read_are_told<A: Api>() {
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
fn what_is_no_path_is_refused() {
    for dir in ["", "netns", "./netns", "run/netns", "..", "/run/\0"] {
        let error = nswatch::Options::new().dir(dir).unwrap_err();
        assert_eq!(error.errno(), libc::EINVAL, "{dir:?}");
        assert!(error.to_string().contains("absolute"), "{error}");
    }
    // SAFETY: as nswatch.h demands.
    unsafe {
        let options = co::nsw_options_new();
        for dir in [c"", c"netns", c"./netns", c"run/netns", c".."] {
            assert_eq!(co::nsw_options_set_dir(options, dir.as_ptr()), -libc::EINVAL);
        }
        co::nsw_options_free(options);
    }
}

/// The sentence for an errno that is not known.
fn strerror(rc: i32) -> &'static str {
    // SAFETY: it is static and NUL-terminated.
    unsafe { CStr::from_ptr(about::nsw_strerror(rc)) }.to_str().unwrap()
}

#[test]
fn errors_say_what_to_do() {
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
    // SAFETY: NULL and numbers that mean nothing are what is promised to be taken; the rest is as nswatch.h demands.
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

        // what is refused leaves what it was to fill in alone
        let mut watcher = std::ptr::dangling_mut::<cw::nsw_watcher>();
        for source in [0, 4, 99, u32::MAX] {
            assert_eq!(cw::nsw_open(source, options, &mut watcher), -libc::EINVAL);
        }
        assert_eq!(watcher, std::ptr::dangling_mut::<cw::nsw_watcher>());
        assert_eq!(cw::nsw_open(cw::NSW_SOURCE_NAMED, options, &mut watcher), 0, "the options are as they were");
        co::nsw_options_free(options);

        let mut event = null();
        assert_eq!(cw::nsw_next_event(watcher, null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_wait_event(watcher, 0, null_mut()), -libc::EINVAL);
        assert_eq!(cw::nsw_next_event(watcher, &mut event), 1, "none was lost by that");
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
