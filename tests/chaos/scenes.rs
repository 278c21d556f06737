//! A round for a reader of nsids, or of all namespaces: turns while others act, then a quiet point, and so on.

use std::time::{Duration, Instant};

use nswatch::capi::watcher::{NSW_STAT_DROPPED, NSW_STAT_RESYNCS};

use crate::reader::Tally;
use crate::stage::{Dice, Round};
use crate::stray::Astray;
use crate::support::api::{Api, Ev, Kind, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};

#[derive(Debug, Clone)]
pub struct Scenes {
    pub count: usize,
    /// The rights that every other call of the reader lacks.
    pub lacks: Option<Restriction>,
    /// The reader now and then calls from elsewhere.
    pub strays: bool,
}

impl Scenes {
    /// `depends`: the events depend on where the watcher is called.
    pub fn play<A: Api>(
        &self,
        o: &mut Observer<A>,
        depends: bool,
        round: &Round,
        mut dice: Dice,
        tally: &mut Tally,
        mut quiet_point: impl FnMut(&mut Observer<A>, &mut Tally),
    ) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..self.count {
                let (done, failed) = round.count();
                let end = done + failed + 5 + dice.below(60) as u64;
                let latest = Instant::now() + Duration::from_millis(300);
                while round.count().0 + round.count().1 < end && Instant::now() < latest {
                    let astray = if self.strays && dice.one_in(10) { Astray::go(&mut dice) } else { None };
                    let is_elsewhere = depends && astray.as_ref().is_some_and(Astray::is_other_place);
                    match self.lacks.as_ref().filter(|_| dice.one_in(2)) {
                        Some(lacks) => elsewhere(lacks, || turn(o, round, &mut dice, is_elsewhere)),
                        None => turn(o, round, &mut dice, is_elsewhere),
                    }
                    tally.strayed += u64::from(astray.is_some());
                }
                quiet_point(o, tally);
            }
        }));
        if let Err(panic) = result {
            let of = |event: &Ev| (event.kind, event.id(), event.netns(), event.replayed);
            let last: Vec<_> = o.log.iter().rev().take(60).map(of).collect();
            eprintln!(
                "the last actions (+: done, -: failed):\n{}the last events, last first: {last:?}",
                round.last_words()
            );
            std::panic::resume_unwind(panic);
        }
        tally.events += o.log.len() as u64;
        tally.overflows += o.log.iter().filter(|event| event.kind == Kind::Overflow).count() as u64;
        tally.dropped += o.api.stat(NSW_STAT_DROPPED);
        tally.resyncs += o.api.stat(NSW_STAT_RESYNCS);
    }
}

fn turn<A: Api>(o: &mut Observer<A>, round: &Round, dice: &mut Dice, is_elsewhere: bool) {
    let next = |o: &mut Observer<A>| match o.try_now() {
        Err(errno) => {
            assert!(is_elsewhere && errno == libc::EXDEV, "next: errno {errno}");
            false
        }
        Ok(event) => event.is_some(),
    };
    match dice.below(10) {
        0..=5 => {
            readable(o.api.fd(), Duration::from_millis(dice.below(5) as u64));
            while next(o) {}
        }
        6 => drop(next(o)),
        7 => {
            let resynced = o.api.resync();
            assert!(resynced.is_ok() || is_elsewhere && resynced == Err(libc::EXDEV), "resync: {resynced:?}");
        }
        _ => {
            let (done, failed) = round.count();
            round.until(done + failed + dice.below(40) as u64, Duration::from_millis(50));
        }
    }
}
