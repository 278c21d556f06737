//! Chaos for the watcher of nsids: namespaces come, get nsids, links between them, and die, here and in peers, while a
//! reader has little room, stalls, and resyncs.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nswatch::capi::options::{
    NSW_ALL_NSID, NSW_NO_REPLAY, NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST,
};
use nswatch::capi::watcher::{NSW_STAT_DELIVERED, NSW_STAT_KNOWN};

use crate::reader::Tally;
use crate::scenes::Scenes;
use crate::stage::{Dice, Round};
use crate::support::api::{Api, C, How, Observer, Rust, readable};
use crate::support::nsid::{Raw, anonymous, enter, id_of, inside, living};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::{DEADLINE, run};
use crate::{Curtain, own_root};

/// Above every nsid that is requested.
const IDS: i32 = 700;

/// The same in peers, and above the lowest free ones, since few have nsids there: querying each of them takes most of
/// the time, minutes under emulation.
const IDS_OF_PEERS: i32 = 200;

/// The most namespaces that live at a time.
const MOST: usize = 60;

/// A round, as the dice fix it.
#[derive(Debug, Clone)]
pub struct Plan {
    how: How,
    by_c: bool,
    actors: usize,
    scenes: Scenes,
}

impl Plan {
    pub fn new(dice: &mut Dice) -> Self {
        let mut how = How::nsid().rcvbuf(dice.pick(&[0, 0, 4096, 20_000]));
        how.flags =
            [NSW_NO_REPLAY, NSW_ALL_NSID].into_iter().filter(|_| dice.one_in(3)).fold(0, |flags, flag| flags | flag);
        if dice.one_in(3) {
            let policy = dice.pick(&[NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST]);
            how.queue = Some((dice.pick(&[1, 2, 10, 100]), policy));
        }
        // listing the nsids in peers requires a right
        let rights = if how.flags & NSW_ALL_NSID == 0 { Restriction::powerless() } else { Restriction::none() };
        let one_by_one = Restriction::none().failing(libc::SYS_recvmmsg, dice.pick(&[libc::EPERM, libc::ENOSYS]));
        let lacks = dice.one_in(3).then(|| dice.pick(&[rights, one_by_one]));
        let strays = dice.one_in(3);
        let (by_c, actors) = (dice.one_in(2), 1 + dice.below(4));
        Self { how, by_c, actors, scenes: Scenes { count: 1 + dice.below(6), lacks, strays } }
    }
}

/// The living namespaces, kept by these descriptors only, and the one under test.
struct World {
    here: OwnedFd,
    alive: Mutex<Vec<OwnedFd>>,
}

impl World {
    fn alive(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nsids here; and the nsids in those peers that have one here.
    fn truth(&self, peers: bool) -> BTreeSet<(i32, i32)> {
        let alive = self.alive();
        let heard: BTreeMap<i32, &OwnedFd> =
            alive.iter().map(|peer| (id_of(peer), peer)).filter(|(nsid, _)| *nsid >= 0).collect();
        // while a thousand namespaces die, the lowest free nsid is a high one
        let given = living(0..IDS).into_iter().chain(heard.keys().copied());
        let mut ids: BTreeSet<_> = given.map(|nsid| (-1, nsid)).collect();
        if peers {
            for (origin, peer) in heard {
                ids.extend(inside(peer, || living(0..IDS_OF_PEERS)).into_iter().map(|nsid| (origin, nsid)));
            }
        }
        ids
    }
}

pub fn round(plan: &Plan, dice: &mut Dice, tally: &mut Tally) {
    // the nsids of the previous round must not show in this one
    let here = anonymous();
    enter(&here);
    let world = &World { here, alive: Mutex::default() };
    let round = &Round::new();
    let reading = dice.fork();
    std::thread::scope(|scope| {
        let _curtain = Curtain(round);
        for _ in 0..plan.actors {
            let mut dice = dice.fork();
            scope.spawn(move || {
                let raw = Raw::new();
                round.perform(|| act(world, round, &raw, &mut dice));
            });
        }
        elsewhere(&Restriction::none(), || match plan.by_c {
            true => watch::<C>(plan, world, round, reading, tally),
            false => watch::<Rust>(plan, world, round, reading, tally),
        });
    });
    tally.rounds += 1;
    tally.acts += round.count().0;
}

fn act(world: &World, round: &Round, raw: &Raw, dice: &mut Dice) {
    let wanted = |dice: &mut Dice, end: i32| if dice.one_in(3) { dice.below(end as usize) as i32 } else { -1 };
    let fresh = |world: &World, namespace| {
        let mut alive = world.alive();
        alive.push(namespace);
        if alive.len() > MOST { Some(alive.remove(0)) } else { None }
    };
    match dice.below(10) {
        0..=3 => {
            let namespace = anonymous();
            let nsid = wanted(dice, IDS);
            round.note(format_args!("assign {nsid}"), raw.assign(&namespace, nsid) == 0);
            drop(fresh(world, namespace));
        }
        4 | 5 => {
            let mut alive = world.alive();
            let victims = dice.below(4).min(alive.len());
            for _ in 0..victims {
                let which = dice.below(alive.len());
                alive.swap_remove(which);
            }
            round.note(format_args!("{victims} die"), victims > 0);
        }
        6 => {
            // a link from here to there, which goes with the namespace
            let namespace = anonymous();
            let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&namespace));
            let link = format!("v{}", dice.below(1 << 30));
            run("ip", &["link", "add", &link, "type", "veth", "peer", "name", "there", "netns", &path]);
            round.note(format_args!("link across"), true);
            drop(fresh(world, namespace));
        }
        7 => {
            // in a peer, for another namespace or for itself
            let alive = world.alive();
            if alive.is_empty() {
                return;
            }
            let (one, other) = (dice.below(alive.len()), dice.below(alive.len()));
            let nsid = wanted(dice, IDS_OF_PEERS);
            let done = inside(&alive[one], || Raw::new().assign(&alive[other], nsid)) == 0;
            round.note(format_args!("assign {nsid} in a peer"), done);
        }
        8 if dice.one_in(20) => {
            round.note(format_args!("an id of its own"), raw.assign(&world.here, wanted(dice, IDS)) == 0)
        }
        _ => {
            let most = if dice.one_in(10) { 400 } else { 20 };
            let storm = 1 + dice.below(most);
            for _ in 0..storm {
                raw.assign(&anonymous(), -1);
            }
            round.note(format_args!("{storm} come and go"), true);
        }
    }
}

fn watch<A: Api>(plan: &Plan, world: &World, round: &Round, dice: Dice, tally: &mut Tally) {
    own_root();
    let mut o = Observer::<A>::open(&plan.how);
    plan.scenes.play(&mut o, false, round, dice, tally, |o, tally| quiet_point(o, plan, world, round, tally));
}

/// No actor acts: after the last deaths the events are true, and a resync finds nothing else.
fn quiet_point<A: Api>(o: &mut Observer<A>, plan: &Plan, world: &World, round: &Round, tally: &mut Tally) {
    let quiet = round.quiet();
    tally.quiet += 1;
    let has = |flag| plan.how.flags & flag != 0;
    let is_complete = !has(NSW_NO_REPLAY) || o.checker.synced > 0;
    let right = |o: &Observer<A>| {
        let truth = world.truth(has(NSW_ALL_NSID));
        let believed = &o.checker.nsids;
        let right = if is_complete { *believed == truth } else { believed.is_subset(&truth) };
        match right && o.checker.open_overflows == 0 {
            true => Ok(()),
            false => Err(format!("the events give {believed:?}\nthe kernel {truth:?}")),
        }
    };
    until(o, "without a resync", right);
    let before = o.checker.synced;
    assert_eq!(o.api.resync(), Ok(()));
    let peers = has(NSW_ALL_NSID);
    until(o, "after a resync", |o: &Observer<A>| match (&o.checker.nsids, world.truth(peers)) {
        _ if o.checker.synced == before => Err("not synced".into()),
        (believed, truth) if *believed == truth => Ok(()),
        (believed, truth) => Err(format!("the events give {believed:?}\nthe kernel {truth:?}")),
    });
    assert_eq!(o.api.stat(NSW_STAT_DELIVERED), o.log.len() as u64, "counter of events");
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), o.checker.nsids.len() as u64, "counter of ids");
    drop(quiet);
}

/// Reads on until this holds and no event is pending.
fn until<A: Api>(o: &mut Observer<A>, what: &str, right: impl Fn(&Observer<A>) -> Result<(), String>) {
    let end = Instant::now() + DEADLINE;
    loop {
        // reading the truth takes long: first wait for a thread that passes on two events at a time
        while readable(o.api.fd(), Duration::from_millis(5)) {
            o.drain();
            assert!(Instant::now() < end, "{what}: the descriptor does not come to rest");
        }
        match right(o) {
            Ok(()) if !readable(o.api.fd(), Duration::ZERO) => return,
            Ok(()) => assert!(Instant::now() < end, "{what}: the descriptor does not come to rest"),
            Err(why) => {
                assert!(Instant::now() < end, "{what}: {why}");
                readable(o.api.fd(), Duration::from_millis(50));
            }
        }
    }
}
