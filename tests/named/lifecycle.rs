//! Names that are created, become ready, change and are deleted.

use crate::support::api::{Api, How, Kind::*, Observer};
use crate::support::thread::stopped_at;
use crate::support::*;
use nswatch::capi::options::NSW_NO_MOUNT_EVENTS;

both! {
    a_namespace_comes_and_goes
    ready_identifies_the_namespace
    existing_names_are_replayed
    a_placeholder_is_reported_at_once_and_ready_when_it_is_mounted
    a_mount_between_a_probe_and_listening_is_not_missed
    a_stale_placeholder_delays_nobody
    many_placeholders_are_mounted_in_any_order
    a_placeholder_is_removed
    a_name_is_deleted_and_added_again_between_two_reads
    a_name_comes_and_goes_between_two_reads
    another_namespace_is_bound_over_a_ready_one
    another_namespace_takes_its_place_between_two_resyncs
    another_namespace_with_the_same_inode_number_takes_its_place
    an_unmount_is_found_by_a_resync
    a_detached_name_becomes_ready_again_as_it_happens
    a_resync_without_changes_emits_nothing
    the_watcher_listens_to_mounts_only_while_a_name_is_pending
}

/// Watches an empty directory of names.
fn watched<A: Api>() -> Observer<A> {
    watched_with(0)
}

fn watched_with<A: Api>(flags: u32) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::open(&How::default().flags(flags));
    o.expect(&[(Synced, "")]);
    o
}

fn a_namespace_comes_and_goes<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::default());
    ip_netns(&["add", "blue"]);
    let events = o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert!(events.iter().all(|event| !event.replayed), "{events:?}");
    ip_netns(&["del", "blue"]);
    o.expect(&[(Deleted, "blue")]);
    o.expect_nothing();
}

fn ready_identifies_the_namespace<A: Api>() {
    let mut o = watched::<A>();
    for name in ["blue", "green"] {
        ip_netns(&["add", name]);
        let ready = &o.expect(&[(Created, name), (Ready, name)])[1];
        let path = format!("{RUN_NETNS}/{name}");
        assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns(path));
        assert_ne!((ready.dev, ready.ino), (0, 0));
    }
    o.expect_truth(RUN_NETNS);
}

fn existing_names_are_replayed<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    ip_netns(&["add", "green"]);
    placeholder("/run/netns/half");
    let mut o = Observer::<A>::open(&How::default());
    o.until(Synced, "");
    o.expect_nothing();
    let (synced, replayed) = o.log.split_last().unwrap();
    assert!(replayed.iter().all(|event| event.replayed) && !synced.replayed, "{:#?}", o.log);
    assert_eq!(replayed.len(), 5, "{replayed:#?}");
    o.expect_truth(RUN_NETNS);
    // later events are not replayed
    mount_new_netns("/run/netns/half");
    assert!(!o.expect(&[(Ready, "half")])[0].replayed);
    o.expect_truth(RUN_NETNS);
}

fn a_placeholder_is_reported_at_once_and_ready_when_it_is_mounted<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/late");
    o.expect(&[(Created, "late")]);
    // however long it takes, there is no event, and nothing wakes the consumer
    o.expect_nothing();
    o.expect_nothing();
    mount_new_netns("/run/netns/late");
    let ready = &o.expect(&[(Ready, "late")])[0];
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/late"));
    o.expect_nothing();
}

/// The library probes, then listens, and must probe again: the mount appears just before it listens. (It tries fanotify
/// first, on any kernel.)
fn a_mount_between_a_probe_and_listening_is_not_missed<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let names = ["blue", "green"].map(|name| format!("{RUN_NETNS}/{name}"));
    let listening = libc::SYS_fanotify_init;
    // a name that exists at open
    placeholder(&names[0]);
    let mut o = stopped_at(
        listening,
        || mount_new_netns(&names[0]),
        || {
            let mut o = Observer::<A>::open(&How::default().flags(NSW_NO_MOUNT_EVENTS));
            o.expect(&[(Created, "blue"), (Ready, "blue"), (Synced, "")]);
            o
        },
    );
    o.expect_nothing();
    drop(o);
    // a later name, and a watcher that has never listened before
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_NO_MOUNT_EVENTS));
    placeholder(&names[1]);
    stopped_at(listening, || mount_new_netns(&names[1]), || drop(o.expect(&[(Created, "green"), (Ready, "green")])));
    o.expect_nothing();
}

fn a_stale_placeholder_delays_nobody<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/killed");
    o.expect(&[(Created, "killed")]);
    for _ in 0..3 {
        ip_netns(&["add", "blue"]);
        o.expect(&[(Created, "blue"), (Ready, "blue")]);
        ip_netns(&["del", "blue"]);
        o.expect(&[(Deleted, "blue")]);
    }
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn many_placeholders_are_mounted_in_any_order<A: Api>() {
    let mut o = watched::<A>();
    let path = |n: usize| format!("{RUN_NETNS}/n{n}");
    (0..20).for_each(|n| placeholder(path(n)));
    (0..20).for_each(|n| {
        o.expect(&[(Created, &format!("n{n}"))]);
    });
    for n in (0..20).map(|n| n * 7 % 20) {
        mount_new_netns(path(n));
        o.expect(&[(Ready, &format!("n{n}"))]);
    }
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn a_placeholder_is_removed<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    std::fs::remove_file("/run/netns/half").unwrap();
    o.expect(&[(Deleted, "half")]);
    o.expect_nothing();
}

fn a_name_is_deleted_and_added_again_between_two_reads<A: Api>() {
    let mut o = watched::<A>();
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    for _ in 0..8 {
        ip_netns(&["del", "blue"]);
        ip_netns(&["add", "blue"]);
        // not a replacement: the events show that the name was gone and came back
        o.expect(&[(Deleted, "blue"), (Created, "blue"), (Ready, "blue")]);
        o.expect_nothing();
        o.expect_truth(RUN_NETNS);
    }
}

fn a_name_comes_and_goes_between_two_reads<A: Api>() {
    let mut o = watched::<A>();
    for _ in 0..3 {
        ip_netns(&["add", "short"]);
        ip_netns(&["del", "short"]);
    }
    for _ in 0..3 {
        o.expect(&[(Created, "short"), (Deleted, "short")]);
    }
    o.expect_nothing();
}

fn another_namespace_is_bound_over_a_ready_one<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    ip_netns(&["add", "blue"]);
    let old = o.expect(&[(Created, "blue"), (Ready, "blue")]).remove(1);
    mount_new_netns("/run/netns/blue");
    let events = o.resync();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [Ready]);
    assert_ne!((old.ino, old.cookie), (events[0].ino, events[0].cookie));
    o.expect_truth(RUN_NETNS);
    // and the first one is visible again below it
    unmount("/run/netns/blue");
    assert_eq!(o.resync()[0].ino, old.ino);
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

fn another_namespace_takes_its_place_between_two_resyncs<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    // many times: the kernel reuses the inode number of the old one as soon as it can
    for _ in 0..16 {
        unmount("/run/netns/blue");
        mount_new_netns("/run/netns/blue");
        assert_eq!(o.resync().iter().map(|event| event.kind).collect::<Vec<_>>(), [Ready]);
        o.expect_truth(RUN_NETNS);
    }
    o.expect_nothing();
}

fn another_namespace_with_the_same_inode_number_takes_its_place<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    ip_netns(&["add", "blue"]);
    let old = o.expect(&[(Created, "blue"), (Ready, "blue")]).remove(1);
    unmount("/run/netns/blue");
    let ino = mount_successor("/run/netns/blue", old.ino);
    let events = o.resync();
    assert_eq!(events.iter().map(|event| (event.kind, event.ino)).collect::<Vec<_>>(), [(Ready, ino)]);
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

fn an_unmount_is_found_by_a_resync<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    unmount("/run/netns/blue");
    assert_eq!(o.resync().iter().map(|event| event.kind).collect::<Vec<_>>(), [Detached]);
    o.expect_truth(RUN_NETNS);
    ip_netns(&["del", "blue"]);
    o.expect(&[(Deleted, "blue")]);
    o.expect_nothing();
}

fn a_detached_name_becomes_ready_again_as_it_happens<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    unmount("/run/netns/blue");
    o.resync();
    o.expect_nothing();
    mount_new_netns("/run/netns/blue");
    o.expect(&[(Ready, "blue")]);
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn a_resync_without_changes_emits_nothing<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    for _ in 0..3 {
        assert_eq!(o.resync(), []);
        o.expect_nothing();
    }
}

fn the_watcher_listens_to_mounts_only_while_a_name_is_pending<A: Api>() {
    let mut o = watched_with::<A>(NSW_NO_MOUNT_EVENTS);
    let idle = kernel::listens_to(o.api.fd());
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    assert_eq!(kernel::listens_to(o.api.fd()).len(), idle.len() + 1);
    mount_new_netns("/run/netns/half");
    o.expect(&[(Ready, "half")]);
    assert_eq!(kernel::listens_to(o.api.fd()), idle);
    unmount("/run/netns/half");
    o.resync();
    assert_eq!(kernel::listens_to(o.api.fd()).len(), idle.len() + 1);
    std::fs::remove_file("/run/netns/half").unwrap();
    o.expect(&[(Deleted, "half")]);
    o.expect_nothing();
    assert_eq!(kernel::listens_to(o.api.fd()), idle);
}
