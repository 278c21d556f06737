//! Ten seconds of assigning and killing with nsids that are reused at once, read by a slow reader with a small buffer
//! and by a fast one: the events keep the grammar, and in the end each reader has the kernel's state.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::api::{Api, How, Kind, Observer, Rust, readable};
use crate::support::nsid::{anonymous, enter, living};
use crate::support::*;
use nswatch::capi::options::NSW_ALL_NSID;
use nswatch::nsid;

const STORM: Duration = Duration::from_secs(10);

/// Pseudorandom numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Assigns and kills; returns the survivors.
fn storm(seed: u64, until: Instant, assigned: &AtomicUsize) -> Vec<OwnedFd> {
    let mut dice = Dice(seed);
    let mut alive = Vec::new();
    while Instant::now() < until {
        if alive.len() < 40 && dice.roll(2) == 0 {
            let namespace = anonymous();
            nsid::assign(&namespace, None).unwrap();
            assigned.fetch_add(1, Ordering::Relaxed);
            alive.push(namespace);
        } else if !alive.is_empty() {
            alive.swap_remove(dice.roll(alive.len()));
        }
    }
    alive
}

fn read_throughout(how: How, pause: bool) {
    sandbox();
    let here: OwnedFd = std::fs::File::open("/proc/thread-self/ns/net").unwrap().into();
    let mut o = Observer::<Rust>::open_synced(&how);
    let assigned = AtomicUsize::new(0);
    let survivors = std::thread::scope(|scope| {
        let workers: Vec<_> = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9]
            .into_iter()
            .map(|seed| {
                let (here, assigned) = (&here, &assigned);
                scope.spawn(move || {
                    enter(here);
                    storm(seed, Instant::now() + STORM, assigned)
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            if !pause && !readable(o.api.fd(), Duration::from_millis(50)) {
                continue;
            }
            if pause {
                // like a reader with other work
                readable(-1, Duration::from_millis(20));
            }
            o.drain();
        }
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<OwnedFd>>()
    });
    // the last deaths are still to come: a busy machine cleans up late
    let end = Instant::now() + 6 * DEADLINE;
    while o.checker.nsids.iter().filter(|(origin, _)| *origin == -1).count() != survivors.len() {
        assert!(Instant::now() < end, "{} survive, believed: {:?}", survivors.len(), o.checker.nsids);
        if readable(o.api.fd(), Duration::from_millis(50)) {
            o.drain();
        }
    }
    // the kernel assigns the lowest free nsid: on a busy machine the dying ones are many
    let highest = i32::try_from(assigned.load(Ordering::Relaxed)).unwrap();
    assert_eq!(o.believed_ids(), living(0..highest + 1));
    assert_eq!(o.checker.open_overflows, 0);
    assert_eq!(o.api.resync(), Ok(()));
    let rest: Vec<_> = o.drain().into_iter().map(|event| event.kind).collect();
    assert_eq!(rest, [Kind::Synced], "a resync found a difference");
    let count = |kind| o.log.iter().filter(|event| event.kind == kind).count();
    let dropped: u64 = o.log.iter().map(|event| event.dropped).sum();
    println!(
        "{} assigned, {} reported as new, {} overflows of {dropped}, {} survive",
        assigned.load(Ordering::Relaxed),
        count(Kind::NsidNew),
        count(Kind::Overflow),
        survivors.len()
    );
    assert_eq!(count(Kind::Overflow) > 0, pause, "overflows");
    if !pause {
        // nothing was lost, so each assignment was reported, and once
        assert_eq!(count(Kind::NsidNew), assigned.load(Ordering::Relaxed));
    }
}

#[test]
fn a_fast_reader_gets_everything() {
    read_throughout(How::nsid(), false);
}

#[test]
fn a_slow_reader_with_a_small_buffer_converges() {
    read_throughout(How::nsid().rcvbuf(4096), true);
}

#[test]
fn a_fast_reader_of_all_peers_gets_everything() {
    read_throughout(How::nsid().flags(NSW_ALL_NSID), false);
}
