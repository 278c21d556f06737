//! Opening the announced namespace, and the effects of the flags.

use std::os::fd::AsRawFd;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_NO_PARENT, NSW_NO_REPLAY};

both! {
    the_announced_namespace_can_be_entered
    an_opened_namespace_is_closed_on_exec
    a_replaced_namespace_is_not_opened
    a_recycled_inode_number_does_not_deceive
    a_namespace_that_is_gone_is_not_opened
    only_a_ready_name_is_opened
    a_linked_namespace_is_opened
    without_replay_only_changes_are_reported
    without_replay_an_existing_placeholder_becomes_ready
    without_replay_a_replaced_name_is_reported_as_new
    without_replay_a_resync_reports_all
    without_replay_a_resync_reports_the_directory_too
    without_replay_a_new_directory_is_reported
    without_parent_the_directory_must_exist
    without_parent_the_watch_ends_with_the_directory
    without_parent_a_moved_directory_ends_the_watch
    without_parent_a_replaced_directory_ends_the_watch
    the_directory_is_reported_on_request
    flags_can_be_combined
}

/// `ip netns` makes "blue"; the last event is its READY.
fn blue<A: Api>() -> Observer<A> {
    sandbox();
    let mut o = Observer::open_synced(&How::default());
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    o
}

fn the_announced_namespace_can_be_entered<A: Api>() {
    let o = blue::<A>();
    let namespace = o.api.open_netns().unwrap();
    let inside = std::thread::spawn(move || {
        // SAFETY: no pointers; it concerns this thread alone.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        kernel::netns("/proc/thread-self/ns/net")
    });
    let ready = o.log.last().unwrap();
    assert_eq!(inside.join().unwrap(), Some((ready.dev, ready.ino, ready.cookie)));
}

fn an_opened_namespace_is_closed_on_exec<A: Api>() {
    let namespace = blue::<A>().api.open_netns().unwrap();
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(namespace.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags, libc::FD_CLOEXEC);
}

fn a_replaced_namespace_is_not_opened<A: Api>() {
    let mut o = blue::<A>();
    mount_new_netns("/run/netns/blue");
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ESTALE));
    o.api.resync().unwrap();
    o.expect(&[(Ready, "blue")]);
    o.api.open_netns().unwrap();
}

fn a_recycled_inode_number_does_not_deceive<A: Api>() {
    let o = blue::<A>();
    let ino = o.log.last().unwrap().ino;
    unmount("/run/netns/blue");
    mount_successor("/run/netns/blue", ino);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ESTALE));
}

fn a_namespace_that_is_gone_is_not_opened<A: Api>() {
    let o = blue::<A>();
    unmount("/run/netns/blue");
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT), "a placeholder");
    std::fs::remove_file("/run/netns/blue").unwrap();
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT), "nothing");
    make_dir("/run/netns/blue");
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT), "a directory");
    std::fs::remove_dir("/run/netns/blue").unwrap();
    run("mkfifo", &["/run/netns/blue"]);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT), "a FIFO, which does not block");
    std::fs::remove_file("/run/netns/blue").unwrap();
    symlink("/proc/self/ns/uts", "/run/netns/blue");
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT), "another kind of namespace");
}

fn only_a_ready_name_is_opened<A: Api>() {
    let mut o = blue::<A>();
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::EINVAL));
    unmount("/run/netns/blue");
    o.api.resync().unwrap();
    o.expect(&[(Detached, "blue")]);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::EINVAL));
    o.expect(&[(Synced, "")]);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::EINVAL));
    ip_netns(&["del", "blue"]);
    o.expect(&[(Deleted, "blue")]);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::EINVAL));
}

fn a_linked_namespace_is_opened<A: Api>() {
    let mut o = blue::<A>();
    let process = Sleeper::new();
    symlink(process.namespace("net"), "/run/netns/link");
    let ready = o.expect(&[(Created, "link"), (Ready, "link")]).remove(1);
    let opened = std::fs::File::from(o.api.open_netns().unwrap());
    assert_eq!(kernel::netns_of(&opened), Some((ready.dev, ready.ino, ready.cookie)));
    drop(process);
    assert_eq!(o.api.open_netns().map(api::raw), Err(libc::ENOENT));
}

/// Makes names, and a watcher without a replay.
fn without_replay<A: Api>() -> Observer<A> {
    sandbox();
    ip_netns(&["add", "old"]);
    placeholder("/run/netns/half");
    let mut o = Observer::open(&How::default().flags(NSW_NO_REPLAY));
    o.expect_nothing();
    o
}

fn without_replay_only_changes_are_reported<A: Api>() {
    let mut o = without_replay::<A>();
    // neither its mount nor an unrelated one changes the existing names
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    ip_netns(&["del", "old"]);
    std::fs::remove_file("/run/netns/half").unwrap();
    o.expect_nothing();
    ip_netns(&["add", "old"]);
    o.expect(&[(Created, "old"), (Ready, "old")]);
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn without_replay_an_existing_placeholder_becomes_ready<A: Api>() {
    let mut o = without_replay::<A>();
    mount_new_netns("/run/netns/half");
    let events = o.expect(&[(Created, "half"), (Ready, "half")]);
    assert!(events.iter().all(|event| !event.replayed), "{events:?}");
    o.expect_nothing();
    std::fs::remove_file("/run/netns/half").unwrap_err();
    unmount("/run/netns/half");
    std::fs::remove_file("/run/netns/half").unwrap();
    o.expect(&[(Deleted, "half")]);
    o.expect_nothing();
}

fn without_replay_a_replaced_name_is_reported_as_new<A: Api>() {
    sandbox();
    let (one, other) = (Sleeper::new(), Sleeper::new());
    make_dir(RUN_NETNS);
    symlink(one.namespace("net"), "/run/netns/link");
    let mut o = Observer::<A>::open(&How::default().flags(NSW_NO_REPLAY));
    symlink(one.namespace("net"), "/run/same");
    rename("/run/same", "/run/netns/link");
    o.expect_nothing();
    symlink(other.namespace("net"), "/run/other");
    rename("/run/other", "/run/netns/link");
    o.expect(&[(Created, "link"), (Ready, "link")]);
    o.expect_nothing();
}

fn without_replay_a_resync_reports_all<A: Api>() {
    let mut o = without_replay::<A>();
    let events: Vec<_> = o.resync().iter().map(|event| event.brief()).collect();
    assert_eq!(events.len(), 3, "{events:?}");
    o.expect_truth(RUN_NETNS);
    assert_eq!(o.resync(), []);
}

fn without_replay_a_resync_reports_the_directory_too<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open(&How::default().flags(NSW_NO_REPLAY | NSW_DIR_EVENTS));
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    assert_eq!(o.resync().iter().map(|event| event.kind).collect::<Vec<_>>(), [DirCreated]);
    assert_eq!(o.resync(), []);
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    o.expect(&[(Deleted, "half"), (DirDeleted, "")]);
}

fn without_replay_a_new_directory_is_reported<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open(&How::default().flags(NSW_NO_REPLAY));
    o.expect_nothing();
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn without_parent_the_directory_must_exist<A: Api>() {
    sandbox();
    let how = How::default().flags(NSW_NO_PARENT);
    assert_eq!(A::open(&how).err(), Some(libc::ENOENT));
    assert_eq!(A::open(&How::dir("/run/none/of/these").flags(NSW_NO_PARENT)).err(), Some(libc::ENOENT));
    symlink("/run/nowhere", "/run/netns");
    assert_eq!(A::open(&how).err(), Some(libc::ENOENT));
    make_dir("/run/nowhere");
    Observer::<A>::open_synced(&how);
}

/// A watcher that ends with its directory, which holds a namespace and a placeholder.
fn without_parent<A: Api>() -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    symlink("/proc/self/ns/net", "/run/netns/link");
    placeholder("/run/netns/half");
    Observer::open_synced(&How::default().flags(NSW_NO_PARENT))
}

/// Expects the last events, then `ENOENT` for ever; the descriptor lets no consumer sleep.
fn expect_end<A: Api>(o: &mut Observer<A>) {
    o.expect(&[(Deleted, "half"), (Deleted, "link"), (DirDeleted, "")]);
    for _ in 0..3 {
        assert_eq!(o.api.next(), Err(libc::ENOENT));
        assert_eq!(o.api.wait(None), Err(libc::ENOENT));
        assert_eq!(o.api.resync(), Err(libc::ENOENT));
        assert!(readable(o.api.fd(), DEADLINE));
    }
}

fn without_parent_the_watch_ends_with_the_directory<A: Api>() {
    let mut o = without_parent::<A>();
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/new");
    o.until(DirDeleted, "");
    assert_eq!(o.checker.names.len(), 0);
    assert_eq!(o.api.next(), Err(libc::ENOENT));
    assert_eq!(o.api.stat(nswatch::capi::watcher::NSW_STAT_KNOWN), 0);
}

fn without_parent_a_moved_directory_ends_the_watch<A: Api>() {
    let mut o = without_parent::<A>();
    rename(RUN_NETNS, "/run/elsewhere");
    expect_end(&mut o);
    rename("/run/elsewhere", RUN_NETNS);
    assert_eq!(o.api.next(), Err(libc::ENOENT));
}

fn without_parent_a_replaced_directory_ends_the_watch<A: Api>() {
    let mut o = without_parent::<A>();
    make_dir("/run/other");
    exchange("/run/other", RUN_NETNS);
    expect_end(&mut o);
}

fn the_directory_is_reported_on_request<A: Api>() {
    sandbox();
    let how = How::default().flags(NSW_DIR_EVENTS);
    let mut o = Observer::<A>::open(&how);
    o.expect(&[(Synced, "")]);
    for _ in 0..3 {
        ip_netns(&["add", "blue"]);
        o.expect(&[(DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
        assert!(o.log.iter().all(|event| !event.replayed));
        ip_netns(&["del", "blue"]);
        unmount(RUN_NETNS);
        std::fs::remove_dir(RUN_NETNS).unwrap();
        o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
        o.expect_nothing();
    }
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open(&how);
    assert!(o.expect(&[(DirCreated, ""), (Synced, "")])[0].replayed);
    o.expect_nothing();
}

fn flags_can_be_combined<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/half");
    let mut o = Observer::<A>::open(&How::default().flags(NSW_NO_REPLAY | NSW_NO_PARENT | NSW_DIR_EVENTS));
    o.expect_nothing();
    placeholder("/run/netns/new");
    o.expect(&[(Created, "new")]);
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    o.expect(&[(Deleted, "new"), (DirDeleted, "")]);
    assert_eq!(o.api.next(), Err(libc::ENOENT));
}
