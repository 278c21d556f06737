//! Chaos for the watcher of all namespaces: they are born with and without a name, bound, entered, kept by descriptors,
//! processes, mounts or sockets, and die, while a reader stalls, resyncs, lacks rights and goes elsewhere.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nswatch::Feature;
use nswatch::capi::options::{NSW_NO_REPLAY, NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST};
use nswatch::capi::watcher::{NSW_STAT_DELIVERED, NSW_STAT_KNOWN};

use crate::reader::Tally;
use crate::scenes::Scenes;
use crate::stage::{Dice, Round, bind_fd, new_netns, unmount};
use crate::support::api::{Api, C, How, Observer, Rust, readable};
use crate::support::grammar::Id;
use crate::support::nsid::{anonymous, inside};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::{DEADLINE, Sleeper, kernel, make_dir, mount};
use crate::{Curtain, own_root};

/// The most namespaces that live at a time.
const MOST: usize = 60;

/// Where they are mounted.
const MOUNTS: &str = "/run/all";

/// A round, as the dice fix it.
#[derive(Debug, Clone)]
pub struct Plan {
    how: How,
    by_c: bool,
    actors: usize,
    scenes: Scenes,
    /// The rights that the watcher is opened without.
    without: Restriction,
}

impl Plan {
    pub fn new(dice: &mut Dice) -> Self {
        let mut how = How::all();
        if dice.one_in(4) {
            how.flags |= NSW_NO_REPLAY;
        }
        if dice.one_in(3) {
            let policy = dice.pick(&[NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST]);
            how.queue = Some((dice.pick(&[1, 2, 10, 100]), policy));
        }
        let no_records = Restriction::none().failing(libc::SYS_perf_event_open, libc::EACCES);
        let no_thread = Restriction::none().failing(libc::SYS_unshare, libc::EPERM);
        let no_handles = Restriction::none().failing(libc::SYS_name_to_handle_at, libc::ENOSYS);
        let no_polls = Restriction::none().failing(libc::SYS_io_setup, libc::ENOSYS);
        let full = Restriction::none();
        let (by_c, actors, count) = (dice.one_in(2), 1 + dice.below(4), 1 + dice.below(6));
        let all_ways = [full.clone(), full.clone(), full, no_records, no_thread, no_handles.clone(), no_polls];
        let without = dice.pick(&all_ways);
        let lacks = dice.one_in(3).then(|| dice.pick(&[Restriction::powerless(), no_handles]));
        Self { how, by_c, actors, without, scenes: Scenes { count, lacks, strays: dice.one_in(3) } }
    }
}

/// The object that keeps a namespace alive.
#[allow(dead_code)]
enum Kept {
    Descriptor(OwnedFd),
    Mount(PathBuf),
    Process(Sleeper),
    /// A process that has entered it.
    Guest(Child),
    Socket(OwnedFd),
}

impl Kept {
    /// Whether a census finds it; a socket does not show.
    fn is_seen(&self) -> bool {
        !matches!(self, Self::Socket(_))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        match self {
            Self::Mount(path) => assert!(unmount(&path) && std::fs::remove_file(path).is_ok()),
            Self::Guest(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Self::Descriptor(_) | Self::Process(_) | Self::Socket(_) => {}
        }
    }
}

#[derive(Default)]
struct World {
    alive: Mutex<Vec<(Id, Kept)>>,
    /// All namespaces that were made in this round.
    made: Mutex<BTreeSet<Id>>,
    mounts: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn live(&self, netns: Id, kept: Kept) {
        lock(&self.made).insert(netns);
        let mut alive = lock(&self.alive);
        alive.push((netns, kept));
        if alive.len() > MOST {
            alive.remove(0);
        }
    }

    /// Takes one that a descriptor keeps.
    fn take_open(&self, dice: &mut Dice) -> Option<(Id, OwnedFd)> {
        let mut alive = lock(&self.alive);
        let open: Vec<usize> =
            (0..alive.len()).filter(|which| matches!(alive[*which].1, Kept::Descriptor(_))).collect();
        let (netns, kept) = (!open.is_empty()).then(|| alive.swap_remove(dice.pick(&open)))?;
        let Kept::Descriptor(fd) = &kept else { return None };
        Some((netns, fd.try_clone().unwrap()))
    }

    fn mount(&self, namespace: &File) -> Kept {
        let path = PathBuf::from(format!("{MOUNTS}/{}", self.mounts.fetch_add(1, Ordering::Relaxed)));
        File::create(&path).unwrap();
        assert!(bind_fd(namespace, &path));
        Kept::Mount(path)
    }

    /// Compares the events about this round's namespaces with those that must be reported and those that may be.
    fn compare<A: Api>(&self, o: &Observer<A>, is_complete: bool) -> Result<(), String> {
        let alive = lock(&self.alive);
        let made = lock(&self.made);
        let must: BTreeSet<Id> = alive.iter().filter(|(_, kept)| kept.is_seen()).map(|(netns, _)| *netns).collect();
        let may: BTreeSet<Id> = alive.iter().map(|(netns, _)| *netns).collect();
        let believed: BTreeSet<Id> = o.checker.netns.intersection(&made).copied().collect();
        if o.checker.open_overflows == 0 && believed.is_subset(&may) && (!is_complete || must.is_subset(&believed)) {
            return Ok(());
        }
        let missing: Vec<_> = must.difference(&believed).collect();
        let dead: Vec<_> = believed.difference(&may).collect();
        Err(format!("missing {missing:?}, dead {dead:?}, {} overflows", o.checker.open_overflows))
    }
}

pub fn round(plan: &Plan, dice: &mut Dice, tally: &mut Tally) {
    while unmount("/run") {}
    mount("nswatch-chaos", "/run", Some("tmpfs"), 0);
    make_dir(MOUNTS);
    make_dir(crate::stage::BAIT);
    let world = &World::default();
    let round = &Round::new();
    let reading = dice.fork();
    std::thread::scope(|scope| {
        let _curtain = Curtain(round);
        for _ in 0..plan.actors {
            let mut dice = dice.fork();
            scope.spawn(move || round.perform(|| act(world, round, &mut dice)));
        }
        elsewhere(&Restriction::none(), || match plan.by_c {
            true => watch::<C>(plan, world, round, reading, tally),
            false => watch::<Rust>(plan, world, round, reading, tally),
        });
    });
    // mounts go before the directory does
    lock(&world.alive).clear();
    tally.rounds += 1;
    tally.acts += round.count().0;
}

fn act(world: &World, round: &Round, dice: &mut Dice) {
    match dice.below(12) {
        0 | 1 => {
            let namespace = new_netns();
            world.live(kernel::netns_of(&namespace).unwrap(), Kept::Descriptor(namespace.into()));
            round.note(format_args!("a descriptor"), true);
        }
        2 => {
            let sleeper = Sleeper::new();
            world.live(kernel::netns(sleeper.namespace("net")).unwrap(), Kept::Process(sleeper));
            round.note(format_args!("a process"), true);
        }
        3 => {
            let namespace = new_netns();
            let netns = kernel::netns_of(&namespace).unwrap();
            // known before it can die
            world.live(netns, world.mount(&namespace));
            round.note(format_args!("a mount"), true);
        }
        4 => {
            let Some((netns, fd)) = world.take_open(dice) else { return };
            let namespace = File::from(fd);
            world.live(netns, world.mount(&namespace));
            round.note(format_args!("a descriptor is mounted"), true);
        }
        5 => {
            let Some((netns, fd)) = world.take_open(dice) else { return };
            let mut command = Command::new("cat");
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            let raw = fd.as_raw_fd();
            // SAFETY: setns may be called between fork and exec; the closure allocates nothing.
            unsafe {
                command.pre_exec(move || match libc::setns(raw, libc::CLONE_NEWNET) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                });
            }
            world.live(netns, Kept::Guest(command.spawn().unwrap()));
            round.note(format_args!("a process enters"), true);
        }
        6 => {
            let Some((netns, fd)) = world.take_open(dice) else { return };
            let socket = inside(&fd, || std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
            world.live(netns, Kept::Socket(socket.into()));
            round.note(format_args!("a socket"), true);
        }
        7..=9 => {
            let mut victims = Vec::new();
            let mut alive = lock(&world.alive);
            for _ in 0..dice.below(4).min(alive.len()) {
                let which = dice.below(alive.len());
                victims.push(alive.swap_remove(which));
            }
            drop(alive);
            round.note(format_args!("{} die", victims.len()), !victims.is_empty());
        }
        10 => {
            let forks = 1 + dice.below(30);
            for _ in 0..forks {
                std::thread::spawn(|| {}).join().unwrap();
            }
            round.note(format_args!("{forks} threads"), true);
        }
        _ => {
            let most = if dice.one_in(10) { 200 } else { 20 };
            let storm = 1 + dice.below(most);
            for _ in 0..storm {
                let namespace = File::from(anonymous());
                lock(&world.made).insert(kernel::netns_of(&namespace).unwrap());
            }
            round.note(format_args!("{storm} come and go"), true);
        }
    }
}

fn watch<A: Api>(plan: &Plan, world: &World, round: &Round, dice: Dice, tally: &mut Tally) {
    own_root();
    let mut o = elsewhere(&plan.without, || Observer::<A>::open(&plan.how));
    let births = elsewhere(&plan.without, || Feature::Births.is_available().unwrap());
    plan.scenes.play(&mut o, true, round, dice, tally, |o, tally| quiet_point(o, plan, births, world, round, tally));
}

/// No actor acts: after the last deaths the events are true, and a resync finds all living namespaces.
fn quiet_point<A: Api>(
    o: &mut Observer<A>,
    plan: &Plan,
    births: bool,
    world: &World,
    round: &Round,
    tally: &mut Tally,
) {
    let quiet = round.quiet();
    tally.quiet += 1;
    let is_complete =
        births && plan.scenes.lacks.is_none() && (plan.how.flags & NSW_NO_REPLAY == 0 || o.checker.synced > 0);
    until(o, "without a resync", |o| world.compare(o, is_complete));
    let before = o.checker.synced;
    assert_eq!(o.api.resync(), Ok(()));
    until(o, "after a resync", |o: &Observer<A>| match o.checker.synced == before {
        true => Err("not synced".into()),
        false => world.compare(o, true),
    });
    if plan.how.queue.is_none() {
        assert_eq!(o.api.stat(NSW_STAT_DELIVERED), o.log.len() as u64, "counter of events");
        assert_eq!(o.api.stat(NSW_STAT_KNOWN), o.checker.netns.len() as u64, "counter of namespaces");
    }
    drop(quiet);
}

/// Reads on until this holds. Others on this host act all the time, so the descriptor may stay readable.
fn until<A: Api>(o: &mut Observer<A>, what: &str, right: impl Fn(&Observer<A>) -> Result<(), String>) {
    let end = Instant::now() + DEADLINE;
    loop {
        o.drain();
        match right(o) {
            Ok(()) => return,
            Err(why) => {
                assert!(Instant::now() < end, "{what}: {why}");
                readable(o.api.fd(), Duration::from_millis(50));
            }
        }
    }
}
