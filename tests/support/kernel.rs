//! The kernel's state, read without the library.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::grammar::Id;

const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
const NS_GET_ID: libc::Ioctl = 0x8008_b70d_u32 as libc::Ioctl;

/// Each name in a directory, with the network namespace that opening it gives.
pub fn names(dir: impl AsRef<Path>) -> BTreeMap<Vec<u8>, Option<Id>> {
    let Ok(entries) = std::fs::read_dir(&dir) else { return BTreeMap::new() };
    entries
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().unwrap().is_dir())
        .map(|entry| (entry.file_name().into_vec(), netns(entry.path())))
        .collect()
}

/// Opens a path and identifies its network namespace, if it is one.
pub fn netns(path: impl AsRef<Path>) -> Option<Id> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    netns_of(&file)
}

/// Identifies the network namespace of a descriptor, if it is one.
#[allow(clippy::unnecessary_cast)] // the types of struct stat differ between architectures
pub fn netns_of(file: &File) -> Option<Id> {
    // SAFETY: NS_GET_NSTYPE takes no argument.
    if unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) } != libc::CLONE_NEWNET {
        return None;
    }
    let mut id = 0u64;
    // SAFETY: NS_GET_ID writes a number of 64 bits; on a kernel without it the number stays 0.
    unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_ID, &mut id) };
    // not statx(2), which the standard library uses: a test's filter may refuse it
    // SAFETY: the kernel overwrites the zeroes.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours and lives until the call returns.
    assert_eq!(unsafe { libc::fstat(file.as_raw_fd(), &mut stat) }, 0);
    Some((stat.st_dev as u64, stat.st_ino as u64, id))
}

/// Whether the running kernel is older than this one.
pub fn is_before(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) < (major, minor)
}

/// Whether this kernel has cookies.
pub fn has_cookie() -> bool {
    netns("/proc/thread-self/ns/net").is_some_and(|(_, _, id)| id != 0)
}

/// Whether the kernel shows by a cookie that a namespace is dead: before Linux 6.18 there are no cookies, and from 6.19
/// on a socket may keep a namespace that does not open.
pub fn shows_deaths_by_cookie() -> bool {
    has_cookie() && is_before(6, 19)
}

/// The descriptors in an epoll instance of this process, each as `/proc/self/fd` shows it.
pub fn listens_to(epoll: RawFd) -> Vec<String> {
    let info = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{epoll}")).unwrap();
    let numbers = info.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
    let links = numbers.map(|number| std::fs::read_link(format!("/proc/thread-self/fd/{number}")).unwrap());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

/// The clock of event times, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours and lives until the call returns.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) }, 0);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The number of open descriptors of this process.
pub fn open_fds() -> usize {
    std::fs::read_dir("/proc/thread-self/fd").unwrap().count()
}

/// The files that this process has open.
pub fn open_files() -> Vec<PathBuf> {
    std::fs::read_dir("/proc/thread-self/fd")
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .collect()
}

/// The number of threads of this process, without those that are ending: a join returns before the kernel removes a
/// thread.
pub fn threads() -> usize {
    const PF_EXITING: u64 = 4;
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let is_alive = |stat: &String| {
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        // state, ppid, pgrp, session, tty, its process group, flags
        let flags: u64 = after_name.split(' ').nth(6).unwrap().parse().unwrap();
        flags & PF_EXITING == 0
    };
    stats.filter(is_alive).count()
}

/// The number of threads of this process with this name.
pub fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)).count()
}

/// Whether all threads of this process with this name sleep.
pub fn are_asleep(name: &str) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // a thread may end in between
    tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok()).all(|stat| {
        let (before, state) = stat.rsplit_once(") ").unwrap();
        !before.ends_with(&format!("({name}")) || state.starts_with('S')
    })
}

/// Whether listns(2) exists (Linux 6.19) and lists foreign namespaces, which requires root on the host.
pub fn lists_all() -> bool {
    // size, -, after, kinds, -, user namespace
    let request = [32u32, 0, 0, 0, libc::CLONE_NEWNET as u32, 0, 0, 0];
    let mut cookies = [0u64; 2];
    // SAFETY: the request states its own size; there is room for two numbers.
    let n = unsafe { libc::syscall(470, request.as_ptr(), cookies.as_mut_ptr(), 2, 0) };
    n == 2 && super::is_real_root()
}
