//! Shared by all tests: a sandbox of real namespaces, the real `ip`, a view of the kernel that does not use the
//! library, and one interface to the Rust API and the C ABI, so that each test body runs through both.

#![allow(dead_code, missing_docs, unreachable_pub)] // each test file uses its part

pub mod api;
pub mod grammar;
pub mod kernel;
pub mod nsid;
pub mod thread;

#[allow(unused_imports)] // as above
pub use crate::both;

use std::ffi::{CString, OsStr};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// A test fails when anything takes longer. Generous: a loaded machine is slow, not wrong, and an emulated one can need
/// half a minute to clean up a namespace.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The directory in which `ip netns` keeps its names.
pub const RUN_NETNS: &str = "/run/netns";

/// Gives the calling thread, and the processes it starts, namespaces of its own: an empty `/run`, a loopback, no peers.
///
/// libtest runs each test on a thread of its own, so the sandbox ends with the test.
pub fn sandbox() {
    // CLONE_NEWNS implies CLONE_FS
    let made = unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET);
    made.unwrap_or_else(|error| panic!("no sandbox ({error}): run the tests by `make test`, or as root"));
    mount("none", "/", None, libc::MS_REC | libc::MS_PRIVATE);
    mount("nswatch-test", "/run", Some("tmpfs"), 0);
    run("ip", &["link", "set", "lo", "up"]);
}

/// Gives the calling thread new namespaces. The kernel counts dead namespaces until it has cleaned them up; where it
/// lags (an emulated machine after a storm), this waits.
pub fn unshare(flags: libc::c_int) -> std::io::Result<()> {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        // SAFETY: no pointers; it concerns this thread alone.
        if unsafe { libc::unshare(flags) } == 0 {
            return Ok(());
        }
        match std::io::Error::last_os_error() {
            error if error.raw_os_error() != Some(libc::ENOSPC) || std::time::Instant::now() > end => {
                return Err(error);
            }
            // no notification says when there is room
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn c(path: impl AsRef<OsStr>) -> CString {
    CString::new(path.as_ref().as_bytes()).unwrap()
}

/// `mount(2)`, which must succeed.
pub fn mount(source: impl AsRef<OsStr>, target: impl AsRef<OsStr>, kind: Option<&str>, flags: libc::c_ulong) {
    let (source, target, kind) = (c(source), c(target), kind.map(c));
    let kind = kind.as_ref().map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: all strings are NUL-terminated and outlive the call.
    let rc = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, std::ptr::null()) };
    assert_eq!(rc, 0, "mount on {target:?}: {}", std::io::Error::last_os_error());
}

/// Binds `source` over `target`.
pub fn bind(source: impl AsRef<OsStr>, target: impl AsRef<OsStr>) {
    mount(source, target, None, libc::MS_BIND);
}

/// `umount2(2)` with MNT_DETACH, as `ip netns del` does, which must succeed.
pub fn unmount(target: impl AsRef<OsStr>) {
    let target = c(target);
    // SAFETY: the string is NUL-terminated and outlives the call.
    let rc = unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(rc, 0, "umount {target:?}: {}", std::io::Error::last_os_error());
}

/// Runs a command, which must succeed, and returns its output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

/// `ip netns …`, which must succeed.
pub fn ip_netns(arguments: &[&str]) {
    run("ip", &[&["netns"], arguments].concat());
}

/// A directory like `/run/netns`, for tests that need another one.
pub fn make_dir(path: impl AsRef<Path>) -> PathBuf {
    std::fs::create_dir_all(&path).unwrap();
    path.as_ref().to_owned()
}

/// Makes a name in two steps, as `ip netns add` does: first the placeholder …
pub fn placeholder(path: impl AsRef<Path>) {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
}

/// … then a new network namespace mounted over it.
pub fn mount_new_netns(path: impl AsRef<Path>) {
    let path = path.as_ref().to_owned();
    // a thread of its own makes the namespace and shares the mount namespace with this one
    std::thread::spawn(move || {
        unshare(libc::CLONE_NEWNET).unwrap();
        bind("/proc/thread-self/ns/net", path);
    })
    .join()
    .unwrap();
}

/// Mounts another network namespace where one was unmounted, with the same inode number if the kernel gives it in time:
/// then the number alone misleads. Returns the number.
pub fn mount_successor(path: impl AsRef<Path>, ino: u64) -> u64 {
    if !mount_netns_with_ino(&path, ino) {
        mount_new_netns(&path);
    }
    kernel::netns(path).unwrap().1
}

/// Mounts a new network namespace with the inode number of a dead one; `false` if none got it in time.
///
/// The kernel gives namespaces of all kinds the lowest free number, and frees the old ones batch by batch: on a machine
/// where others make many namespaces, that may be too late.
fn mount_netns_with_ino(path: impl AsRef<Path>, ino: u64) -> bool {
    // two at once would hold numbers that the other one waits for
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let unshared = |flag, kind: &str| {
        // SAFETY: no pointers; it concerns this thread alone.
        assert_eq!(unsafe { libc::unshare(flag) }, 0);
        let namespace = std::fs::File::open(format!("/proc/thread-self/ns/{kind}")).unwrap();
        let ino = namespace.metadata().unwrap().ino();
        (namespace, ino)
    };
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours and lives until the call returns.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits) }, 0);
    let most = limits.rlim_cur as usize / 2;
    let find = move || {
        let end = std::time::Instant::now() + DEADLINE / 3;
        // each takes a number below the wanted one; this kind is cheap
        let mut others = Vec::new();
        while std::time::Instant::now() < end {
            let (other, number) = unshared(libc::CLONE_NEWUTS, "uts");
            match number.cmp(&ino) {
                std::cmp::Ordering::Less => {
                    others.push(other);
                    if others.len() >= most {
                        // another process has just freed more numbers than that, and will take them again
                        others.clear();
                    }
                }
                std::cmp::Ordering::Greater => std::thread::yield_now(),
                std::cmp::Ordering::Equal => {
                    // the number is free again when this thread takes another
                    drop(other);
                    unshared(libc::CLONE_NEWUTS, "uts");
                    let (namespace, number) = unshared(libc::CLONE_NEWNET, "net");
                    if number == ino {
                        return Some(namespace);
                    }
                }
            }
        }
        None
    };
    match std::thread::spawn(find).join().unwrap() {
        Some(namespace) => {
            bind(format!("/proc/thread-self/fd/{}", namespace.as_raw_fd()), path.as_ref());
            true
        }
        None => false,
    }
}

/// A process in a network namespace of its own that does nothing, until this is dropped.
pub struct Sleeper(std::process::Child);

impl Sleeper {
    pub fn new() -> Self {
        let mut command = Command::new("cat");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        // SAFETY: unshare may be called between fork and exec; the closure allocates nothing.
        unsafe {
            command.pre_exec(|| unshare(libc::CLONE_NEWNET));
        }
        Self(command.spawn().expect("cat"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// `/proc/PID/ns/KIND`
    pub fn namespace(&self, kind: &str) -> PathBuf {
        format!("/proc/{}/ns/{kind}", self.0.id()).into()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

/// `symlink(2)`, which must succeed.
pub fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) {
    std::os::unix::fs::symlink(target, link).unwrap();
}

/// `rename(2)`, which must succeed.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    std::fs::rename(from, to).unwrap();
}

/// Exchanges two names.
pub fn exchange(one: impl AsRef<OsStr>, other: impl AsRef<OsStr>) {
    let (one, other) = (c(one), c(other));
    // SAFETY: both strings are NUL-terminated and outlive the call.
    let rc =
        unsafe { libc::renameat2(libc::AT_FDCWD, one.as_ptr(), libc::AT_FDCWD, other.as_ptr(), libc::RENAME_EXCHANGE) };
    assert_eq!(rc, 0, "exchange {one:?} {other:?}: {}", std::io::Error::last_os_error());
}

/// Whether this process is root in the initial user namespace, and so can become another user.
pub fn is_real_root() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().nth(2) == Some("4294967295"))
        // SAFETY: no pointers.
        && unsafe { libc::geteuid() } == 0
}

/// Reports loudly that a test cannot run, and why. CI fails on this line.
pub fn skipped(why: &str) {
    // not eprintln!, whose output libtest hides while a test passes
    let line = format!("SKIPPED: {}: {why}\n", std::thread::current().name().unwrap_or("test"));
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

/// The command by which [`run_alone`] starts a test that sees only its own processes.
pub const UNSEEN: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// Runs an ignored test of this binary in a process of its own, through another command if it needs preparation.
pub fn run_alone(test: &str, by: &[&str]) {
    let this = std::env::current_exe().unwrap();
    let mut words: Vec<_> = by.iter().map(std::ffi::OsString::from).collect();
    words.push(this.into());
    words.extend(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"].map(Into::into));
    let output = std::process::Command::new(&words[0]).args(&words[1..]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{test}: {}", output.status);
}
