//! More events than the kernel's queue holds, and many names at once.

use crate::support::api::{Api, Ev, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_NO_MOUNT_EVENTS};
use nswatch::capi::watcher::*;

both! {
    an_overflow_is_recovered
    an_overflow_of_a_name_that_seems_untouched
    an_overflow_while_the_directory_is_replaced
    an_overflow_without_replay
    an_overflow_that_cannot_be_recovered_yet
    a_debounced_event_is_reported_before_an_overflow
    a_storm_during_the_recovery_converges
    three_hundred_namespaces_in_a_tight_loop
    three_hundred_namespaces_in_a_tight_loop_by_aio
}

/// Makes more events than a queue holds: two for each name.
fn overflow() {
    let queue: usize =
        std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for n in 0..queue / 2 + 50 {
        let path = format!("{RUN_NETNS}/storm{n}");
        placeholder(&path);
        std::fs::remove_file(path).unwrap();
    }
}

fn name(name: &str) {
    let path = format!("{RUN_NETNS}/{name}");
    placeholder(&path);
    mount_new_netns(&path);
}

fn delete(name: &str) {
    let path = format!("{RUN_NETNS}/{name}");
    unmount(&path);
    std::fs::remove_file(path).unwrap();
}

fn watched<A: Api>(flags: u32) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    name("stays");
    name("goes");
    name("changes");
    placeholder("/run/netns/half");
    let mut o = Observer::open(&How::default().flags(flags));
    o.drain();
    o
}

/// Takes events up to the end of an overflow; returns those between it and `Synced`.
fn recover<A: Api>(o: &mut Observer<A>) -> Vec<Ev> {
    let overflows = o.api.stat(NSW_STAT_OVERFLOWS);
    o.until(Overflow, "");
    let from = o.log.len();
    o.until(Synced, "");
    assert_eq!(o.api.stat(NSW_STAT_OVERFLOWS), overflows + 1);
    o.log[from..o.log.len() - 1].to_vec()
}

fn end<A: Api>(o: &mut Observer<A>) {
    o.drain();
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
    assert_eq!(o.checker.open_overflows, 0);
    assert_eq!(o.api.stat(NSW_STAT_QUEUED), 0);
    assert_eq!(o.api.stat(NSW_STAT_DELIVERED), o.log.len() as u64);
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), kernel::names(RUN_NETNS).len() as u64);
    let pending = kernel::names(RUN_NETNS).values().filter(|id| id.is_none()).count();
    assert_eq!(o.api.stat(NSW_STAT_PENDING), pending as u64);
    assert_eq!(o.resync(), []);
    name("alive");
    o.expect(&[(Created, "alive"), (Ready, "alive")]);
    delete("alive");
    o.expect(&[(Deleted, "alive")]);
}

fn an_overflow_is_recovered<A: Api>() {
    let mut o = watched::<A>(NSW_NO_MOUNT_EVENTS);
    let resyncs = o.api.stat(NSW_STAT_RESYNCS);
    overflow();
    // the queue has none of these
    name("new");
    delete("goes");
    delete("changes");
    name("changes");
    let mut reported: Vec<_> = recover(&mut o).iter().map(|event| (event.replayed, event.brief())).collect();
    reported.sort();
    // the smallest set of differences, without unchanged names
    let expected = [(Created, "new"), (Ready, "changes"), (Ready, "new"), (Deleted, "goes")];
    assert_eq!(reported, expected.map(|(kind, name)| (true, (kind, name.to_owned()))));
    assert_eq!(o.api.stat(NSW_STAT_RESYNCS), resyncs + 1);
    assert_eq!(o.api.stat(NSW_STAT_DROPPED), 0, "inotify does not count lost events");
    assert!(o.api.stat(NSW_STAT_QUEUED_MAX) > 0);
    end(&mut o);
    // and once more
    overflow();
    delete("new");
    assert_eq!(recover(&mut o).iter().map(Ev::brief).collect::<Vec<_>>(), [(Deleted, "new".to_owned())]);
    end(&mut o);
}

fn an_overflow_of_a_name_that_seems_untouched<A: Api>() {
    let mut o = watched::<A>(0);
    overflow();
    let ino = o.checker.names[&b"changes".to_vec()].unwrap().1;
    unmount("/run/netns/changes");
    mount_successor("/run/netns/changes", ino);
    mount_new_netns("/run/netns/half");
    recover(&mut o);
    // the watcher may have noticed that half became ready before it noticed the overflow
    assert!(o.briefs().contains(&(Ready, "half".into())));
    end(&mut o);
}

fn an_overflow_while_the_directory_is_replaced<A: Api>() {
    let mut o = watched::<A>(NSW_DIR_EVENTS);
    overflow();
    make_dir("/run/new");
    placeholder("/run/new/other");
    exchange("/run/new", RUN_NETNS);
    let events = recover(&mut o);
    let gone = events.iter().position(|event| event.kind == DirDeleted).expect("the directory went");
    assert_eq!(events[gone + 1].kind, DirCreated);
    assert!(events[..gone].iter().all(|event| event.kind == Deleted), "{events:#?}");
    assert!(events.iter().all(|event| event.replayed), "{events:#?}");
    end(&mut o);
}

fn an_overflow_without_replay<A: Api>() {
    let mut o = watched::<A>(nswatch::capi::options::NSW_NO_REPLAY);
    assert_eq!(o.log, []);
    overflow();
    name("new");
    recover(&mut o);
    end(&mut o);
}

fn an_overflow_that_cannot_be_recovered_yet<A: Api>() {
    let mut o = watched::<A>(0);
    name("new");
    let restriction = Restriction::none().failing(libc::SYS_openat, libc::EMFILE);
    for _ in 0..2 {
        // a second one before the recovery is the same one
        overflow();
        elsewhere(&restriction, || {
            let errno = loop {
                match o.try_now() {
                    Ok(event) => assert!(event.is_some() || readable(o.api.fd(), DEADLINE)),
                    Err(errno) => break errno,
                }
            };
            assert_eq!(errno, libc::EMFILE);
        });
        assert!(readable(o.api.fd(), DEADLINE));
        assert_eq!(o.checker.open_overflows, 1);
    }
    assert_eq!(o.api.stat(NSW_STAT_OVERFLOWS), 1);
    o.until(Synced, "");
    end(&mut o);
}

/// The debounced event came earlier and is no part of the recovery.
fn a_debounced_event_is_reported_before_an_overflow<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&How { settle_ms: 3_600_000, ..How::default() });
    placeholder("/run/netns/held");
    o.expect_nothing();
    overflow();
    placeholder("/run/netns/lost");
    o.expect(&[(Created, "held"), (Overflow, "")]);
    let events = o.expect(&[(Created, "lost"), (Synced, "")]);
    assert!(events[0].replayed);
}

fn a_storm_during_the_recovery_converges<A: Api>() {
    let mut o = watched::<A>(0);
    std::thread::scope(|scope| {
        let storm = scope.spawn(|| (0..4).for_each(|_| overflow()));
        while !storm.is_finished() {
            // now and then, like a consumer with other work
            overflow_read(&mut o);
        }
        storm.join().unwrap();
    });
    name("new");
    o.until(Ready, "new");
    end(&mut o);
}

fn overflow_read<A: Api>(o: &mut Observer<A>) {
    // the last read may have ended the storm
    if readable(o.api.fd(), std::time::Duration::from_millis(10)) {
        for _ in 0..100 {
            o.now();
        }
    }
}

/// `ip netns add`, as fast as it goes; a consumer finds each namespace when it gets its READY.
fn three_hundred<A: Api>(restriction: Restriction) {
    const COUNT: usize = 300;
    sandbox();
    let mut o = elsewhere(&restriction, || {
        make_dir(RUN_NETNS);
        placeholder("/run/netns/stale");
        Observer::<A>::open_synced(&How::default())
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..COUNT {
                ip_netns(&["add", &format!("n{n}")]);
                if n % 3 == 0 {
                    ip_netns(&["del", &format!("n{n}")]);
                }
            }
        });
        let mut gone = 0;
        let mut ready = 0;
        while ready + gone < COUNT {
            let event = o.next();
            match event.kind {
                Ready => {
                    ready += 1;
                    match o.api.open_netns() {
                        Ok(namespace) => {
                            let is = kernel::netns_of(&std::fs::File::from(namespace));
                            assert_eq!(is, Some((event.dev, event.ino, event.cookie)));
                        }
                        Err(errno) => assert_eq!(errno, libc::ENOENT, "{event:?} could not be opened"),
                    }
                }
                // too short-lived for anybody to see
                Deleted if !o.log.iter().any(|seen| seen.kind == Ready && seen.name == event.name) => gone += 1,
                _ => {}
            }
        }
        assert!(gone <= COUNT / 3, "{gone} deleted names were not reported as ready");
    });
    o.drain();
    let created = o.log.iter().filter(|event| event.kind == Created).count();
    assert_eq!((created, o.api.stat(NSW_STAT_OVERFLOWS)), (COUNT + 1, 0));
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn three_hundred_namespaces_in_a_tight_loop<A: Api>() {
    three_hundred::<A>(Restriction::none());
}

fn three_hundred_namespaces_in_a_tight_loop_by_aio<A: Api>() {
    three_hundred::<A>(Restriction::without_sys_admin());
}
