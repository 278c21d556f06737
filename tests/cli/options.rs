//! Options of `watch` that change what is told, and when.

use crate::endings::stalled;
use crate::running::{Running, nswatch};
use crate::support::*;

fn watch(options: &[&str]) -> Running {
    let mut watch = Running::start(nswatch([&["watch", "--json"], options].concat()));
    watch.until("synced");
    watch
}

#[test]
fn mounts_are_reported_as_they_happen_unless_asked_not_to() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let (mut plain, mut mounts) = (watch(&["--no-mount-events"]), watch(&["--mount-events"]));
    unmount("/run/netns/blue");
    mounts.expect("detached", Some("blue"));
    mount_new_netns("/run/netns/blue");
    let ready = mounts.expect("ready", Some("blue"));
    assert_eq!(ready["ino"].as_u64(), kernel::netns("/run/netns/blue").map(|(_, ino, _)| ino));
    placeholder("/run/netns/red");
    mounts.expect("created", Some("red"));
    plain.expect("created", Some("red"));
}

#[test]
fn names_settle_before_they_are_told() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut watch = watch(&["--settle", "300"]);
    let before = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    placeholder("/run/netns/x");
    let told = watch.expect("created", Some("x"))["time_ns"].as_i64().unwrap();
    assert!(told >= before.tv_sec * 1_000_000_000 + before.tv_nsec + 300_000_000, "{before:?} {told}");
}

#[test]
fn a_name_that_comes_and_goes_while_it_settles_is_never_told() {
    sandbox();
    make_dir(RUN_NETNS);
    let hour = watch(&["--settle", "3600000"]);
    let mut plain = watch(&["--settle", "0"]);
    placeholder("/run/netns/brief");
    std::fs::remove_file("/run/netns/brief").unwrap();
    // what happened before the signal is told, if it is told at all
    assert_eq!(hour.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
    plain.expect("created", Some("brief"));
    plain.expect("deleted", Some("brief"));
}

const NAMES: u64 = 500;

/// Makes names while nobody reads what is printed of them, and it waits for somebody who does, one name in hand.
fn unread(queue: &str) -> (Running, std::fs::File) {
    sandbox();
    make_dir(RUN_NETNS);
    let (watch, reader) = stalled(nswatch(["watch", "--json", "--queue", queue]));
    watch.until_signals_are_caught();
    placeholder("/run/netns/first");
    // with the first line the pipe is as full as poll(2) lets it be
    watch.counter_becomes("delivered", |n| n == 2);
    for n in 0..NAMES {
        placeholder(format!("{RUN_NETNS}/{n}"));
    }
    (watch, reader)
}

#[test]
fn a_full_queue_drops_what_it_was_told_to_drop() {
    for (policy, kept) in [("drop-newest", 10), ("drop-oldest", 0)] {
        let (watch, reader) = unread(&format!("10,{policy}"));
        // it reads ahead though nobody reads it; when it knows of one more, it has dealt with all before that
        watch.counter_becomes("known", |n| n == 1 + NAMES);
        placeholder("/run/netns/last");
        watch.counter_becomes("known", |n| n == 2 + NAMES);
        let mut watch = watch.reading(reader);
        watch.expect("synced", None);
        watch.expect("created", Some("first"));
        let told = watch.until("overflow");
        assert_eq!(told.len() - 1, kept, "{policy}");
        let dropped = told[kept]["dropped"].as_u64().unwrap();
        assert!((0..=1).contains(&(kept as u64 + dropped - NAMES)), "{policy}: {dropped}");
        let rest = watch.until("synced");
        assert_eq!(rest.len() as u64 - 1, dropped, "{policy}");
        assert!(rest[..rest.len() - 1].iter().all(|json| json["replayed"] == true), "{policy}");
        if watch.names() == 1 + NAMES as usize {
            watch.expect("created", Some("last"));
        }
    }
}

#[test]
fn a_queue_that_blocks_loses_nothing() {
    for queue in ["10", "10,block"] {
        let (watch, reader) = unread(queue);
        watch.counter_becomes("queued", |n| n == 10);
        let mut watch = watch.reading(reader);
        watch.expect("synced", None);
        watch.expect("created", Some("first"));
        for n in 0..NAMES {
            assert_eq!(watch.expect("created", Some(&n.to_string()))["replayed"], false);
        }
        let (code, out, _) = watch.end_by(libc::SIGTERM);
        assert_eq!((code, out), (Some(0), vec![]));
    }
}

#[test]
fn ids_through_a_queue() {
    sandbox();
    let mut watch = watch(&["--source", "nsid", "--queue", "100,drop-oldest"]);
    for n in 0..20 {
        let name = format!("n{n}");
        ip_netns(&["add", &name]);
        ip_netns(&["set", &name, &n.to_string()]);
        assert_eq!(watch.expect("nsid_new", Some(&name))["nsid"], n);
    }
}
