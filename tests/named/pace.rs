//! Who may rename the directory can make the watcher look at all names: not more often than it has the time for.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere, stopped_at};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS};

both! {
    looks_that_others_provoke_must_wait
    a_look_that_is_asked_for_does_not_wait
    one_replacement_is_reported_at_once
    a_look_at_mounts_is_not_forgotten_where_no_timer_may_be_set
    errors_of_a_look_that_waits_are_few
    a_look_that_waited_for_something_else_delays_nothing
}

const OTHER: &str = "/run/other";

/// Two directories of so many names each.
fn two_directories<A: Api>(names: usize) -> Observer<A> {
    sandbox();
    for dir in [RUN_NETNS, OTHER] {
        make_dir(dir);
        (0..names).for_each(|i| placeholder(format!("{dir}/{i}")));
    }
    Observer::open_synced(&How::default().flags(NSW_DIR_EVENTS))
}

/// Exchanges the directories until the watcher does not look at once.
fn provoke<A: Api>(o: &mut Observer<A>) {
    for _ in 0..300 {
        exchange(RUN_NETNS, OTHER);
        if o.drain().is_empty() {
            return;
        }
    }
    panic!("each of 300 replacements made the watcher look at once");
}

fn looks_that_others_provoke_must_wait<A: Api>() {
    let mut o = two_directories::<A>(2000);
    provoke(&mut o);
    assert!(!readable(o.api.fd(), Duration::ZERO), "readable while the look waits");
    // names are reported meanwhile
    placeholder(format!("{OTHER}/new"));
    assert_eq!(o.now().map(|event| event.brief()), Some((Created, "new".to_owned())));
    o.until(DirDeleted, "");
    o.until(DirCreated, "");
    o.until(Created, "1999");
    o.drain();
    o.expect_truth(RUN_NETNS);
}

fn a_look_that_is_asked_for_does_not_wait<A: Api>() {
    let mut o = two_directories::<A>(2000);
    provoke(&mut o);
    o.api.resync().unwrap();
    o.drain();
    assert_eq!(o.log.last().map(|event| event.kind), Some(Synced));
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

fn one_replacement_is_reported_at_once<A: Api>() {
    // however long it took to look at all of them at open
    let mut o = two_directories::<A>(20_000);
    exchange(RUN_NETNS, OTHER);
    o.drain();
    assert_eq!(o.log.iter().filter(|event| event.kind == DirCreated).count(), 2);
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

const SYS_STATMOUNT: libc::c_long = 457;

fn a_look_at_mounts_is_not_forgotten_where_no_timer_may_be_set<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    (0..2000).for_each(|i| placeholder(format!("{RUN_NETNS}/{i}")));
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
    // each change of a mount costs a look at all names
    let restriction =
        Restriction::none().failing(libc::SYS_timerfd_settime, libc::EPERM).failing(SYS_STATMOUNT, libc::EPERM);
    elsewhere(&restriction, || {
        for i in 0..40 {
            mount_new_netns(format!("{RUN_NETNS}/{i}"));
            o.expect(&[(Ready, i.to_string().as_str())]);
        }
    });
}

/// Whoever owns the directory may make the names unreachable while a look at it must wait.
fn errors_of_a_look_that_waits_are_few<A: Api>() {
    let mut o = two_directories::<A>(2000);
    let (told, errors) = elsewhere(&Restriction::powerless(), || {
        provoke(&mut o);
        placeholder(format!("{OTHER}/new"));
        std::fs::set_permissions(RUN_NETNS, PermissionsExt::from_mode(0o000)).unwrap();
        let (mut told, mut errors) = (Vec::new(), 0);
        while told.last() != Some(&DirDeleted) {
            assert!(readable(o.api.fd(), DEADLINE));
            match o.try_now() {
                Ok(event) => told.extend(event.map(|event| event.kind)),
                Err(errno) => {
                    assert_eq!(errno, libc::EACCES);
                    errors += 1;
                }
            }
        }
        (told, errors)
    });
    assert!(errors <= 3, "{errors} errors, {} events", told.len());
}

fn a_look_that_waited_for_something_else_delays_nothing<A: Api>() {
    let mut o = two_directories::<A>(10);
    exchange(RUN_NETNS, OTHER);
    // so long that four times as much would be noticed
    let pause = Duration::from_secs(2);
    stopped_at(libc::SYS_getdents64, || std::thread::sleep(pause), || drop(o.drain()));
    exchange(RUN_NETNS, OTHER);
    assert!(o.drain().iter().any(|event| event.kind == DirCreated), "the look waits");
}
