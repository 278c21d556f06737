//! The stage: the sandbox of one round, the state that its actors share, and a journal of their actions.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::support::nsid::anonymous;
use crate::support::{Sleeper, make_dir, mount, symlink};

/// Numbers that a seed fixes (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Dice that are independent of these.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// The last actions, and how many there were.
#[derive(Debug, Default)]
struct Journal {
    last: VecDeque<String>,
    done: u64,
    failed: u64,
}

/// How many lines of the journal are kept.
const LINES: usize = 120;

/// The state that all actors in a round share.
pub struct Round {
    pub over: AtomicBool,
    /// Held for reading by each actor in action, for writing by the reader that wants quiet.
    gate: RwLock<()>,
    journal: Mutex<Journal>,
    moved: Condvar,
    started: Instant,
}

pub struct Stage {
    round: Round,
    /// The directory itself, by a path without symbolic links.
    pub dir: PathBuf,
    pub names: Vec<CString>,
    /// Network namespaces to mount.
    pub pool: Vec<File>,
    /// Processes in network namespaces of their own, which die.
    pub sleepers: Mutex<Vec<Sleeper>>,
    /// Mounts that hide something, and go again.
    pub covers: Mutex<Vec<PathBuf>>,
    /// Whether something was hidden, or shown again, since this was last reset.
    pub veiled: AtomicBool,
}

impl std::ops::Deref for Stage {
    type Target = Round;

    fn deref(&self) -> &Round {
        &self.round
    }
}

/// A symbolic link that leads through another one to the directory, and one in the directory that leads to it.
pub const BY_LINK: &str = "/run/way/netns";
pub const WITHIN: &str = "within";

/// Another root directory, where the directory has a name that the watcher must not report.
pub const BAIT: &str = "/run/bait";

impl Stage {
    /// Makes an empty `/run` with the directory in it; removes that of the previous round.
    pub fn set(dir: &str) -> Self {
        while unmount("/run") {}
        mount("nswatch-chaos", "/run", Some("tmpfs"), 0);
        make_dir(dir);
        make_dir("/run/outside");
        make_dir(format!("{BAIT}{dir}"));
        std::fs::write(format!("{BAIT}{dir}/bait"), "").unwrap();
        make_dir("/run/deep/er");
        symlink("deep/er", "/run/way");
        let mut names: Vec<CString> =
            ["blue", "green", "red", "ne ws", "\u{e9}"].map(|n| CString::new(n).unwrap()).into();
        names.push(CString::new(b"\xff\xfe".as_slice()).unwrap());
        Self {
            round: Round::new(),
            dir: dir.into(),
            names,
            pool: (0..3).map(|_| new_netns()).collect(),
            sleepers: Mutex::new(vec![Sleeper::new(), Sleeper::new()]),
            covers: Mutex::default(),
            veiled: AtomicBool::new(false),
        }
    }

    pub fn path(&self, name: &CString) -> PathBuf {
        self.dir.join(OsStr::from_bytes(name.as_bytes()))
    }
}

impl Round {
    pub fn new() -> Self {
        Self {
            over: AtomicBool::new(false),
            gate: RwLock::new(()),
            journal: Mutex::default(),
            moved: Condvar::new(),
            started: Instant::now(),
        }
    }

    /// Repeats an act until the round is over.
    pub fn perform(&self, mut act: impl FnMut()) {
        while !self.is_over() {
            let acting = self.act();
            if self.is_over() {
                return;
            }
            act();
            drop(acting);
            // the reader may want quiet, or its turn
            std::thread::yield_now();
        }
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Held during an action.
    fn act(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it is held, no actor acts.
    pub fn quiet(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, what: std::fmt::Arguments<'_>, done: bool) {
        let line = format!("{:>9} us {} {what}", self.started.elapsed().as_micros(), if done { "+" } else { "-" });
        let mut journal = self.journal();
        if journal.last.len() == LINES {
            journal.last.pop_front();
        }
        journal.last.push_back(line);
        *(if done { &mut journal.done } else { &mut journal.failed }) += 1;
        drop(journal);
        self.moved.notify_all();
    }

    /// How many actions succeeded, and how many failed.
    pub fn count(&self) -> (u64, u64) {
        let journal = self.journal();
        (journal.done, journal.failed)
    }

    /// Waits until so many actions were tried, or the time is over.
    pub fn until(&self, tried: u64, timeout: Duration) {
        let journal = self.journal();
        let early = |journal: &mut Journal| journal.done + journal.failed < tried;
        drop(self.moved.wait_timeout_while(journal, timeout, early));
    }

    pub fn last_words(&self) -> String {
        self.journal().last.iter().fold(String::new(), |all, line| all + line + "\n")
    }
}

/// Tries `umount2(2)` with MNT_DETACH.
pub fn unmount(path: impl AsRef<Path>) -> bool {
    let Ok(path) = CString::new(path.as_ref().as_os_str().as_bytes()) else { return false };
    // SAFETY: the string is NUL-terminated and outlives the call.
    unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) == 0 }
}

/// Tries `mount(2)`; `kind` may be empty for none.
pub fn try_mount(source: impl AsRef<Path>, target: impl AsRef<Path>, kind: &str, flags: libc::c_ulong) -> bool {
    let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (source, target, kind) = (c(source.as_ref()), c(target.as_ref()), CString::new(kind).unwrap());
    // SAFETY: all strings are NUL-terminated and outlive the call.
    unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) == 0 }
}

/// Tries to mount the namespace of a descriptor over a name.
pub fn bind_fd(file: &File, target: impl AsRef<Path>) -> bool {
    try_mount(format!("/proc/thread-self/fd/{}", file.as_raw_fd()), target, "", libc::MS_BIND)
}

/// Tries `renameat2(2)`.
pub fn try_rename(from: impl AsRef<Path>, to: impl AsRef<Path>, flags: libc::c_uint) -> bool {
    let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (from, to) = (c(from.as_ref()), c(to.as_ref()));
    // SAFETY: both strings are NUL-terminated and outlive the call.
    unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags) == 0 }
}

/// A network namespace that exists as long as the file is open.
pub fn new_netns() -> File {
    anonymous().into()
}
