//! Mount events: unmounts and re-binds as they happen, with and without the privilege for fanotify.

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS};

both! {
    an_unmount_and_a_new_mount_are_told_as_they_happen
    what_is_hidden_and_uncovered_is_told
    a_name_that_waits_is_ready_when_it_is_uncovered
    a_link_follows_what_it_leads_to
    a_directory_that_is_covered_goes_and_comes_back
    an_ancestor_that_is_covered_while_the_directory_is_missing
    what_a_mount_did_is_told_with_the_time_of_then
    unrelated_mounts_tell_nothing
    a_storm_of_mounts_converges
}

fn watched<A: Api>() -> Observer<A> {
    sandbox();
    ip_netns(&["add", "blue"]);
    Observer::open_synced(&How::default().flags(NSW_MOUNT_EVENTS))
}

fn an_unmount_and_a_new_mount_are_told_as_they_happen<A: Api>() {
    let mut o = watched::<A>();
    unmount("/run/netns/blue");
    o.expect(&[(Detached, "blue")]);
    o.expect_nothing();
    mount_new_netns("/run/netns/blue");
    let ready = o.expect(&[(Ready, "blue")]).remove(0);
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/blue"));
    ip_netns(&["del", "blue"]);
    o.until(Deleted, "blue");
    o.expect_nothing();
}

fn what_is_hidden_and_uncovered_is_told<A: Api>() {
    let mut o = watched::<A>();
    let first = kernel::netns("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    o.expect(&[(Ready, "blue")]);
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    assert_ne!(kernel::netns("/run/netns/blue"), first);
    unmount("/run/netns/blue");
    let ready = o.expect(&[(Ready, "blue")]).remove(0);
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), first);
    bind("/dev/null", "/run/netns/blue");
    o.expect(&[(Detached, "blue")]);
    o.expect_nothing();
}

/// Mounts are listened to anyway while a name waits, so this takes no flag.
fn a_name_that_waits_is_ready_when_it_is_uncovered<A: Api>() {
    for flags in [0, NSW_MOUNT_EVENTS] {
        sandbox();
        ip_netns(&["add", "blue"]);
        bind("/dev/null", "/run/netns/blue");
        let mut o = Observer::<A>::open(&How::default().flags(flags));
        o.expect(&[(Created, "blue"), (Synced, "")]);
        unmount("/run/netns/blue");
        let ready = o.expect(&[(Ready, "blue")]).remove(0);
        assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/blue"));
        o.expect_nothing();
    }
}

fn a_link_follows_what_it_leads_to<A: Api>() {
    let mut o = watched::<A>();
    std::os::unix::fs::symlink("blue", "/run/netns/alias").unwrap();
    o.expect(&[(Created, "alias"), (Ready, "alias")]);
    mount_new_netns("/run/netns/blue");
    o.until(Ready, "blue");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    unmount("/run/netns/blue");
    o.until(Ready, "blue");
    unmount("/run/netns/blue");
    o.until(Detached, "blue");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
}

fn a_directory_that_is_covered_goes_and_comes_back<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS | NSW_DIR_EVENTS));
    mount("cover", "/run/netns", Some("tmpfs"), 0);
    o.expect(&[(Deleted, "blue"), (DirDeleted, ""), (DirCreated, "")]);
    placeholder("/run/netns/other");
    o.expect(&[(Created, "other")]);
    unmount("/run/netns");
    o.expect(&[(Deleted, "other"), (DirDeleted, ""), (DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
    // a mount over the directory above hides it altogether
    mount("cover", "/run", Some("tmpfs"), 0);
    o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
    o.expect_nothing();
    unmount("/run");
    o.expect(&[(DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
    o.expect_nothing();
}

fn an_ancestor_that_is_covered_while_the_directory_is_missing<A: Api>() {
    for restriction in [thread::Restriction::none(), thread::Restriction::without_sys_admin()] {
        sandbox();
        let open = || Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
        let mut o = thread::elsewhere(&restriction, open);
        mount("cover", "/run", Some("tmpfs"), 0);
        // until that was looked at, which tells nothing: of AIO it is to be waited for, and it may say so twice
        assert!(readable(o.api.fd(), DEADLINE));
        while readable(o.api.fd(), std::time::Duration::ZERO) {
            assert_eq!(o.drain(), []);
        }
        make_dir(RUN_NETNS);
        placeholder("/run/netns/blue");
        o.expect(&[(Created, "blue")]);
    }
}

fn what_a_mount_did_is_told_with_the_time_of_then<A: Api>() {
    for restriction in [thread::Restriction::none(), thread::Restriction::without_sys_admin()] {
        sandbox();
        ip_netns(&["add", "blue"]);
        let open = || Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
        let mut o = thread::elsewhere(&restriction, open);
        let before = kernel::monotonic_ns();
        unmount("/run/netns/blue");
        let told = o.expect(&[(Detached, "blue")]).remove(0);
        assert!(told.time_ns >= before, "told as older than it is, by {} ns", before - told.time_ns);
        mount_new_netns("/run/netns/blue");
        o.expect(&[(Ready, "blue")]);
        let before = kernel::monotonic_ns();
        mount("cover", "/run", Some("tmpfs"), 0);
        let told = o.expect(&[(Deleted, "blue")]).remove(0);
        assert!(told.time_ns >= before, "told as older than it is, by {} ns", before - told.time_ns);
    }
}

fn unrelated_mounts_tell_nothing<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/elsewhere");
    for _ in 0..50 {
        mount("elsewhere", "/run/elsewhere", Some("tmpfs"), 0);
        unmount("/run/elsewhere");
    }
    o.expect_nothing();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
}

/// More changes than the queue of fanotify holds, none of them read as it happens.
fn a_storm_of_mounts_converges<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/elsewhere");
    for _ in 0..9000 {
        mount("elsewhere", "/run/elsewhere", Some("tmpfs"), 0);
        unmount("/run/elsewhere");
    }
    unmount("/run/netns/blue");
    o.until(Detached, "blue");
    o.drain();
    assert_eq!(o.checker.open_overflows, 0, "an overflow was not followed by synced");
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    mount_new_netns("/run/netns/blue");
    o.expect(&[(Ready, "blue")]);
}
