//! A user who may rename the directory can provoke scans of all names: the watcher limits how often it scans.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere, stopped_at};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS};

both! {
    provoked_scans_are_delayed
    a_requested_resync_is_not_delayed
    one_replacement_is_reported_at_once
    a_scan_for_mounts_is_not_forgotten_without_a_timer
    a_delayed_scan_returns_few_errors
    a_scan_that_waited_for_something_else_delays_nothing
}

const OTHER: &str = "/run/other";

/// Makes two directories of so many names each.
fn two_directories(names: usize) {
    sandbox();
    for dir in [RUN_NETNS, OTHER] {
        make_dir(dir);
        (0..names).for_each(|i| placeholder(format!("{dir}/{i}")));
    }
}

fn watch<A: Api>() -> Observer<A> {
    Observer::open_synced(&How::default().flags(NSW_DIR_EVENTS))
}

/// The same with links, each of which a scan follows for some milliseconds. Else the watcher would take less time than the
/// test, or than it waits for other programs, and would have no reason to delay a scan.
fn watch_slowly<A: Api>() -> Observer<A> {
    two_directories(20);
    // the kernel follows at most 40
    let bend = |i: usize| format!("/run/bend{i}");
    (0..37).for_each(|i| symlink(format!("{}{}", "/.".repeat(2000), bend(i + 1)), bend(i)).unwrap());
    symlink("/run/nowhere", bend(37)).unwrap();
    for dir in [RUN_NETNS, OTHER] {
        (0..20).for_each(|i| symlink(bend(0), format!("{dir}/link{i}")).unwrap());
    }
    watch()
}

/// Exchanges the directories until the watcher delays a scan.
fn provoke<A: Api>(o: &mut Observer<A>) {
    for _ in 0..300 {
        exchange(RUN_NETNS, OTHER);
        if o.drain().is_empty() {
            return;
        }
    }
    panic!("each of 300 replacements made the watcher scan at once");
}

fn provoked_scans_are_delayed<A: Api>() {
    let mut o = watch_slowly::<A>();
    provoke(&mut o);
    assert!(!readable(o.api.fd(), Duration::ZERO), "readable while the scan is delayed");
    // the watcher reports names meanwhile
    placeholder(format!("{OTHER}/new"));
    assert_eq!(o.now().map(|event| event.brief()), Some((Created, "new".to_owned())));
    o.until(DirDeleted, "");
    o.until(DirCreated, "");
    o.until(Created, "19");
    o.drain();
    o.expect_truth(RUN_NETNS);
}

fn a_requested_resync_is_not_delayed<A: Api>() {
    let mut o = watch_slowly::<A>();
    provoke(&mut o);
    o.api.resync().unwrap();
    o.drain();
    assert_eq!(o.log.last().map(|event| event.kind), Some(Synced));
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

fn one_replacement_is_reported_at_once<A: Api>() {
    // however long the scan at open took
    two_directories(20_000);
    let mut o = watch::<A>();
    exchange(RUN_NETNS, OTHER);
    o.drain();
    assert_eq!(o.log.iter().filter(|event| event.kind == DirCreated).count(), 2);
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

const SYS_STATMOUNT: libc::c_long = 457;

fn a_scan_for_mounts_is_not_forgotten_without_a_timer<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    (0..2000).for_each(|i| placeholder(format!("{RUN_NETNS}/{i}")));
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
    // each change of a mount requires a probe of all names
    let restriction =
        Restriction::none().failing(libc::SYS_timerfd_settime, libc::EPERM).failing(SYS_STATMOUNT, libc::EPERM);
    elsewhere(&restriction, || {
        for i in 0..40 {
            mount_new_netns(format!("{RUN_NETNS}/{i}"));
            o.expect(&[(Ready, i.to_string().as_str())]);
        }
    });
}

/// The owner of the directory may make the names unreachable while a scan is delayed.
fn a_delayed_scan_returns_few_errors<A: Api>() {
    let mut o = watch_slowly::<A>();
    let (reported, errors) = elsewhere(&Restriction::powerless(), || {
        provoke(&mut o);
        placeholder(format!("{OTHER}/new"));
        std::fs::set_permissions(RUN_NETNS, PermissionsExt::from_mode(0o000)).unwrap();
        let (mut reported, mut errors) = (Vec::new(), 0);
        while reported.last() != Some(&DirDeleted) {
            assert!(readable(o.api.fd(), DEADLINE));
            match o.try_now() {
                Ok(event) => reported.extend(event.map(|event| event.kind)),
                Err(errno) => {
                    assert_eq!(errno, libc::EACCES);
                    errors += 1;
                }
            }
        }
        (reported, errors)
    });
    assert!(errors <= 3, "{errors} errors, {} events", reported.len());
}

fn a_scan_that_waited_for_something_else_delays_nothing<A: Api>() {
    two_directories(10);
    let mut o = watch::<A>();
    exchange(RUN_NETNS, OTHER);
    // so long that the test would notice four times as much
    let pause = Duration::from_secs(2);
    stopped_at(libc::SYS_getdents64, || std::thread::sleep(pause), || drop(o.drain()));
    exchange(RUN_NETNS, OTHER);
    assert!(o.drain().iter().any(|event| event.kind == DirCreated), "the scan is delayed");
}
