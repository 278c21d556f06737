//! System calls that fail, at open and later: an errno or a fallback; nothing is lost or wrong.

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS, NSW_NO_PARENT};

both! {
    each_failure_at_open_is_passed_on
    a_failed_resync_is_retried
    a_directory_that_could_not_be_read_is_reported_later
    a_directory_that_could_not_be_reached_is_reported_later
    a_name_that_could_not_be_probed_is_reported_later
    a_path_that_could_not_be_watched_is_watched_later
    mounts_that_could_not_be_listened_to_are_noticed_later
    mounts_that_could_not_be_listened_to_hide_no_other_name
    mounts_that_could_not_be_asked_for_again_are_noticed_later
    a_cover_is_noticed_after_a_failed_call
    a_failure_to_stop_listening_is_no_failure
    events_before_a_failure_are_not_repeated
    a_descriptor_that_could_not_be_rearmed_recovers
    an_end_of_the_watch_is_synced_despite_later_failures
    without_file_handles
    without_file_handles_and_ids
    without_any_new_feature
}

fn none() -> Restriction {
    Restriction::none()
}

fn each_failure_at_open_is_passed_on<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/half");
    use libc::*;
    let failures: [(c_long, &[i32]); 7] = [
        (SYS_inotify_init1, &[EMFILE, ENFILE, ENOMEM]),
        (SYS_epoll_create1, &[EMFILE, ENFILE, ENOMEM]),
        (SYS_eventfd2, &[EMFILE, ENFILE, ENOMEM]),
        (SYS_epoll_ctl, &[ENOMEM, ENOSPC]),
        (SYS_inotify_add_watch, &[ENOMEM, ENOSPC]),
        (SYS_openat, &[EMFILE, ENFILE, ENOMEM]),
        (SYS_getdents64, &[ENOMEM]),
    ];
    for (call, errnos) in failures {
        for &errno in errnos {
            let result = elsewhere(&none().failing(call, errno), || A::open(&How::default()).err());
            assert_eq!(result, Some(errno), "system call {call}");
        }
    }
    // a missing or forbidden call is not needed
    for call in [SYS_fanotify_init, SYS_fanotify_mark, SYS_io_setup, SYS_io_submit, SYS_name_to_handle_at] {
        for errno in [ENOSYS, EPERM, EINVAL] {
            let result = elsewhere(&none().failing(call, errno), || A::open(&How::default()).err());
            assert_eq!(result, None, "system call {call}, errno {errno}");
        }
    }
}

/// A watcher in a directory with one namespace.
fn watched<A: Api>() -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/old");
    mount_new_netns("/run/netns/old");
    Observer::open_synced(&How::default().flags(NSW_DIR_EVENTS | NSW_NO_MOUNT_EVENTS))
}

fn fails<A: Api>(o: &mut Observer<A>, restriction: Restriction, errno: i32) {
    elsewhere(&restriction, || o.keeps_failing(errno));
}

fn end<A: Api>(o: &mut Observer<A>) {
    o.drain();
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
    assert_eq!(o.resync(), []);
    placeholder("/run/netns/alive");
    o.expect(&[(Created, "alive")]);
    mount_new_netns("/run/netns/alive");
    o.expect(&[(Ready, "alive")]);
}

fn a_failed_resync_is_retried<A: Api>() {
    let mut o = watched::<A>();
    unmount("/run/netns/old");
    let restriction = none().failing(libc::SYS_openat, libc::EMFILE);
    assert_eq!(elsewhere(&restriction, || o.api.resync()), Err(libc::EMFILE));
    assert!(readable(o.api.fd(), std::time::Duration::ZERO), "not readable, so nothing would retry");
    fails(&mut o, restriction, libc::EMFILE);
    assert!(o.expect(&[(Detached, "old"), (Synced, "")])[0].replayed);
    end(&mut o);
}

fn a_directory_that_could_not_be_read_is_reported_later<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/new");
    placeholder("/run/new/half");
    exchange("/run/new", RUN_NETNS);
    let restriction = none().failing(libc::SYS_getdents64, libc::ENOMEM);
    let events = elsewhere(&restriction, || o.expect(&[(Deleted, "old"), (DirDeleted, ""), (DirCreated, "")]));
    assert!(events.iter().all(|event| !event.replayed), "{events:?}");
    fails(&mut o, restriction, libc::ENOMEM);
    assert!(!o.expect(&[(Created, "half")])[0].replayed);
    end(&mut o);
}

fn a_directory_that_could_not_be_reached_is_reported_later<A: Api>() {
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
        let body = move || {
            let mut o = watched::<A>();
            make_dir("/run/new");
            placeholder("/run/new/half");
            exchange("/run/new", RUN_NETNS);
            fails(&mut o, none().failing(libc::SYS_openat, errno), errno);
            o.expect(&[(Deleted, "old"), (DirDeleted, ""), (DirCreated, ""), (Created, "half")]);
            end(&mut o);
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn a_path_that_could_not_be_watched_is_watched_later<A: Api>() {
    for errno in [libc::ENOSPC, libc::ENOMEM] {
        let body = move || {
            let mut o = watched::<A>();
            make_dir("/run/new");
            exchange("/run/new", RUN_NETNS);
            fails(&mut o, none().failing(libc::SYS_inotify_add_watch, errno), errno);
            // it is made and removed meanwhile
            exchange("/run/new", RUN_NETNS);
            fails(&mut o, none().failing(libc::SYS_inotify_add_watch, errno), errno);
            exchange("/run/new", RUN_NETNS);
            o.until(DirDeleted, "");
            o.expect(&[(DirCreated, "")]);
            end(&mut o);
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn a_name_that_could_not_be_probed_is_reported_later<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    let restriction = none().failing(libc::SYS_name_to_handle_at, libc::ENOMEM).failing(libc::SYS_openat, libc::ENOMEM);
    elsewhere(&restriction, || o.expect(&[(Created, "blue")]));
    fails(&mut o, restriction, libc::ENOMEM);
    o.expect(&[(Ready, "blue")]);
    end(&mut o);
}

fn mounts_that_could_not_be_listened_to_are_noticed_later<A: Api>() {
    let failures =
        [(libc::SYS_openat, libc::EMFILE), (libc::SYS_eventfd2, libc::ENFILE), (libc::SYS_epoll_ctl, libc::ENOMEM)];
    for (call, errno) in failures {
        let body = move || {
            let mut o = watched::<A>();
            placeholder("/run/netns/half");
            let restriction = Restriction::without_sys_admin().failing(call, errno);
            elsewhere(&restriction, || o.expect(&[(Created, "half")]));
            fails(&mut o, restriction, errno);
            mount_new_netns("/run/netns/half");
            o.expect(&[(Ready, "half")]);
            end(&mut o);
        };
        std::thread::spawn(body).join().unwrap();
    }
}

/// The watcher still probes the names after the pending one: these are links to a namespace.
fn mounts_that_could_not_be_listened_to_hide_no_other_name<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/half");
    symlink("/run/netns/old", "/run/netns/link");
    symlink("/run/netns/old", "/run/netns/zlink");
    let restriction = Restriction::without_sys_admin().failing(libc::SYS_eventfd2, libc::ENFILE);
    let events = [(Created, "half"), (Created, "link"), (Created, "zlink"), (Ready, "link"), (Ready, "zlink")];
    elsewhere(&restriction, || o.expect(&events));
    fails(&mut o, restriction, libc::ENFILE);
    mount_new_netns("/run/netns/half");
    o.expect(&[(Ready, "half")]);
    end(&mut o);
}

fn mounts_that_could_not_be_asked_for_again_are_noticed_later<A: Api>() {
    for (call, errno) in [(libc::SYS_io_submit, libc::ENOMEM), (libc::SYS_io_getevents, libc::EINTR)] {
        let body = move || {
            let mut o = watched::<A>();
            placeholder("/run/netns/half");
            elsewhere(&Restriction::without_sys_admin(), || o.expect(&[(Created, "half")]));
            mount_new_netns("/run/netns/half");
            assert!(readable(o.api.fd(), DEADLINE));
            assert_eq!(elsewhere(&none().failing(call, errno), || o.api.next()), Err(errno));
            assert!(readable(o.api.fd(), std::time::Duration::ZERO), "not readable, so nothing would retry");
            o.expect(&[(Ready, "half")]);
            o.expect_nothing();
            // and the watcher still listens
            placeholder("/run/netns/next");
            o.expect(&[(Created, "next")]);
            mount_new_netns("/run/netns/next");
            o.expect(&[(Ready, "next")]);
            end(&mut o);
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn a_cover_is_noticed_after_a_failed_call<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/blue");
    let aio = Restriction::without_sys_admin();
    let mut o = elsewhere(&aio, || Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS)));
    mount("cover", "/run", Some("tmpfs"), 0);
    assert!(readable(o.api.fd(), DEADLINE));
    assert_eq!(elsewhere(&none().failing(libc::SYS_io_submit, libc::ENOMEM), || o.api.next()), Err(libc::ENOMEM));
    o.expect(&[(Deleted, "blue")]);
}

fn a_failure_to_stop_listening_is_no_failure<A: Api>() {
    let mut o = watched::<A>();
    for turn in 0..3 {
        let name = format!("n{turn}");
        placeholder(format!("{RUN_NETNS}/{name}"));
        o.expect(&[(Created, &name)]);
        mount_new_netns(format!("{RUN_NETNS}/{name}"));
        elsewhere(&none().failing(libc::SYS_fanotify_mark, libc::EPERM), || o.expect(&[(Ready, &name)]));
        o.drain();
        o.expect_nothing();
    }
    end(&mut o);
}

fn events_before_a_failure_are_not_repeated<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/a");
    std::fs::remove_file("/run/netns/a").unwrap();
    make_dir("/run/new");
    exchange("/run/new", RUN_NETNS);
    let restriction = none().failing(libc::SYS_openat, libc::EMFILE);
    elsewhere(&restriction, || o.expect(&[(Created, "a"), (Deleted, "a")]));
    fails(&mut o, restriction, libc::EMFILE);
    o.expect(&[(Deleted, "old"), (DirDeleted, ""), (DirCreated, "")]);
    end(&mut o);
}

fn a_descriptor_that_could_not_be_rearmed_recovers<A: Api>() {
    let mut o = watched::<A>();
    // the path could lead elsewhere, but does not
    run("chmod", &["700", RUN_NETNS]);
    let restriction = none().failing(libc::SYS_openat, libc::EMFILE);
    fails(&mut o, restriction.clone(), libc::EMFILE);
    assert_eq!(elsewhere(&restriction.failing(libc::SYS_write, libc::ENOMEM), || o.api.next()), Err(libc::ENOMEM));
    o.expect_nothing();
    end(&mut o);
}

fn an_end_of_the_watch_is_synced_despite_later_failures<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    // the watcher listens to mounts until the end
    placeholder("/run/netns/half");
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_NO_PARENT));
    o.api.resync().unwrap();
    o.expect(&[(Synced, "")]);
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    let restriction = none().failing(libc::SYS_fanotify_mark, libc::EPERM);
    elsewhere(&restriction, || o.api.resync()).err();
    o.expect(&[(Deleted, "half"), (DirDeleted, ""), (Synced, "")]);
    assert_eq!(o.try_now(), Err(libc::ENOENT));
}

/// Watches names where the kernel lacks a feature.
fn lives_without<A: Api>(restriction: Restriction, ids: bool) {
    sandbox();
    make_dir(RUN_NETNS);
    let body = || {
        let mut o = Observer::<A>::open_synced(&How::default());
        ip_netns(&["add", "blue"]);
        let ready = o.expect(&[(Created, "blue"), (Ready, "blue")]).remove(1);
        let (dev, ino, cookie) = kernel::netns("/run/netns/blue").unwrap();
        assert_eq!((ready.dev, ready.ino, ready.cookie), (dev, ino, if ids { cookie } else { 0 }));
        drop(o.api.open_netns().unwrap());
        // replaced by a namespace with the same inode number
        unmount("/run/netns/blue");
        assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT));
        let ino = mount_successor("/run/netns/blue", ino);
        assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ESTALE));
        let events = o.resync();
        assert_eq!(events.iter().map(|event| (event.kind, event.ino)).collect::<Vec<_>>(), [(Ready, ino)]);
        // everything but a network namespace
        run("mkfifo", &["/run/netns/fifo"]);
        o.expect(&[(Created, "fifo")]);
        symlink("/proc/self/ns/uts", "/run/netns/uts");
        symlink("/proc/thread-self/ns/net", "/run/netns/self");
        symlink("loop", "/run/netns/loop");
        o.until(Ready, "self");
        drop(o.api.open_netns().unwrap());
        o.expect_nothing();
        // nothing has changed
        assert_eq!(o.resync(), []);
        placeholder("/run/netns/half");
        o.expect(&[(Created, "half")]);
        o.expect_nothing();
        mount_new_netns("/run/netns/half");
        o.expect(&[(Ready, "half")]);
        drop(o.api.open_netns().unwrap());
        assert_eq!(o.resync(), []);
        if ids {
            o.expect_truth(RUN_NETNS);
        }
    };
    elsewhere(&restriction, body);
}

const NS_GET_ID: u32 = 0x8008_b70d;

fn without_file_handles<A: Api>() {
    lives_without::<A>(none().failing(libc::SYS_name_to_handle_at, libc::EPERM), kernel::has_cookie());
}

fn without_file_handles_and_ids<A: Api>() {
    let restriction =
        none().failing(libc::SYS_name_to_handle_at, libc::EOPNOTSUPP).failing_ioctl(NS_GET_ID, libc::ENOTTY);
    lives_without::<A>(restriction, false);
}

fn without_any_new_feature<A: Api>() {
    let mut restriction = none().failing_ioctl(NS_GET_ID, libc::ENOTTY);
    for call in [libc::SYS_name_to_handle_at, libc::SYS_fanotify_init, libc::SYS_io_setup] {
        restriction = restriction.failing(call, libc::ENOSYS);
    }
    lives_without::<A>(restriction, false);
}
