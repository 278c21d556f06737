//! The identity of a network namespace: found in every way, kept, compared, opened again and checked, through Rust and
//! C.

#![allow(missing_docs, unreachable_pub)]

mod census;
mod now;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nswatch::capi::netns::{self as cn, nsw_netns};
use nswatch::capi::nsid as ci;
use nswatch::{EventKind, Netns, Options, Watcher, census, nsid};
use support::api::{How, Kind, Observer};
use support::nsid::{anonymous, enter, inside, out_id};
use support::thread::{Restriction, elsewhere};
use support::*;

/// One interface to both APIs. Errors are positive errnos.
trait Ask {
    fn fd(fd: i32) -> Result<Netns, i32>;
    fn pid(pid: i32) -> Result<Netns, i32>;
    fn pidfd(pidfd: i32) -> Result<Netns, i32>;
    fn name(name: &[u8]) -> Result<Netns, i32>;
    fn nsid(nsid: i32) -> Result<Netns, i32>;
    fn open(netns: &Netns, path: Option<&Path>) -> Result<OwnedFd, i32>;
    fn same(a: &Netns, b: &Netns) -> bool;
    fn is_alive(netns: &Netns) -> Result<bool, i32>;
    fn nsid_of_pidfd(pidfd: i32) -> Result<i32, i32>;
    fn seen_from(place: i32, fd: i32) -> Result<i32, i32>;
}

struct Rust;
struct C;

fn borrowed(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: not -1, and only handed to the kernel.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

fn converted<T>(answer: nswatch::Result<T>) -> Result<T, i32> {
    answer.map_err(|error| error.errno())
}

/// Refuses a number that only C can pass.
fn open_fd(fd: i32) -> Result<BorrowedFd<'static>, i32> {
    if fd < 0 { Err(libc::EBADF) } else { Ok(borrowed(fd)) }
}

impl Ask for Rust {
    fn fd(fd: i32) -> Result<Netns, i32> {
        converted(Netns::for_fd(open_fd(fd)?))
    }
    fn pid(pid: i32) -> Result<Netns, i32> {
        converted(Netns::for_pid(pid))
    }
    fn pidfd(pidfd: i32) -> Result<Netns, i32> {
        converted(Netns::for_pidfd(open_fd(pidfd)?))
    }
    fn name(name: &[u8]) -> Result<Netns, i32> {
        converted(Netns::for_name(OsStr::from_bytes(name)))
    }
    fn nsid(nsid: i32) -> Result<Netns, i32> {
        converted(Netns::for_nsid(nsid))
    }
    fn open(netns: &Netns, path: Option<&Path>) -> Result<OwnedFd, i32> {
        converted(netns.open(path))
    }
    fn same(a: &Netns, b: &Netns) -> bool {
        a.same(b)
    }
    fn is_alive(netns: &Netns) -> Result<bool, i32> {
        converted(netns.is_alive())
    }
    fn nsid_of_pidfd(pidfd: i32) -> Result<i32, i32> {
        converted(nsid::get_for_pidfd(open_fd(pidfd)?)).map(|nsid| nsid.unwrap_or(-1))
    }
    fn seen_from(place: i32, fd: i32) -> Result<i32, i32> {
        converted(nsid::get_as_seen_from(open_fd(place)?, open_fd(fd)?)).map(|nsid| nsid.unwrap_or(-1))
    }
}

const UNTOUCHED: nsw_netns = nsw_netns { dev: 1, ino: 2, cookie: 3, stamp: 4 };

fn numbers(netns: &nsw_netns) -> [u64; 4] {
    [netns.dev, netns.ino, netns.cookie, netns.stamp]
}

fn to_c(netns: &Netns) -> nsw_netns {
    (*netns).into()
}

/// Calls a function with an out-parameter, which a failure must not change.
fn out(call: impl FnOnce(&mut nsw_netns) -> i32) -> Result<Netns, i32> {
    let mut out = UNTOUCHED;
    match call(&mut out) {
        0 => Ok((&out).into()),
        rc => {
            assert!(rc < 0 && numbers(&out) == numbers(&UNTOUCHED), "rc {rc}");
            Err(-rc)
        }
    }
}

impl Ask for C {
    fn fd(fd: i32) -> Result<Netns, i32> {
        // SAFETY: the out-parameter is writable.
        out(|out| unsafe { cn::nsw_netns_for_fd(fd, out) })
    }
    fn pid(pid: i32) -> Result<Netns, i32> {
        // SAFETY: the out-parameter is writable.
        out(|out| unsafe { cn::nsw_netns_for_pid(pid, out) })
    }
    fn pidfd(pidfd: i32) -> Result<Netns, i32> {
        // SAFETY: the out-parameter is writable.
        out(|out| unsafe { cn::nsw_netns_for_pidfd(pidfd, out) })
    }
    fn name(name: &[u8]) -> Result<Netns, i32> {
        let name = CString::new(name).map_err(|_| libc::EINVAL)?;
        // SAFETY: the out-parameter is writable, the string ends in NUL.
        out(|out| unsafe { cn::nsw_netns_for_name(name.as_ptr(), out) })
    }
    fn nsid(nsid: i32) -> Result<Netns, i32> {
        // SAFETY: the out-parameter is writable.
        out(|out| unsafe { cn::nsw_netns_for_nsid(nsid, out) })
    }
    fn open(netns: &Netns, path: Option<&Path>) -> Result<OwnedFd, i32> {
        let path = path.map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
        let path = path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
        // SAFETY: the identity is readable, the path NULL or a string; a new descriptor is ours.
        match unsafe { cn::nsw_netns_open(&to_c(netns), path) } {
            // SAFETY: it has just been opened, and nobody else has it.
            fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            rc => Err(-rc),
        }
    }
    fn same(a: &Netns, b: &Netns) -> bool {
        // SAFETY: both are readable.
        match unsafe { cn::nsw_netns_same(&to_c(a), &to_c(b)) } {
            0 => false,
            1 => true,
            rc => panic!("{rc}"),
        }
    }
    fn is_alive(netns: &Netns) -> Result<bool, i32> {
        // SAFETY: it is readable.
        match unsafe { cn::nsw_netns_is_alive(&to_c(netns)) } {
            0 => Ok(false),
            1 => Ok(true),
            rc => Err(-rc),
        }
    }
    fn nsid_of_pidfd(pidfd: i32) -> Result<i32, i32> {
        // SAFETY: the out-parameter is writable.
        out_id(|out| unsafe { ci::nsid_get_for_pidfd(pidfd, out) })
    }
    fn seen_from(place: i32, fd: i32) -> Result<i32, i32> {
        // SAFETY: the out-parameter is writable.
        out_id(|out| unsafe { ci::nsid_get_as_seen_from(place, fd, out) })
    }
}

macro_rules! both_ask {
    ($($name:ident)*) => {
        mod rust { $(#[test] fn $name() { super::$name::<super::Rust>() })* }
        mod c { $(#[test] fn $name() { super::$name::<super::C>() })* }
    };
}

both_ask! {
    every_way_leads_to_the_same_identity
    a_successor_is_another_one
    a_successor_behind_a_link_is_another_one
    a_namespace_without_a_name_dies
    an_unknown_answer_is_an_error
    a_filter_is_not_death
    the_own_namespace_is_always_known
    why_a_name_is_not_usable
    only_a_namespace_is_identified
    processes_that_are_gone
    a_hidden_process_is_not_gone
    a_thread_elsewhere
    an_id_leads_to_its_namespace
    nothing_but_a_namespace_is_opened
    ids_as_seen_from_elsewhere
    ids_as_seen_from_elsewhere_require_a_privilege
    without_proc_nothing_is_identified
}

fn pidfd_of(pid: u32) -> OwnedFd {
    // SAFETY: no pointers; a new descriptor is ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it has just been opened, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// Asserts that both are the same namespace; with cookies, that all four numbers are equal.
fn assert_same<A: Ask>(a: &Netns, b: &Netns) {
    assert!(A::same(a, b), "{a:?} {b:?}");
    if kernel::has_cookie() {
        assert_eq!(a, b);
    }
}

/// The result of a call that requires a cookie: an errno on kernels without cookies.
fn by_cookie<T>(expected: Result<T, i32>) -> Result<T, i32> {
    if kernel::has_cookie() { expected } else { Err(libc::EOPNOTSUPP) }
}

/// As [`by_cookie`], for a call that requires more: here root of the host.
fn for_sure<T>(expected: Result<T, i32>) -> Result<T, i32> {
    if is_real_root() { by_cookie(expected) } else { by_cookie(Err(libc::EPERM)) }
}

fn every_way_leads_to_the_same_identity<A: Ask>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    ip_netns(&["set", "blue", "5"]);
    let mut process = Command::new("ip")
        .args(["netns", "exec", "blue", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // after its answer it runs in the namespace
    std::io::Write::write_all(process.stdin.as_mut().unwrap(), b"x").unwrap();
    process.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();

    let event = Observer::<support::api::Rust>::open(&How::default()).until(Kind::Ready, "blue");
    let name = A::name(b"blue").unwrap();
    assert_eq!((name.dev(), name.ino(), name.cookie().unwrap_or(0)), kernel::netns("/run/netns/blue").unwrap());
    assert_eq!((event.dev, event.ino, event.cookie), kernel::netns("/run/netns/blue").unwrap());
    let announced = Watcher::named(&Options::new())
        .unwrap()
        .find_map(|event| event.unwrap().netns().copied())
        .expect("it is ready");
    assert_eq!(announced, name);
    // without cookies, a mounted namespace has a stamp
    assert_eq!(name.stamp().is_some(), !kernel::has_cookie());

    let open = File::open("/run/netns/blue").unwrap();
    assert_eq!(A::fd(open.as_raw_fd()), Ok(name));
    let located = std::os::unix::fs::OpenOptionsExt::custom_flags(File::options().read(true), libc::O_PATH)
        .open("/run/netns/blue")
        .unwrap();
    assert_eq!(A::fd(located.as_raw_fd()), Ok(name));
    assert_eq!(A::name(b"/run/netns/blue"), Ok(name));
    let pid = process.id() as i32;
    let others = [
        A::pid(pid),
        A::pidfd(pidfd_of(process.id()).as_raw_fd()),
        A::name(format!("/proc/{pid}/ns/net").as_bytes()),
        A::nsid(5),
        inside(&open.into(), || A::pid(rustix::thread::gettid().as_raw_nonzero().get())),
    ];
    for other in others {
        assert_same::<A>(&other.unwrap(), &name);
    }
    assert!(HashSet::from([name]).contains(&Netns::new(
        name.dev(),
        name.ino(),
        name.cookie().unwrap_or(0),
        name.stamp().unwrap_or(0)
    )));
    assert!(!A::same(&name, &A::pid(std::process::id() as i32).unwrap()));
    process.kill().unwrap();
    process.wait().unwrap();
}

fn a_successor_is_another_one<A: Ask>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    let path = Path::new("/run/netns/blue");
    let first = A::name(b"blue").unwrap();
    for _ in 0..2 {
        let opened = A::open(&first, Some(path)).unwrap();
        assert_eq!(A::fd(opened.as_raw_fd()), Ok(first));
    }
    if by_cookie(Ok(())).is_ok() {
        assert_eq!(A::fd(A::open(&first, None).unwrap().as_raw_fd()), Ok(first));
    }
    unmount(path);
    mount_successor(path, first.ino());
    let second = A::name(b"blue").unwrap();
    assert!(!A::same(&first, &second), "{first:?} {second:?}");
    assert_eq!(A::open(&first, Some(path)).err(), Some(libc::ESTALE));
    assert_eq!(A::open(&first, None).map(drop), for_sure(Err(libc::ENOENT)));
    assert!(A::open(&second, Some(path)).is_ok());
    std::fs::remove_file(path).unwrap_err();
    unmount(path);
    assert_eq!(A::open(&second, Some(path)).err(), Some(libc::ENOENT));
    std::fs::remove_file(path).unwrap();
    assert_eq!(A::open(&second, Some(path)).err(), Some(libc::ENOENT));
}

/// A link to a mount pins nothing itself, but the mount does.
fn a_successor_behind_a_link_is_another_one<A: Ask>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/blue");
    mount_new_netns("/run/blue");
    symlink("/run/blue", "/run/netns/link");
    let first = A::name(b"link").unwrap();
    assert_eq!(A::name(b"/run/blue"), Ok(first));
    assert!(A::open(&first, Some("/run/netns/link".as_ref())).is_ok());
    unmount("/run/blue");
    mount_successor("/run/blue", first.ino());
    assert_eq!(A::open(&first, Some("/run/netns/link".as_ref())).err(), Some(libc::ESTALE));
}

fn a_namespace_without_a_name_dies<A: Ask>() {
    sandbox();
    let process = Sleeper::new();
    let netns = A::pid(process.pid() as i32).unwrap();
    // root of a user namespace may open the namespaces that it owns
    assert_eq!(A::is_alive(&netns), by_cookie(Ok(true)));
    drop(process);
    let end = Instant::now() + DEADLINE;
    while A::is_alive(&netns) == Ok(true) {
        // nothing else reports when the kernel has freed it
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    assert_eq!(A::is_alive(&netns), for_sure(Ok(false)));
    assert_eq!(A::open(&netns, None).map(drop), for_sure(Err(libc::ENOENT)));

    // a descriptor keeps one, and so does a socket
    let kept = anonymous();
    let netns = A::fd(kept.as_raw_fd()).unwrap();
    assert_eq!(A::is_alive(&netns), by_cookie(Ok(true)));
}

/// Without the right to open others the kernel gives the same answer for the dead and the living.
fn an_unknown_answer_is_an_error<A: Ask>() {
    sandbox();
    let kept = anonymous();
    let living = A::fd(kept.as_raw_fd()).unwrap();
    let gone = A::fd(anonymous().as_raw_fd()).unwrap();
    for rights in [Restriction::without_sys_admin(), Restriction::powerless()] {
        for netns in [living, gone] {
            let (alive, opened) = elsewhere(&rights, || (A::is_alive(&netns), A::open(&netns, None).map(drop)));
            assert_eq!(alive, by_cookie(Err(libc::EPERM)), "{rights:?}");
            assert_eq!(opened, by_cookie(Err(libc::EPERM)), "{rights:?}");
        }
    }
    // a cookie without the inode number opens from Linux 6.19 on; before, it is never taken for dead
    let bare = |netns: Netns| Netns::new(0, 0, netns.cookie().unwrap_or(0), 0);
    match A::is_alive(&bare(living)) {
        Ok(alive) => assert!(alive && is_real_root()),
        Err(errno) => assert!([libc::EOPNOTSUPP, libc::EPERM].contains(&errno), "{errno}"),
    }
    let foreign = Netns::new(living.dev(), u64::MAX, 0, 7);
    assert_eq!(A::is_alive(&foreign), Err(libc::EOPNOTSUPP));
    assert_eq!(A::is_alive(&Netns::new(0, 0, 0, 0)), Err(libc::EOPNOTSUPP));
}

fn a_filter_is_not_death<A: Ask>() {
    sandbox();
    let kept = anonymous();
    let netns = A::fd(kept.as_raw_fd()).unwrap();
    // a caller with all rights knows that a filter refused
    let forbidden = if is_real_root() { libc::EOPNOTSUPP } else { libc::EPERM };
    let cases = [(libc::EPERM, forbidden), (libc::ENOSYS, libc::EOPNOTSUPP), (libc::EMFILE, libc::EMFILE)];
    for (errno, expected) in cases {
        let rights = Restriction::none().failing(libc::SYS_open_by_handle_at, errno);
        assert_eq!(elsewhere(&rights, || A::is_alive(&netns)), by_cookie(Err(expected)));
    }
}

fn the_own_namespace_is_always_known<A: Ask>() {
    sandbox();
    let own = A::name(b"/proc/thread-self/ns/net").unwrap();
    for rights in [Restriction::none(), Restriction::powerless()] {
        // the restricted thread is in the namespace of this one
        assert_eq!(elsewhere(&rights, || A::is_alive(&own)), by_cookie(Ok(true)));
    }
}

fn why_a_name_is_not_usable<A: Ask>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/waits");
    symlink("/nowhere", "/run/netns/dangles");
    symlink("loop", "/run/netns/loop");
    symlink("/proc/self/ns/uts", "/run/netns/uts");
    make_dir("/run/netns/dir");
    let long = [b'x'; 256];
    let cases: [(&[u8], i32); 13] = [
        (b"missing", libc::ENOENT),
        (b"dangles", libc::ENOENT),
        (b"waits", libc::ENODEV),
        (b"dir", libc::ENODEV),
        (b"/dev/null", libc::ENODEV),
        (b"uts", libc::EPROTOTYPE),
        (b"loop", libc::ELOOP),
        (b"/run/netns/waits/x", libc::ENOTDIR),
        (&long, libc::ENAMETOOLONG),
        (b"", libc::EINVAL),
        (b"..", libc::EINVAL),
        (b"/run/../x", libc::EINVAL),
        (b"a\0b", libc::EINVAL),
    ];
    for (name, errno) in cases {
        assert_eq!(A::name(name), Err(errno), "{:?}", OsStr::from_bytes(name));
    }
    make_dir("/run/closed");
    std::fs::set_permissions("/run/closed", std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    let rights = Restriction::powerless();
    let own = A::name(b"/proc/thread-self/ns/net").unwrap();
    let (named, opened) =
        elsewhere(&rights, || (A::name(b"/run/closed/x"), A::open(&own, Some("/run/closed/x".as_ref())).map(drop)));
    assert_eq!((named, opened), (Err(libc::EACCES), Err(libc::EACCES)));
}

fn only_a_namespace_is_identified<A: Ask>() {
    sandbox();
    let null = File::open("/dev/null").unwrap();
    let uts = File::open("/proc/self/ns/uts").unwrap();
    assert_eq!(A::fd(null.as_raw_fd()), Err(libc::EINVAL));
    assert_eq!(A::fd(uts.as_raw_fd()), Err(libc::EPROTOTYPE));
    let cases = [null.as_raw_fd(), uts.as_raw_fd(), -1, i32::MIN, 1 << 20];
    for fd in cases {
        assert_eq!(A::pidfd(fd), Err(libc::EBADF), "{fd}");
        assert_eq!(A::nsid_of_pidfd(fd), Err(libc::EBADF), "{fd}");
    }
    for fd in [-1, i32::MIN, 1 << 20] {
        assert_eq!(A::fd(fd), Err(libc::EBADF), "{fd}");
    }
    for pid in [0, -1, i32::MIN] {
        assert_eq!(A::pid(pid), Err(libc::EINVAL), "{pid}");
    }
    assert_eq!(A::pid(i32::MAX), Err(libc::ESRCH));
}

fn processes_that_are_gone<A: Ask>() {
    sandbox();
    let mut process = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    let pidfd = pidfd_of(process.id());
    assert!(poll_in(&pidfd));
    // it has ended, and nobody has waited for it
    assert_eq!(A::pid(process.id() as i32), Err(libc::ESRCH));
    assert_eq!(A::pidfd(pidfd.as_raw_fd()), Err(libc::ESRCH));
    process.wait().unwrap();
    assert_eq!(A::pidfd(pidfd.as_raw_fd()), Err(libc::ESRCH));
    assert_eq!(A::nsid_of_pidfd(pidfd.as_raw_fd()), Err(libc::ESRCH));
}

/// Waits until it is readable, which a pidfd is when its process has ended.
fn poll_in(fd: &OwnedFd) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry is passed and counted as one.
    unsafe { libc::poll(&mut entry, 1, DEADLINE.as_millis() as i32) == 1 }
}

/// A mount option of /proc hides the processes that the caller may not trace.
fn a_hidden_process_is_not_gone<A: Ask>() {
    sandbox();
    if !is_real_root() {
        return skipped("requires root, to become a user to whom a process is hidden");
    }
    const NOBODY: u32 = 65534;
    // a program that may not be read may not be traced, though it may be signalled
    run("cp", &["/bin/cat", "/run/cat"]);
    std::fs::set_permissions("/run/cat", std::os::unix::fs::PermissionsExt::from_mode(0o111)).unwrap();
    let mut command = Command::new("/run/cat");
    let command = std::os::unix::process::CommandExt::uid(command.stdin(Stdio::piped()), NOBODY);
    let mut own = command.spawn().unwrap();
    let others = Sleeper::new();
    for hidepid in ["hidepid=1", "hidepid=2"] {
        run("mount", &["-t", "proc", "-o", hidepid, "proc", "/proc"]);
        let hidden = [own.id(), others.pid()];
        let found = std::thread::scope(|scope| {
            let ask = || {
                // SAFETY: no pointers; by the bare system call it concerns this thread alone.
                assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) }, 0);
                let named = |pid: u32| A::name(format!("/proc/{pid}/ns/net").as_bytes());
                (hidden.map(|pid| A::pid(pid as i32)), hidden.map(named), A::pid(i32::MAX))
            };
            scope.spawn(ask).join().unwrap()
        });
        let (by_pid, by_name, nobody) = found;
        assert_eq!((by_pid, nobody), ([Err(libc::EACCES); 2], Err(libc::ESRCH)), "{hidepid}");
        // a hidden process leads nowhere, unless the kernel has just looked it up for another one
        let fine = |found| match found {
            Err(libc::EACCES) => true,
            Err(libc::ENOENT) => hidepid == "hidepid=2",
            // on Linux 5.10 the link without ptrace access is the directory that it is in: docs/kernel.md
            Err(libc::ENODEV) => !kernel::has_cookie(),
            _ => false,
        };
        assert!(by_name.into_iter().all(fine), "{hidepid}: {by_name:?}");
    }
    own.kill().unwrap();
    own.wait().unwrap();
}

fn a_thread_elsewhere<A: Ask>() {
    sandbox();
    let other = anonymous();
    let there = A::fd(other.as_raw_fd()).unwrap();
    let ((sender, receiver), (end, ended)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let other = &other;
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            enter(other);
            sender.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            ended.recv().unwrap();
        });
        // dropped with this closure, also by a panic: the thread must not wait for ever
        let end = end;
        let tid = receiver.recv().unwrap();
        assert_same::<A>(&A::pid(tid).unwrap(), &there);
        let seen = census().unwrap().into_iter().find(|sighting| sighting.netns.same(&there)).unwrap();
        assert_eq!(seen.pids, [tid]);
        end.send(()).unwrap();
    });
}

fn an_id_leads_to_its_namespace<A: Ask>() {
    sandbox();
    assert_eq!(A::nsid(-1), Err(libc::EINVAL));
    assert_eq!(A::nsid(7), Err(libc::ENOENT));
    let process = Sleeper::new();
    let nameless = A::pid(process.pid() as i32).unwrap();
    nsid::assign(File::open(process.namespace("net")).unwrap(), Some(7)).unwrap();
    assert_same::<A>(&A::nsid(7).unwrap(), &nameless);
    assert_eq!(A::nsid_of_pidfd(pidfd_of(process.pid()).as_raw_fd()), Ok(7));
    ip_netns(&["add", "blue"]);
    ip_netns(&["set", "blue", "3"]);
    assert_same::<A>(&A::nsid(3).unwrap(), &A::name(b"blue").unwrap());
    // its own namespace, if that has an nsid in itself
    let own = File::open("/proc/thread-self/ns/net").unwrap();
    nsid::assign(&own, Some(9)).unwrap();
    assert_same::<A>(&A::nsid(9).unwrap(), &A::fd(own.as_raw_fd()).unwrap());
    // a namespace that only a descriptor keeps
    let kept = anonymous();
    nsid::assign(&kept, Some(11)).unwrap();
    assert_same::<A>(&A::nsid(11).unwrap(), &A::fd(kept.as_raw_fd()).unwrap());
    drop(process);
}

fn nothing_but_a_namespace_is_opened<A: Ask>() {
    sandbox();
    make_dir(RUN_NETNS);
    let fifo = CString::new("/run/netns/fifo").unwrap();
    // SAFETY: the string ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    assert_eq!(A::name(b"fifo"), Err(libc::ENODEV));
    let own = A::name(b"/proc/thread-self/ns/net").unwrap();
    for path in ["/run/netns/fifo", "/run/netns", "/dev/zero", "/proc/self/ns/uts", "", "nowhere"] {
        assert_eq!(A::open(&own, Some(path.as_ref())).err(), Some(libc::ENOENT), "{path}");
    }
}

fn ids_as_seen_from_elsewhere<A: Ask>() {
    sandbox();
    let (place, other) = (anonymous(), anonymous());
    let (p, o) = (place.as_raw_fd(), other.as_raw_fd());
    assert_eq!(A::seen_from(p, o), Ok(-1));
    inside(&place, || nsid::assign(&other, Some(4)).unwrap());
    // `place` has no nsid here: a thread goes there
    assert_eq!(A::seen_from(p, o), Ok(4));
    // it has one: the kernel answers by that
    nsid::assign(&place, Some(0)).unwrap();
    assert_eq!(A::seen_from(p, o), Ok(4));
    // its own namespace, asked from anywhere
    assert_eq!(inside(&place, || A::seen_from(p, o)), Ok(4));
    assert_eq!(inside(&other, || A::seen_from(p, o)), Ok(4));
    assert_eq!(A::seen_from(o, p), Ok(-1));
    let (null, uts) = (File::open("/dev/null").unwrap(), File::open("/proc/self/ns/uts").unwrap());
    assert_eq!(A::seen_from(null.as_raw_fd(), o), Err(libc::EINVAL));
    assert_eq!(A::seen_from(uts.as_raw_fd(), o), Err(libc::EPROTOTYPE));
    assert_eq!(A::seen_from(p, null.as_raw_fd()), Err(libc::EINVAL));
    assert_eq!((A::seen_from(-1, o), A::seen_from(p, -1)), (Err(libc::EBADF), Err(libc::EBADF)));
}

fn ids_as_seen_from_elsewhere_require_a_privilege<A: Ask>() {
    sandbox();
    let (place, other) = (anonymous(), anonymous());
    let (p, o) = (place.as_raw_fd(), other.as_raw_fd());
    inside(&place, || nsid::assign(&other, Some(4)).unwrap());
    assert_eq!(elsewhere(&Restriction::powerless(), || A::seen_from(p, o)), Err(libc::EPERM));
    assert_eq!(elsewhere(&Restriction::without_sys_admin(), || A::seen_from(p, o)), Err(libc::EPERM));
    nsid::assign(&place, Some(0)).unwrap();
    // CAP_NET_ADMIN over it suffices now
    assert_eq!(elsewhere(&Restriction::without_sys_admin(), || A::seen_from(p, o)), Ok(4));
    assert_eq!(elsewhere(&Restriction::powerless(), || A::seen_from(p, o)), Err(libc::EPERM));
    let own = File::open("/proc/thread-self/ns/net").unwrap();
    assert_eq!(elsewhere(&Restriction::powerless(), || A::seen_from(own.as_raw_fd(), p)), Ok(0));
}

fn without_proc_nothing_is_identified<A: Ask>() {
    sandbox();
    let kept = anonymous();
    let netns = A::fd(kept.as_raw_fd()).unwrap();
    mount("nothing", "/proc", Some("tmpfs"), 0);
    assert_eq!(A::fd(kept.as_raw_fd()), Err(libc::EOPNOTSUPP));
    assert_eq!(A::pid(1), Err(libc::EOPNOTSUPP));
    assert_eq!(A::open(&netns, Some("/run".as_ref())).err(), Some(libc::ENOENT));
}

#[test]
fn an_event_carries_identity_and_path() {
    sandbox();
    ip_netns(&["add", "blue"]);
    placeholder("/run/netns/waits");
    let mut watcher = Watcher::named(&Options::new()).unwrap();
    let mut kinds = 0;
    while let Some(event) = watcher.next_event().unwrap() {
        kinds += 1;
        let path = event.name().map(|name| Path::new(RUN_NETNS).join(name));
        assert_eq!(event.path(), path);
        match event.kind() {
            EventKind::Ready(_, netns) => {
                assert_eq!(Some(netns), event.netns());
                assert_eq!(Netns::for_fd(netns.open(path.as_deref()).unwrap()).unwrap(), *netns);
            }
            _ => assert_eq!(event.netns(), None),
        }
    }
    // created, ready, created, synced
    assert_eq!(kinds, 4);
}

/// Its sockets keep the namespace alive, as all sockets do. An agent must know: it gets no notice of the death of a
/// namespace that it watches from inside.
#[test]
fn a_watcher_of_nsids_keeps_its_own_namespace_alive() {
    sandbox();
    let kept = anonymous();
    let netns = Netns::for_fd(&kept).unwrap();
    nsid::assign(&kept, Some(5)).unwrap();
    let mut here = Watcher::nsid(&Options::new()).unwrap();
    while *here.wait(Some(DEADLINE)).unwrap().unwrap().kind() != EventKind::Synced {}
    let inside = inside(&kept, || Watcher::nsid(&Options::new()).unwrap());
    drop(kept);
    // later kernels do not open by cookie a namespace that only a socket keeps
    assert_eq!(converted(netns.is_alive()), by_cookie(Ok(kernel::is_before(6, 19))));
    drop(inside);
    let gone = here.wait(Some(DEADLINE)).unwrap().expect("it dies with the watcher");
    assert_eq!(*gone.kind(), EventKind::NsidDel { nsid: 5, origin: None });
    assert_eq!(converted(netns.is_alive()), for_sure(Ok(false)));
}

#[test]
fn null_is_refused() {
    let own = to_c(&Netns::for_pid(std::process::id() as i32).unwrap());
    let (mut netns, null) = (UNTOUCHED, std::ptr::null_mut());
    // SAFETY: what is not NULL is readable and writable.
    let refused = unsafe {
        [
            cn::nsw_netns_for_fd(0, null),
            cn::nsw_netns_for_pid(1, null),
            cn::nsw_netns_for_pidfd(0, null),
            cn::nsw_netns_for_name(c"x".as_ptr(), null),
            cn::nsw_netns_for_name(std::ptr::null(), &mut netns),
            cn::nsw_netns_for_nsid(0, null),
            cn::nsw_netns_open(null, std::ptr::null()),
            cn::nsw_netns_open(null, c"/proc/self/ns/net".as_ptr()),
            cn::nsw_netns_same(null, &own),
            cn::nsw_netns_same(&own, null),
            cn::nsw_netns_is_alive(null),
            cn::nsw_event_netns(std::ptr::null(), &mut netns),
            ci::nsid_get_for_pidfd(0, std::ptr::null_mut()),
            ci::nsid_get_as_seen_from(0, 0, std::ptr::null_mut()),
        ]
    };
    assert_eq!(refused, [-libc::EINVAL; 14]);
    assert_eq!(numbers(&netns), numbers(&UNTOUCHED));
    assert_eq!(size_of::<nsw_netns>(), 32);
}

#[test]
fn errors_name_the_cause_and_the_remedy() {
    sandbox();
    let says = |error: nswatch::Error, words: &[&str]| {
        for word in words {
            assert!(error.to_string().contains(word), "no {word:?} in {error}");
        }
    };
    make_dir(RUN_NETNS);
    placeholder("/run/netns/waits");
    says(Netns::for_name("waits").unwrap_err(), &["waits", "no namespace is mounted"]);
    says(Netns::for_name("/proc/self/ns/uts").unwrap_err(), &["/proc/self/ns/uts", "another kind"]);
    says(Netns::for_pid(i32::MAX).unwrap_err(), &["2147483647", "no such process"]);
    says(Netns::for_nsid(12).unwrap_err(), &["12", "no network namespace has this nsid"]);
    let unknown = Netns::new(4, 17, 0, 0);
    says(unknown.is_alive().unwrap_err(), &["net:[17]", "Linux 6.18"]);
    if kernel::has_cookie() {
        let netns = Netns::for_fd(anonymous()).unwrap();
        let error = elsewhere(&Restriction::without_sys_admin(), || netns.is_alive().unwrap_err());
        says(error, &["CAP_SYS_ADMIN", "initial user"]);
    }
}
