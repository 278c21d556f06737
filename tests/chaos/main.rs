//! Chaos: many actors change names, directory and mounts as they like, while one reader watches, with random options
//! and rights. Every event is checked against the grammar; whenever all actors hold still, the events must add up to
//! the kernel's state.
//!
//! `NSWATCH_SECONDS` sets how long (default 5), `NSWATCH_SEED` the dice. With `NSWATCH_TINY=1` some watchers are opened
//! while the queues of inotify and fanotify are next to nothing, for the whole machine. `NSWATCH_SOURCE` names the only
//! source to watch. A seed fixes what each actor tries and the options of the reader, not how the scheduler interleaves
//! them.

#![allow(missing_docs, unreachable_pub)]

mod actors;
mod all;
mod ids;
mod reader;
mod scenes;
mod stage;
mod stray;
#[path = "../support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use nswatch::Feature;
use nswatch::capi::options::*;

use actors::{ROLES, Role};
use reader::{Reader, Tally};
use stage::{BY_LINK, Dice, Round, Stage, WITHIN};
use support::api::{Api, C, How, Rust};
use support::thread::{Restriction, elsewhere};

/// The backend that notices mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Fanotify,
    Aio,
    Bare,
}

/// A round, as the dice fix it.
#[derive(Debug, Clone)]
pub struct Plan {
    how: How,
    by_c: bool,
    backend: Backend,
    /// The kernel has no file handles of namespaces, and no statmount.
    old_kernel: bool,
    cast: Vec<Role>,
    scenes: usize,
    opens_in_quiet: bool,
    /// The rights that the reader loses at some moment.
    loses: Option<Restriction>,
    /// The reader now and then calls from another root directory, mount or network namespace.
    strays: bool,
    /// The length of the kernel's queues, if changed.
    kernel_queue: Option<u32>,
    /// The directory by a path without links.
    dir: &'static str,
}

impl Plan {
    fn new(dice: &mut Dice) -> Self {
        let dir = dice.pick(&["/run/netns", "/run/netns", "/run/deep/er/netns"]);
        let mut how = How::dir(match dice.below(8) {
            0 => format!("{dir}/{WITHIN}"),
            1 | 2 if dir != "/run/netns" => BY_LINK.into(),
            _ => dir.into(),
        });
        how.flags = [NSW_NO_REPLAY, NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_PARENT]
            .into_iter()
            .zip([4, 2, 2, 6])
            .filter(|(_, n)| dice.one_in(*n))
            .fold(0, |flags, (flag, _)| flags | flag);
        if how.flags & NSW_MOUNT_EVENTS == 0 && dice.one_in(3) {
            how.flags |= NSW_NO_MOUNT_EVENTS;
        }
        if dice.one_in(4) {
            how.settle_ms = 1 + dice.below(30) as u32;
        }
        if dice.one_in(3) {
            let policy = dice.pick(&[NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST]);
            how.queue = Some((dice.pick(&[1, 2, 3, 10, 100]), policy));
        }
        let is_direct = how.queue.is_none();
        let mut cast: Vec<Role> = ROLES.into_iter().filter(|_| dice.one_in(2)).collect();
        cast.push(Role::Raw);
        Self {
            how,
            by_c: dice.one_in(2),
            backend: dice.pick(&[Backend::Fanotify, Backend::Fanotify, Backend::Aio, Backend::Bare]),
            old_kernel: dice.one_in(4),
            cast,
            scenes: 1 + dice.below(6),
            opens_in_quiet: dice.one_in(4),
            loses: dice.one_in(3).then(|| loss(dice, is_direct)),
            strays: dice.one_in(3),
            kernel_queue: (dice.one_in(3) && may_set_queues()).then(|| dice.pick(&[1, 8, 60, 500])),
            dir,
        }
    }

    pub fn has(&self, flag: u32) -> bool {
        self.how.flags & flag != 0
    }

    /// The watcher reports mount changes as they happen.
    pub fn reports_mounts(&self) -> bool {
        let cheap = || self.backend != Backend::Bare && !self.old_kernel && Feature::Statmount.is_available().unwrap();
        self.has(NSW_MOUNT_EVENTS) || (!self.has(NSW_NO_MOUNT_EVENTS) && cheap())
    }

    /// No thread stands between the kernel and the reader.
    pub fn is_direct(&self) -> bool {
        self.how.queue.is_none()
    }

    /// Events show at once: no thread, worker or timer stands between. (With many names, scans of the whole directory
    /// may be delayed.)
    pub fn is_prompt(&self) -> bool {
        let provokes = |role: &Role| matches!(role, Role::Surgeon | Role::Coverer | Role::FileStorm | Role::MountStorm);
        self.is_direct()
            && self.how.settle_ms == 0
            && self.backend == Backend::Fanotify
            && self.loses.is_none()
            && !self.cast.iter().any(provokes)
    }

    fn restriction(&self) -> Restriction {
        let mut restriction = match self.backend {
            Backend::Fanotify => Restriction::none(),
            Backend::Aio => Restriction::without_sys_admin(),
            Backend::Bare => Restriction::without_sys_admin().failing(libc::SYS_io_setup, libc::ENOSYS),
        };
        if self.old_kernel {
            restriction =
                restriction.failing(libc::SYS_name_to_handle_at, libc::ENOSYS).failing(SYS_STATMOUNT, libc::ENOSYS);
        }
        restriction
    }
}

const SYS_STATMOUNT: libc::c_long = 457;

/// Privileges or system calls that a watcher can do without. The thread behind a queue keeps its rights: only without
/// one may the reader become blind to the namespaces of processes.
fn loss(dice: &mut Dice, is_direct: bool) -> Restriction {
    const CALLS: [&[libc::c_long]; 7] = [
        &[],
        &[libc::SYS_fanotify_init, libc::SYS_fanotify_mark],
        &[libc::SYS_fanotify_mark, libc::SYS_io_submit],
        &[libc::SYS_io_getevents],
        &[libc::SYS_name_to_handle_at],
        &[libc::SYS_statx],
        &[libc::SYS_name_to_handle_at, libc::SYS_statx, SYS_STATMOUNT],
    ];
    let errno = dice.pick(&[libc::EPERM, libc::ENOSYS, libc::EACCES]);
    let all = if is_direct { Restriction::powerless() } else { Restriction::none() };
    let restriction = dice.pick(&[Restriction::none(), Restriction::without_sys_admin(), all]);
    dice.pick(&CALLS).iter().fold(restriction, |restriction, call| restriction.failing(*call, errno))
}

/// The kernel's queues are set for the whole machine: only on request.
fn may_set_queues() -> bool {
    number("NSWATCH_TINY").is_some_and(|tiny| tiny != 0)
}

/// Ends a round, also by a panic.
pub struct Curtain<'a>(pub &'a Round);

impl Drop for Curtain<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

fn round(plan: &Plan, dice: &mut Dice, tally: &mut Tally) {
    let stage = &Stage::set(plan.dir);
    let reading = dice.fork();
    std::thread::scope(|scope| {
        let _curtain = Curtain(stage);
        for &role in &plan.cast {
            let dice = dice.fork();
            scope.spawn(move || actors::play(role, stage, dice));
        }
        elsewhere(&plan.restriction(), || match plan.by_c {
            true => watch::<C>(plan, stage, reading, tally),
            false => watch::<Rust>(plan, stage, reading, tally),
        });
    });
    tally.rounds += 1;
    tally.acts += stage.count().0;
}

/// Gives this thread a root directory of its own: a change of it leaves the actors where they are.
pub fn own_root() {
    // SAFETY: no pointers; it concerns this thread alone.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
}

fn watch<A: Api>(plan: &Plan, stage: &Stage, dice: Dice, tally: &mut Tally) {
    own_root();
    let Some(mut reader) = Reader::<A>::open(plan, stage, dice, tally) else { return };
    let result = catch_unwind(AssertUnwindSafe(|| reader.read()));
    if let Err(panic) = result {
        eprintln!("the last actions (+: done, -: failed):\n{}{}", stage.last_words(), reader.last_words());
        resume_unwind(panic);
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Plays a round, and prints it if it fails.
fn play(plan: String, round: impl FnOnce()) -> String {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(round)) {
        eprintln!("chaos: failed in a round of {plan}");
        resume_unwind(panic);
    }
    plan
}

#[test]
fn the_events_add_up_to_the_kernels_state() {
    let seconds = number("NSWATCH_SECONDS").unwrap_or(5);
    let seed = number("NSWATCH_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64 % 1_000_000_000
    });
    println!("chaos: seed {seed}, {seconds} s");
    support::sandbox();
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    let fds = support::kernel::open_fds();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        // each round has dice of its own, so that it does not depend on the length of the previous ones
        let mut dice = dice.fork();
        let only = std::env::var("NSWATCH_SOURCE").unwrap_or_default();
        let what = if only == "all" || only.is_empty() && dice.one_in(5) {
            let plan = all::Plan::new(&mut dice);
            play(format!("{plan:#?}"), || all::round(&plan, &mut dice, &mut tally))
        } else if only == "nsid" || only.is_empty() && dice.one_in(4) {
            let plan = ids::Plan::new(&mut dice);
            play(format!("{plan:#?}"), || ids::round(&plan, &mut dice, &mut tally))
        } else {
            let plan = Plan::new(&mut dice);
            play(format!("{plan:#?}"), || round(&plan, &mut dice, &mut tally))
        };
        assert_eq!(support::kernel::open_fds(), fds, "seed {seed}: descriptors are left open by {what}");
    }
    println!("chaos: seed {seed}: {tally:?}");
    assert!(tally.events > 0 && tally.quiet > 0, "nothing happened");
}
