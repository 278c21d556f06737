//! Queries for nsids and their assignment, with real namespaces, through Rust and through C.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::support::nsid::{anonymous, enter, inside, list_id, living, out_id};
use crate::support::*;
use nswatch::capi::nsid as cn;
use nswatch::{Options, Watcher, nsid};

/// One interface to both APIs. Errors are positive errnos, -1 means no nsid.
trait Ask {
    fn pid(pid: i32) -> Result<i32, i32>;
    fn fd(fd: i32) -> Result<i32, i32>;
    fn name(name: &[u8]) -> Result<i32, i32>;
    fn assign(fd: i32, wanted: i32) -> Result<i32, i32>;
    fn translate(nsid: i32, from: i32) -> Result<i32, i32>;
    fn list() -> Result<Vec<i32>, i32>;
}

struct Rust;
struct C;

fn converted(answer: nswatch::Result<Option<i32>>) -> Result<i32, i32> {
    answer.map(|nsid| nsid.unwrap_or(-1)).map_err(|error| error.errno())
}

fn borrowed(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: not -1, and only handed to the kernel.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

impl Ask for Rust {
    fn pid(pid: i32) -> Result<i32, i32> {
        converted(nsid::get_for_pid(pid))
    }
    fn fd(fd: i32) -> Result<i32, i32> {
        if fd < 0 { Err(libc::EBADF) } else { converted(nsid::get_for_fd(borrowed(fd))) }
    }
    fn name(name: &[u8]) -> Result<i32, i32> {
        converted(nsid::get_for_name(std::ffi::OsStr::from_bytes(name)))
    }
    fn assign(fd: i32, wanted: i32) -> Result<i32, i32> {
        match fd {
            ..0 => Err(libc::EBADF),
            _ => converted(nsid::assign(borrowed(fd), (wanted != -1).then_some(wanted)).map(Some)),
        }
    }
    fn translate(nsid: i32, from: i32) -> Result<i32, i32> {
        converted(nsid::translate(nsid, from))
    }
    fn list() -> Result<Vec<i32>, i32> {
        nsid::list().map_err(|error| error.errno())
    }
}

impl Ask for C {
    fn pid(pid: i32) -> Result<i32, i32> {
        // SAFETY: the out-parameter is writable, a string ends in NUL.
        out_id(|out| unsafe { cn::nsid_get_for_pid(pid, out) })
    }
    fn fd(fd: i32) -> Result<i32, i32> {
        // SAFETY: the out-parameter is writable, a string ends in NUL.
        out_id(|out| unsafe { cn::nsid_get_for_fd(fd, out) })
    }
    fn name(name: &[u8]) -> Result<i32, i32> {
        let name = CString::new(name).map_err(|_| libc::EINVAL)?;
        // SAFETY: the out-parameter is writable, a string ends in NUL.
        out_id(|out| unsafe { cn::nsid_get_for_name(name.as_ptr(), out) })
    }
    fn assign(fd: i32, wanted: i32) -> Result<i32, i32> {
        // SAFETY: the out-parameter is writable, a string ends in NUL.
        out_id(|out| unsafe { cn::nsid_assign(fd, wanted, out) })
    }
    fn translate(nsid: i32, from: i32) -> Result<i32, i32> {
        // SAFETY: the out-parameter is writable, a string ends in NUL.
        out_id(|out| unsafe { cn::nsid_translate(nsid, from, out) })
    }
    fn list() -> Result<Vec<i32>, i32> {
        let (mut ids, mut count) = (vec![-7; 2048], 0);
        // SAFETY: there is as much room as stated.
        match unsafe { cn::nsid_list(ids.as_mut_ptr(), ids.len(), &mut count) } {
            0 => {
                assert!(ids.iter().skip(count).all(|nsid| *nsid == -7));
                ids.truncate(count);
                Ok(ids)
            }
            rc => Err(-rc),
        }
    }
}

macro_rules! both_ask {
    ($($name:ident)*) => {
        mod rust { $(#[test] fn $name() { super::$name::<super::Rust>() })* }
        mod c { $(#[test] fn $name() { super::$name::<super::C>() })* }
    };
}

both_ask! {
    no_id_is_minus_one
    all_queries_agree_with_ip
    errors_of_the_kernel_pass_through
    invalid_arguments_are_refused
    only_namespaces_are_opened
    an_id_is_assigned_once
    ids_are_translated
    a_query_concerns_the_namespace_of_the_thread
    a_process_in_another_namespace
}

fn name_with_id(name: &str, id: &str) {
    ip_netns(&["add", name]);
    ip_netns(&["set", name, id]);
}

fn no_id_is_minus_one<A: Ask>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let blue = File::open("/run/netns/blue").unwrap();
    assert_eq!(A::pid(std::process::id() as i32), Ok(-1));
    assert_eq!(A::fd(blue.as_raw_fd()), Ok(-1));
    assert_eq!(A::name(b"blue"), Ok(-1));
    assert_eq!(A::list(), Ok(vec![]));
}

fn all_queries_agree_with_ip<A: Ask>() {
    sandbox();
    name_with_id("blue", "5");
    name_with_id("red", "2147483647");
    ip_netns(&["add", "veth"]);
    run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "veth"]);
    for (name, nsid) in [("blue", 5), ("red", i32::MAX), ("veth", 0)] {
        let path = format!("/run/netns/{name}");
        assert_eq!(A::name(name.as_bytes()), Ok(nsid));
        assert_eq!(A::name(path.as_bytes()), Ok(nsid));
        assert_eq!(A::fd(File::open(path).unwrap().as_raw_fd()), Ok(nsid));
    }
    assert_eq!(A::list(), Ok(vec![0, 5, i32::MAX]));
    assert_eq!(A::list().unwrap(), list_id());
    // a name is any bytes
    ip_netns(&["add", "\u{fc}-\u{1f98a}"]);
    assert_eq!(A::name("\u{fc}-\u{1f98a}".as_bytes()), Ok(-1));
}

fn errors_of_the_kernel_pass_through<A: Ask>() {
    sandbox();
    let file = File::open("/proc/self/status").unwrap();
    let user = File::open("/proc/self/ns/user").unwrap();
    let closed = {
        let file = File::open("/proc/self/status").unwrap();
        // far above the descriptors that other threads of this process open meanwhile
        // SAFETY: no pointers.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 900) }
    };
    // SAFETY: it is ours, and not used as open after this.
    unsafe { libc::close(closed) };
    assert_eq!(A::pid(i32::MAX), Err(libc::ESRCH));
    assert_eq!(A::fd(file.as_raw_fd()), Err(libc::EINVAL));
    assert_eq!(A::fd(user.as_raw_fd()), Err(libc::EINVAL));
    assert_eq!(A::fd(closed), Err(libc::EBADF));
    assert_eq!(A::assign(file.as_raw_fd(), -1), Err(libc::EINVAL));
    assert_eq!(A::assign(closed, 5), Err(libc::EBADF));
    assert_eq!(A::translate(0, 5), Err(libc::EINVAL));
    assert_eq!(A::name(b"missing"), Err(libc::ENOENT));
    assert_eq!(A::name(b"/proc/self/status/x"), Err(libc::ENOTDIR));
    make_dir(RUN_NETNS);
    assert_eq!(A::name(&[b'x'; 256]), Err(libc::ENAMETOOLONG));
}

fn invalid_arguments_are_refused<A: Ask>() {
    sandbox();
    name_with_id("blue", "5");
    let blue = File::open("/run/netns/blue").unwrap();
    for pid in [0, -1, i32::MIN] {
        assert_eq!(A::pid(pid), Err(libc::EINVAL), "{pid}");
    }
    for fd in [-1, i32::MIN] {
        assert_eq!(A::fd(fd), Err(libc::EBADF));
        assert_eq!(A::assign(fd, -1), Err(libc::EBADF));
    }
    for wanted in [-2, i32::MIN] {
        assert_eq!(A::assign(blue.as_raw_fd(), wanted), Err(libc::EINVAL));
    }
    for (nsid, from) in [(-1, 5), (0, -1), (i32::MIN, i32::MIN)] {
        assert_eq!(A::translate(nsid, from), Err(libc::EINVAL));
    }
    for name in ["", "..", "../netns/blue", "/run/../run/netns/blue", "x/..", "./.."] {
        assert_eq!(A::name(name.as_bytes()), Err(libc::EINVAL), "{name:?}");
    }
    assert_eq!(A::name(b"a\0b"), Err(libc::EINVAL));
    assert_eq!(A::name(b"a..b"), Err(libc::ENOENT));
}

fn only_namespaces_are_opened<A: Ask>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/placeholder");
    let fifo = CString::new("/run/netns/fifo").unwrap();
    // SAFETY: the string ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    for name in ["placeholder", "fifo", ".", "/"] {
        assert_eq!(A::name(name.as_bytes()), Err(libc::ENODEV), "{name}");
    }
    assert_eq!(A::name(b"/proc/self/ns/user"), Err(libc::EPROTOTYPE));
    std::os::unix::fs::symlink("/proc/thread-self/ns/net", "/run/netns/link").unwrap();
    assert_eq!(A::name(b"link"), Ok(-1));
}

fn an_id_is_assigned_once<A: Ask>() {
    sandbox();
    let (first, second) = (anonymous(), anonymous());
    assert_eq!(A::assign(first.as_raw_fd(), 7), Ok(7));
    assert_eq!(A::assign(first.as_raw_fd(), 7), Err(libc::EEXIST));
    assert_eq!(A::assign(first.as_raw_fd(), -1), Err(libc::EEXIST));
    assert_eq!(A::assign(second.as_raw_fd(), 7), Err(libc::EEXIST));
    assert_eq!(A::assign(second.as_raw_fd(), -1), Ok(0));
    assert_eq!(list_id(), [0, 7]);
}

fn ids_are_translated<A: Ask>() {
    sandbox();
    let here: OwnedFd = File::open("/proc/thread-self/ns/net").unwrap().into();
    let (peer, known, unknown) = (anonymous(), anonymous(), anonymous());
    nsid::assign(&peer, Some(5)).unwrap();
    nsid::assign(&known, Some(6)).unwrap();
    inside(&peer, || {
        nsid::assign(&known, Some(10)).unwrap();
        nsid::assign(&unknown, Some(11)).unwrap();
        nsid::assign(&here, Some(12)).unwrap();
    });
    assert_eq!(A::translate(10, 5), Ok(6));
    assert_eq!(A::translate(11, 5), Ok(-1));
    assert_eq!(A::translate(12, 5), Ok(-1));
    assert_eq!(A::translate(13, 5), Err(libc::ENOENT));
    assert_eq!(A::translate(6, 5), Err(libc::ENOENT));
}

fn a_query_concerns_the_namespace_of_the_thread<A: Ask>() {
    sandbox();
    let (elsewhere, namespace) = (anonymous(), anonymous());
    assert_eq!(A::assign(namespace.as_raw_fd(), 3), Ok(3));
    enter(&elsewhere);
    assert_eq!(A::list(), Ok(vec![]));
    assert_eq!(A::fd(namespace.as_raw_fd()), Ok(-1));
    assert_eq!(A::assign(namespace.as_raw_fd(), 4), Ok(4));
    assert_eq!(A::fd(namespace.as_raw_fd()), Ok(4));
}

fn a_process_in_another_namespace<A: Ask>() {
    sandbox();
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo; read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    let pid = child.id() as i32;
    assert_eq!(A::pid(pid), Ok(-1));
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(A::assign(namespace.as_raw_fd(), 9), Ok(9));
    assert_eq!(A::pid(pid), Ok(9));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(A::pid(pid), Err(libc::ESRCH));
}

#[test]
fn more_ids_than_the_kernel_lists() {
    const MANY: usize = 1300;
    sandbox();
    // one descriptor each
    let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: the structure is read during the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return skipped("the limit of open files is below 4096");
    }
    let namespaces: Vec<OwnedFd> = (0..MANY).map(|_| anonymous()).collect();
    for namespace in &namespaces {
        nsid::assign(namespace, None).unwrap();
    }
    let all: Vec<i32> = (0..MANY as i32).collect();
    assert_eq!(nsid::list().unwrap(), all);
    let mut watcher = Watcher::nsid(&Options::new()).unwrap();
    let replayed = std::iter::from_fn(|| watcher.next_event().unwrap()).count();
    assert_eq!(replayed, MANY + 1);
    drop(namespaces);
    for _ in 0..MANY {
        assert!(watcher.wait(Some(DEADLINE)).unwrap().is_some(), "not all deaths were reported");
    }
    assert_eq!(watcher.stats().known, 0);
    assert_eq!(living(0..MANY as i32), []);
}

#[test]
fn ids_far_apart_are_all_listed() {
    sandbox();
    // far apart, so that a search of the neighbours finds none
    let namespaces: Vec<(OwnedFd, i32)> = (0..200).map(|n| (anonymous(), n * 1000)).collect();
    for (namespace, wanted) in &namespaces {
        nsid::assign(namespace, Some(*wanted)).unwrap();
    }
    let all: Vec<i32> = namespaces.iter().map(|(_, nsid)| *nsid).collect();
    assert_eq!(nsid::list().unwrap(), all);
}

#[test]
fn a_list_for_c_is_filled_as_far_as_there_is_room() {
    sandbox();
    name_with_id("blue", "5");
    name_with_id("red", "6");
    let (mut ids, mut count) = ([-7; 3], 99);
    // SAFETY: room and pointers are as stated.
    unsafe {
        assert_eq!(cn::nsid_list(std::ptr::null_mut(), 0, &mut count), 0);
        assert_eq!(count, 2);
        assert_eq!(cn::nsid_list(ids.as_mut_ptr(), 1, &mut count), 0);
        assert_eq!((ids, count), ([5, -7, -7], 2));
        assert_eq!(cn::nsid_list(ids.as_mut_ptr(), 3, &mut count), 0);
        assert_eq!((ids, count), ([5, 6, -7], 2));
        count = 99;
        assert_eq!(cn::nsid_list(std::ptr::null_mut(), 3, &mut count), -libc::EINVAL);
        assert_eq!(cn::nsid_list(ids.as_mut_ptr(), 3, std::ptr::null_mut()), -libc::EINVAL);
        assert_eq!(count, 99);
    }
}

#[test]
fn a_null_is_refused() {
    let null = std::ptr::null_mut();
    // SAFETY: the functions promise to accept NULL.
    unsafe {
        assert_eq!(cn::nsid_get_for_pid(1, null), -libc::EINVAL);
        assert_eq!(cn::nsid_get_for_fd(0, null), -libc::EINVAL);
        assert_eq!(cn::nsid_get_for_name(c"x".as_ptr(), null), -libc::EINVAL);
        assert_eq!(cn::nsid_get_for_name(std::ptr::null(), &mut 0), -libc::EINVAL);
        assert_eq!(cn::nsid_assign(0, -1, null), -libc::EINVAL);
        assert_eq!(cn::nsid_translate(0, 0, null), -libc::EINVAL);
    }
}

/// The calls of `nobody`, in a process of its own that the test below starts.
#[test]
#[ignore = "a part of unprivileged_users_watch_and_query"]
fn as_nobody() {
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::geteuid() }, 65534);
    let refused = |error: nswatch::Error| error.errno();
    let mut watcher = Watcher::nsid(&Options::new()).unwrap();
    let error = Watcher::nsid(&Options::new().all_nsid(true)).unwrap_err();
    assert_eq!(error.errno(), libc::EPERM);
    assert!(error.to_string().contains("CAP_NET_BROADCAST"), "{error}");
    assert_eq!(nsid::get_for_pid(std::process::id() as i32).unwrap(), None);
    assert_eq!(nsid::get_for_name("blue").unwrap(), Some(5));
    assert_eq!(nsid::list().unwrap(), [5]);
    let own = File::open("/proc/thread-self/ns/net").unwrap();
    assert_eq!(nsid::assign(&own, None).map_err(refused), Err(libc::EPERM));
    assert_eq!(nsid::translate(0, 5).map_err(refused), Err(libc::EACCES));
    while watcher.next_event().unwrap().is_some() {}
    println!("\nnobody is watching");
    let event = watcher.wait(Some(DEADLINE)).unwrap().unwrap();
    assert!(matches!(event.kind(), nswatch::EventKind::NsidNew { nsid: 6, .. }), "{event:?}");
    println!("\nnobody has seen it");
}

#[test]
fn unprivileged_users_watch_and_query() {
    use std::io::{BufRead, BufReader};
    if !is_real_root() {
        return skipped("only root can become nobody");
    }
    sandbox();
    name_with_id("blue", "5");
    let exe = "/run/as-nobody";
    std::fs::copy(std::env::current_exe().unwrap(), exe).unwrap();
    let mut child = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
        .args([exe, "--exact", "query::as_nobody", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .current_dir("/")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "nobody is watching"), "it did not begin to watch");
    name_with_id("red", "6");
    assert!(lines.any(|line| line == "nobody has seen it"), "it got no event");
    assert!(child.wait().unwrap().success());
}
