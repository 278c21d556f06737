//! Processes, and the rights of this one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::thread::{CapabilitySet, capabilities, gettid};

use super::thread::spawn;
use super::{CWD, above_standard, check, owned, proc_error, read_link, stat};

/// The fixed inode numbers of the initial user and pid namespaces.
const INITIAL: [(&std::ffi::CStr, u64); 2] =
    [(c"/proc/thread-self/ns/user", 0xefff_fffd), (c"/proc/thread-self/ns/pid", 0xefff_fffc)];

/// Whether the calling thread can open every namespace of the host by its cookie: `CAP_SYS_ADMIN` in the initial user
/// and pid namespaces. If unknown: no.
pub(crate) fn sees_all_namespaces() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
        && INITIAL.iter().all(|(path, ino)| stat(CWD, path, 0).is_ok_and(|stat| stat.ino == *ino))
}

/// The rights that determine which namespaces the calling thread can open by cookie, besides its own ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    user: u32,
    effective: CapabilitySet,
    namespaces: [u64; 2],
}

impl Credentials {
    pub(crate) fn of_caller() -> io::Result<Self> {
        let ino = |(path, _)| stat(CWD, path, 0).map(|stat| stat.ino);
        let [user_namespace, pid_namespace] = INITIAL.map(ino);
        Ok(Self {
            // SAFETY: no pointers; it cannot fail.
            user: unsafe { libc::geteuid() },
            effective: capabilities(None)?.effective,
            namespaces: [user_namespace?, pid_namespace?],
        })
    }
}

/// Whether the kernel is older than this version, by its release name. For features that no probe shows.
pub(crate) fn is_kernel_before(major: u32, minor: u32) -> bool {
    // SAFETY: all zeroes is a valid value, and the kernel overwrites it with strings.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes this structure only.
    if unsafe { libc::uname(&mut name) } != 0 {
        return false;
    }
    #[allow(clippy::unnecessary_cast)] // c_char has no sign on some architectures
    let release = name.release.map(|byte| byte as u8);
    let mut numbers =
        release.split(|byte| !byte.is_ascii_digit()).map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(found), Some(below)) => (found, below) < (major, minor),
        _ => false,
    }
}

/// The lowest of the fixed inode numbers of initial namespaces.
const LOWEST_INITIAL: u64 = 0xefff_fff8;

/// Opens the initial namespaces of each kind: those of process 1, or else the own ones, if they are known to be
/// initial. In another pid namespace: none.
///
/// setns(2) to any of them requires CAP_SYS_ADMIN over it, so the descriptors are no way out for a process that has
/// given that up.
pub(crate) fn initial_namespaces() -> Vec<OwnedFd> {
    let [_, (own_pid, initial)] = INITIAL;
    if !stat(CWD, own_pid, 0).is_ok_and(|stat| stat.ino == initial) {
        return Vec::new();
    }
    let open_one = |path: String| above_standard(std::fs::File::open(path)?.into());
    let is_initial =
        |fd: &OwnedFd| stat(fd.as_fd(), c"", libc::AT_EMPTY_PATH).is_ok_and(|stat| stat.ino >= LOWEST_INITIAL);
    let of_kind = |kind| {
        let first = open_one(format!("/proc/1/ns/{kind}"));
        first.ok().or_else(|| open_one(format!("/proc/thread-self/ns/{kind}")).ok().filter(is_initial))
    };
    ["net", "uts", "ipc", "pid", "user", "mnt", "cgroup"].into_iter().filter_map(of_kind).collect()
}

/// Whether /proc is mounted and belongs to the pid namespace of this process.
pub(crate) fn is_proc_ours() -> bool {
    let own = std::process::id().to_string();
    read_link(Path::new("/proc/self")).is_ok_and(|link| link == own.as_str())
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_net_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers; it concerns this thread alone.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Whether a process or thread has this number.
pub(crate) fn process_exists(pid: i32) -> bool {
    // SAFETY: no pointers; signal 0 is never sent.
    let rc = unsafe { libc::kill(pid, 0) };
    rc == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Runs `body` in a thread of its own, with all signals blocked, and waits until the kernel has removed the thread: for
/// instance, unshare(CLONE_NEWUSER) fails in a process while a second thread is still exiting.
pub(crate) fn in_own_thread<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<std::thread::Result<T>> {
    in_two_threads(body, || ()).0
}

/// As [`in_own_thread`], and meanwhile runs `here` in the calling thread, even if no second thread can start.
pub(crate) fn in_two_threads<T: Send, U>(
    body: impl FnOnce() -> T + Send,
    here: impl FnOnce() -> U,
) -> (io::Result<std::thread::Result<T>>, std::thread::Result<U>) {
    let (mut there, mut done) = (None, None);
    let (ended, returned) = run_both(Box::new(|| there = Some(body())), Box::new(|| done = Some(here())));
    // a body that has returned has left its value
    let there = ended.map(|ended| ended.and_then(|()| there.ok_or_else(|| Box::new(()) as _)));
    (there, returned.and_then(|()| done.ok_or_else(|| Box::new(()) as _)))
}

/// The part of [`in_two_threads`] that is the same for all types.
fn run_both(
    there: Box<dyn FnOnce() + Send + '_>,
    here: Box<dyn FnOnce() + '_>,
) -> (io::Result<std::thread::Result<()>>, std::thread::Result<()>) {
    let mut tid = None;
    let run = || {
        tid = Some(gettid());
        there();
    };
    // Not a scope, which keeps a handle of the calling thread until the thread ends. SAFETY: this joins the thread even
    // if `here` panics, so what it borrows lives longer.
    let thread = unsafe { spawn(Box::new(run)) };
    let here = std::panic::catch_unwind(std::panic::AssertUnwindSafe(here));
    let result = thread.map(|thread| thread.join());
    if let Some(tid) = tid {
        // SAFETY: no pointers; signal 0 is never sent.
        while unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), tid.as_raw_nonzero().get(), 0) } == 0 {
            std::thread::yield_now();
        }
    }
    (result, here)
}

/// Opens a pidfd of a process (Linux 5.3) or of a thread (6.9), readable once it has ended. `ESRCH`: it has ended
/// already.
pub(crate) fn pidfd_open(id: i32, is_thread: bool) -> io::Result<OwnedFd> {
    // PIDFD_THREAD
    let flags = if is_thread { libc::O_EXCL } else { 0 };
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, id, flags) } as libc::c_int)
}

/// The pid of the process that a pidfd refers to. `None`: the descriptor is not a pidfd. `ESRCH`: the process has
/// ended. `EACCES`: it is in a pid namespace that the caller cannot see.
pub(crate) fn pid_of_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let info =
        std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", pidfd.as_raw_fd())).map_err(proc_error)?;
    match info.lines().find_map(|line| line.strip_prefix("Pid:")).map(|pid| pid.trim().parse()) {
        None => Ok(None),
        Some(Ok(pid @ 1..)) => Ok(Some(pid)),
        Some(Ok(0)) => Err(io::Error::from_raw_os_error(libc::EACCES)),
        Some(_) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}
