//! System calls that are refused from some moment on: privileges are given up, or a filter is installed, before or
//! after open. The next mechanism serves, or the call returns an errno; the watcher never takes a refusal for a "no".

use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, options, readable};
use crate::support::thread::{FSTATAT, Restriction, elsewhere};
use crate::support::*;
use libc::c_long;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS, NSW_PREPARE};
use nswatch::{Netns, Watcher};

both! {
    a_name_after_privileges_are_given_up
    a_pending_name_while_privileges_are_given_up
    unmounts_after_privileges_are_given_up
    each_mechanism_of_mounts_gives_way_to_the_next
    a_poll_that_cannot_be_renewed_gives_way
    no_mechanism_of_mounts_is_an_error_that_loses_nothing
    names_are_opened_where_handles_are_refused
    statx_is_not_needed
    statx_is_not_needed_to_distinguish_successors
    a_name_that_cannot_be_probed_is_no_placeholder
    a_name_that_cannot_be_probed_is_not_detached
    names_that_cannot_be_listed_are_not_deleted
    a_watcher_that_can_identify_no_name_is_not_opened
    a_name_that_cannot_be_opened_is_not_gone
    a_directory_that_a_policy_hides_is_not_deleted
    a_directory_behind_a_link_is_not_deleted
}

/// The errnos by which a filter refuses.
const REFUSALS: [i32; 3] = [libc::EPERM, libc::ENOSYS, libc::EACCES];

const FANOTIFY: [c_long; 2] = [libc::SYS_fanotify_init, libc::SYS_fanotify_mark];
const AIO: [c_long; 2] = [libc::SYS_io_setup, libc::SYS_io_submit];

fn refusing(calls: &[c_long], errno: i32) -> Restriction {
    calls.iter().fold(Restriction::none(), |restriction, call| restriction.failing(*call, errno))
}

/// Expects exactly these events on a thread with fewer rights; then no event, and a quiet descriptor.
fn expect<A: Api>(o: &mut Observer<A>, restriction: &Restriction, expected: &[(api::Kind, &str)]) {
    elsewhere(restriction, || {
        o.expect(expected);
        quiet(o);
    });
}

/// A call without an event leaves the descriptor unreadable. With AIO, and mountinfo itself, mounts that were already
/// handled may wake the watcher a moment later.
fn quiet<A: Api>(o: &mut Observer<A>) {
    let mut wakes = 0;
    while readable(o.api.fd(), Duration::ZERO) {
        assert_eq!(o.drain(), []);
        wakes += 1;
        assert!(wakes < 10, "{wakes} wake-ups without an event");
    }
}

/// A watcher that has listened to mounts before, and does not now.
fn warm<A: Api>(flags: u32) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::open_synced(&How::default().flags(flags));
    comes(&mut o, &Restriction::none(), "warm");
    o
}

/// Makes a name, and a moment later its namespace.
fn comes<A: Api>(o: &mut Observer<A>, restriction: &Restriction, name: &str) {
    let path = format!("{RUN_NETNS}/{name}");
    placeholder(&path);
    expect(o, restriction, &[(Created, name)]);
    mount_new_netns(&path);
    expect(o, restriction, &[(Ready, name)]);
}

fn each(body: impl Fn(i32) + Send + Copy + 'static) {
    for errno in REFUSALS {
        std::thread::spawn(move || body(errno)).join().unwrap();
    }
}

fn a_name_after_privileges_are_given_up<A: Api>() {
    for flags in [NSW_NO_MOUNT_EVENTS, 0, NSW_MOUNT_EVENTS, NSW_PREPARE, NSW_PREPARE | NSW_NO_MOUNT_EVENTS] {
        for restriction in [Restriction::without_sys_admin(), Restriction::powerless()] {
            let mut o = warm::<A>(flags);
            for name in ["blue", "red", "green"] {
                comes(&mut o, &restriction, name);
            }
            o.expect_truth(RUN_NETNS);
            assert_eq!(elsewhere(&restriction, || o.resync()), []);
            // and where it has the privileges again
            comes(&mut o, &Restriction::none(), "last");
        }
    }
}

fn a_pending_name_while_privileges_are_given_up<A: Api>() {
    for flags in [NSW_NO_MOUNT_EVENTS, 0, NSW_PREPARE, NSW_PREPARE | NSW_NO_MOUNT_EVENTS] {
        let mut o = warm::<A>(flags);
        placeholder("/run/netns/blue");
        o.expect(&[(Created, "blue")]);
        mount_new_netns("/run/netns/blue");
        let restriction = Restriction::powerless();
        expect(&mut o, &restriction, &[(Ready, "blue")]);
        comes(&mut o, &restriction, "red");
    }
}

fn unmounts_after_privileges_are_given_up<A: Api>() {
    let mut o = warm::<A>(NSW_MOUNT_EVENTS);
    let restriction = Restriction::powerless();
    unmount("/run/netns/warm");
    expect(&mut o, &restriction, &[(Detached, "warm")]);
    mount_new_netns("/run/netns/warm");
    expect(&mut o, &restriction, &[(Ready, "warm")]);
    mount_new_netns("/run/netns/warm");
    expect(&mut o, &restriction, &[(Ready, "warm")]);
}

fn each_mechanism_of_mounts_gives_way_to_the_next<A: Api>() {
    each(|errno| {
        for flags in [NSW_NO_MOUNT_EVENTS, 0, NSW_PREPARE] {
            for calls in [&FANOTIFY[..], &FANOTIFY[1..], &[FANOTIFY, AIO].concat(), &[FANOTIFY[1], AIO[1]]] {
                let mut o = warm::<A>(flags);
                let restriction = refusing(calls, errno);
                comes(&mut o, &restriction, "blue");
                comes(&mut o, &restriction, "red");
                comes(&mut o, &Restriction::none(), "last");
            }
        }
    });
}

fn a_poll_that_cannot_be_renewed_gives_way<A: Api>() {
    each(|errno| {
        for call in [libc::SYS_io_getevents, libc::SYS_io_submit] {
            for flags in [NSW_NO_MOUNT_EVENTS, NSW_MOUNT_EVENTS] {
                sandbox();
                make_dir(RUN_NETNS);
                let how = How::default().flags(flags);
                let mut o = elsewhere(&Restriction::without_sys_admin(), || Observer::<A>::open_synced(&how));
                placeholder("/run/netns/blue");
                expect(&mut o, &Restriction::without_sys_admin(), &[(Created, "blue")]);
                mount_new_netns("/run/netns/blue");
                assert!(readable(o.api.fd(), DEADLINE));
                let restriction = Restriction::without_sys_admin().failing(call, errno);
                expect(&mut o, &restriction, &[(Ready, "blue")]);
                comes(&mut o, &restriction, "red");
                if flags == NSW_MOUNT_EVENTS {
                    unmount("/run/netns/blue");
                    expect(&mut o, &restriction, &[(Detached, "blue")]);
                }
            }
        }
    });
}

fn no_mechanism_of_mounts_is_an_error_that_loses_nothing<A: Api>() {
    each(|errno| {
        let mut o = warm::<A>(NSW_NO_MOUNT_EVENTS);
        placeholder("/run/netns/blue");
        let restriction = refusing(&[libc::SYS_epoll_ctl], errno);
        elsewhere(&restriction, || {
            o.expect(&[(Created, "blue")]);
            o.keeps_failing(errno);
        });
        mount_new_netns("/run/netns/blue");
        expect(&mut o, &Restriction::none(), &[(Ready, "blue")]);
        comes(&mut o, &Restriction::none(), "last");
    });
}

fn names_are_opened_where_handles_are_refused<A: Api>() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES, libc::EOPNOTSUPP, libc::EINVAL] {
        let body = move || {
            let mut o = warm::<A>(NSW_MOUNT_EVENTS);
            let restriction = refusing(&[libc::SYS_name_to_handle_at], errno);
            comes(&mut o, &restriction, "blue");
            // known names do not change
            assert_eq!(elsewhere(&restriction, || o.resync()), []);
            unmount("/run/netns/warm");
            expect(&mut o, &restriction, &[(Detached, "warm")]);
            o.expect_truth(RUN_NETNS);
            comes(&mut o, &Restriction::none(), "last");
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn statx_is_not_needed<A: Api>() {
    each(|errno| {
        let calls: [&[c_long]; 2] = [&[libc::SYS_statx], &[libc::SYS_statx, libc::SYS_name_to_handle_at]];
        for calls in calls {
            let restriction = refusing(calls, errno);
            // from the start
            sandbox();
            ip_netns(&["add", "blue"]);
            let how = How::default().flags(NSW_MOUNT_EVENTS);
            let mut o = elsewhere(&restriction, || Observer::<A>::open_synced(&how));
            o.expect_truth(RUN_NETNS);
            comes(&mut o, &restriction, "red");
            o.expect_truth(RUN_NETNS);
            // and later
            let mut o = warm::<A>(NSW_MOUNT_EVENTS | NSW_DIR_EVENTS);
            comes(&mut o, &restriction, "red");
            assert_eq!(elsewhere(&restriction, || o.resync()), []);
            o.expect_truth(RUN_NETNS);
            // a mount of the same directory that hides the names
            bind(RUN_NETNS, RUN_NETNS);
            elsewhere(&restriction, || o.until(Detached, "warm"));
            elsewhere(&restriction, || o.drain());
            o.expect_truth(RUN_NETNS);
        }
    });
}

const NS_GET_ID: u32 = 0x8008_b70d;

/// As before Linux 6.18 in a container with an old filter.
fn statx_is_not_needed_to_distinguish_successors<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    let old = refusing(&[libc::SYS_name_to_handle_at], libc::EOPNOTSUPP).failing_ioctl(NS_GET_ID, libc::ENOTTY);
    let mut o = elsewhere(&old, || Observer::<A>::open_synced(&How::default()));
    let old = old.failing(libc::SYS_statx, libc::EPERM);
    // the other way gives the same numbers
    assert_eq!(elsewhere(&old, || o.resync()), []);
    symlink("/proc/self/ns/net", "/run/netns/link");
    elsewhere(&old, || o.expect(&[(Created, "link"), (Ready, "link")]));
    assert_eq!(elsewhere(&old, || o.resync()), []);
    let ino = kernel::netns("/run/netns/blue").unwrap().1;
    unmount("/run/netns/blue");
    let ino = mount_successor("/run/netns/blue", ino);
    let events = elsewhere(&old, || o.resync());
    assert_eq!(events.iter().map(|event| (event.kind, event.ino)).collect::<Vec<_>>(), [(Ready, ino)]);
}

/// The system calls by which the watcher probes a name, refused together.
const PROBES: [&[c_long]; 3] = [
    &[libc::SYS_name_to_handle_at, libc::SYS_fstatfs],
    &[libc::SYS_name_to_handle_at, libc::SYS_ioctl],
    &[libc::SYS_name_to_handle_at, libc::SYS_statx, FSTATAT],
];

fn a_name_that_cannot_be_probed_is_no_placeholder<A: Api>() {
    each(|errno| {
        for calls in PROBES {
            let mut o = warm::<A>(0);
            placeholder("/run/netns/blue");
            mount_new_netns("/run/netns/blue");
            elsewhere(&refusing(calls, errno), || {
                o.expect(&[(Created, "blue")]);
                o.keeps_failing(errno);
                assert_eq!(o.api.resync(), Err(errno));
                assert_eq!(o.try_now(), Err(errno));
            });
            o.until(Ready, "blue");
            o.until(Synced, "");
            quiet(&mut o);
            o.expect_truth(RUN_NETNS);
        }
    });
}

fn a_name_that_cannot_be_probed_is_not_detached<A: Api>() {
    each(|errno| {
        for calls in PROBES {
            let mut o = warm::<A>(NSW_MOUNT_EVENTS);
            mount_new_netns("/run/netns/warm");
            elsewhere(&refusing(calls, errno), || {
                o.keeps_failing(errno);
                assert_eq!(o.api.resync(), Err(errno));
            });
            o.until(Ready, "warm");
            o.until(Synced, "");
            quiet(&mut o);
            o.expect_truth(RUN_NETNS);
        }
    });
}

fn names_that_cannot_be_listed_are_not_deleted<A: Api>() {
    each(|errno| {
        for call in [libc::SYS_getdents64, libc::SYS_openat, libc::SYS_inotify_add_watch, libc::SYS_readlinkat] {
            let mut o = warm::<A>(NSW_DIR_EVENTS);
            elsewhere(&refusing(&[call], errno), || {
                assert_eq!(o.api.resync(), Err(errno), "system call {call}");
                o.keeps_failing(errno);
            });
            o.expect(&[(Synced, "")]);
            quiet(&mut o);
            o.expect_truth(RUN_NETNS);
            comes(&mut o, &Restriction::none(), "last");
        }
    });
}

fn a_watcher_that_can_identify_no_name_is_not_opened<A: Api>() {
    each(|errno| {
        sandbox();
        ip_netns(&["add", "blue"]);
        for (calls, named) in PROBES.into_iter().zip(["fstatfs(2)", "ioctl(2)", "statx(2)"]) {
            let restriction = refusing(calls, errno);
            assert_eq!(elsewhere(&restriction, || A::open(&How::default()).err()), Some(errno));
            let error = elsewhere(&restriction, || Watcher::named(&options(&How::default())).unwrap_err());
            let text = error.to_string();
            assert!(text.contains(named) && text.contains("filter"), "{text}");
        }
    });
}

fn a_name_that_cannot_be_opened_is_not_gone<A: Api>() {
    each(|errno| {
        let o = warm::<A>(0);
        for call in [libc::SYS_openat, libc::SYS_fstatfs, libc::SYS_ioctl] {
            let answer = elsewhere(&refusing(&[call], errno), || o.api.open_netns().map(api::raw));
            assert_eq!(answer, Err(errno), "system call {call}");
        }
        drop(o.api.open_netns().unwrap());
        let error = elsewhere(&refusing(&[libc::SYS_fstatfs], errno), || Netns::for_name("warm").unwrap_err());
        assert!(error.errno() == errno && error.to_string().contains("fstatfs(2)"), "{error}");
    });
}

/// For a link on the path the watcher needs a further system call.
fn a_directory_behind_a_link_is_not_deleted<A: Api>() {
    for errno in REFUSALS {
        sandbox();
        make_dir("/run/real");
        placeholder("/run/real/a");
        symlink("real", "/run/link");
        let mut o = Observer::<A>::open_synced(&How::dir("/run/link").flags(NSW_DIR_EVENTS));
        elsewhere(&refusing(&[libc::SYS_fstatfs], errno), || assert_eq!(o.api.resync(), Err(errno)));
        assert_eq!(o.resync(), []);
    }
}

/// Landlock may refuse to open a directory: unlike a revoked permission, that says nothing about the names.
fn a_directory_that_a_policy_hides_is_not_deleted<A: Api>() {
    let mut o = warm::<A>(NSW_DIR_EVENTS);
    let refused = elsewhere(&Restriction::none(), || {
        if !thread::hide_directories() {
            return false;
        }
        assert_eq!(o.api.resync(), Err(libc::EACCES));
        assert_eq!(o.try_now(), Err(libc::EACCES));
        true
    });
    if refused {
        o.expect(&[(Synced, "")]);
        quiet(&mut o);
        o.expect_truth(RUN_NETNS);
    }
}
