//! A thread with another root directory or mount namespace than the one that opened the watcher gets no wrong event and
//! loses none, and the next call from the right place goes on.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::support::api::{self, Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere, stopped_at};
use crate::support::*;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS, NSW_QUEUE_BLOCK};

both! {
    changes_meanwhile_are_reported_afterwards
    a_directory_that_changes_meanwhile_is_reported_afterwards
    a_resync_is_retried
    a_namespace_is_opened_from_the_right_place_only
    a_call_that_probes_nothing_works_anywhere
    an_overflow_is_recovered_afterwards
    a_name_that_settles_waits_for_the_right_place
    renames_meanwhile_are_reported_afterwards
    the_monitor_of_mounts_goes_on
    a_mechanism_of_mounts_gives_way_in_the_right_place
    a_root_that_changes_during_a_probe
    a_root_that_changes_while_the_path_is_resolved
    a_root_that_changes_while_the_directory_is_read
    a_reader_thread_in_the_wrong_place_returns_the_error
    a_reader_thread_stays_where_it_is
    watchers_of_ids_need_no_place
    a_watcher_opened_inside_belongs_there
    a_root_is_recognised_without_statx
}

/// The places to go. The jails also hold a directory of names, and some of these places /proc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Jail,
    JailWithProc,
    /// The same directory by another mount.
    BoundRoot,
    Unshared,
    /// The mount namespace of another process.
    Entered,
    UnsharedJail,
}

const EVERYWHERE: [Away; 6] =
    [Away::Jail, Away::JailWithProc, Away::BoundRoot, Away::Unshared, Away::Entered, Away::UnsharedJail];

/// What a thread needs to return.
struct Gone {
    root: File,
    namespace: Option<File>,
}

fn chroot(path: &str) {
    std::os::unix::fs::chroot(path).unwrap();
    std::env::set_current_dir("/").unwrap();
}

fn enter_mounts(namespace: &File) {
    // SAFETY: no pointers; it concerns this thread alone.
    let rc = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS) };
    assert_eq!(rc, 0, "setns: {}", std::io::Error::last_os_error());
}

fn to_root(root: RawFd) {
    // SAFETY: no pointers but a string that outlives the call.
    let rc = unsafe { libc::fchdir(root) | libc::chroot(c".".as_ptr()) };
    assert_eq!(rc, 0, "chroot: {}", std::io::Error::last_os_error());
}

impl Away {
    fn go(self) -> Gone {
        let root = File::open("/").unwrap();
        let namespace = File::open("/proc/thread-self/ns/mnt").unwrap();
        let is_other = matches!(self, Self::Unshared | Self::Entered | Self::UnsharedJail);
        let leave = || {
            unshare(libc::CLONE_NEWNS).unwrap();
            mount("none", "/", None, libc::MS_REC | libc::MS_PRIVATE);
        };
        match self {
            Self::Jail => chroot("/run/jail"),
            Self::JailWithProc => chroot("/run/jail-with-proc"),
            Self::BoundRoot => chroot("/run/bound"),
            Self::Unshared => leave(),
            Self::UnsharedJail => {
                leave();
                chroot("/run/jail");
            }
            Self::Entered => {
                let mut other = Outside::started(Command::new("unshare").args(["-m", "sh"]));
                other.run("umount -l /run/netns || true");
                let theirs = File::open(format!("/proc/{}/ns/mnt", other.child.id())).unwrap();
                // a thread that shares its root with others may not enter a mount namespace
                unshare(libc::CLONE_FS).unwrap();
                enter_mounts(&theirs);
            }
        }
        Gone { root, namespace: is_other.then_some(namespace) }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(namespace) = &self.namespace {
            enter_mounts(namespace);
        }
        to_root(self.root.as_raw_fd());
    }
}

/// A shell that stays where it was started.
struct Outside {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Outside {
    fn new() -> Self {
        Self::started(&mut Command::new("sh"))
    }

    fn started(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn run(&mut self, commands: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "set -e; {commands}\necho done").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{commands}");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The commands that mount a new network namespace over a name.
const MOUNT: &str = "unshare -n mount --bind /proc/self/ns/net /run/netns";

/// Names of each kind, places to go, and a shell outside.
fn stage() -> Outside {
    sandbox();
    for name in ["stays", "goes", "detaches", "changes"] {
        ip_netns(&["add", name]);
    }
    placeholder("/run/netns/becomes");
    // other names, as on another host
    make_dir("/run/jail/run/netns");
    placeholder("/run/jail/run/netns/stays");
    placeholder("/run/jail/run/netns/theirs");
    make_dir("/run/jail-with-proc/proc");
    bind("/proc", "/run/jail-with-proc/proc");
    make_dir("/run/bound");
    // recursively, or an ordinary user may not; but a name that is mounted twice could not be removed
    mount("/", "/run/bound", None, libc::MS_BIND | libc::MS_REC);
    mount("none", "/run/bound", None, libc::MS_REC | libc::MS_PRIVATE);
    unmount("/run/bound/run");
    Outside::new()
}

const CHANGES: &str = "ip netns add new; : > /run/netns/half; rm /run/netns/half; : > /run/netns/half;
    umount /run/netns/goes; rm /run/netns/goes; umount /run/netns/detaches; umount /run/netns/changes";

fn change(outside: &mut Outside) {
    outside.run(&format!("{CHANGES}; {MOUNT}/changes; {MOUNT}/becomes"));
}

/// Makes calls in the wrong place until five have failed: any event must still be true, each failure is EXDEV.
fn in_the_wrong_place<A: Api>(o: &mut Observer<A>, away: Away) {
    let before = o.log.len();
    let mut refusals = 0;
    while refusals < 5 {
        match o.try_now() {
            Ok(Some(_)) => {}
            answer => {
                assert_eq!(answer, Err(libc::EXDEV), "{away:?}");
                refusals += 1;
            }
        }
        assert!(readable(o.api.fd(), Duration::ZERO), "{away:?}: not readable, so nothing would retry");
    }
    assert_eq!(o.api.wait(Some(DEADLINE)), Err(libc::EXDEV));
    let existing = ["stays", "detaches", "changes", "becomes", "new"];
    for event in &o.log[before..] {
        let is_true = match event.kind {
            Created => ["new", "half"].contains(&event.text().as_str()),
            Deleted => !existing.contains(&event.text().as_str()),
            Overflow => true,
            _ => false,
        };
        assert!(is_true, "{away:?}: {event:?}");
    }
}

/// Takes events until a call fails because of the wrong place.
fn until_refused<A: Api>(o: &mut Observer<A>) {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        match o.try_now() {
            Ok(Some(_)) => {}
            answer => return assert_eq!(answer, Err(libc::EXDEV), "so far: {:#?}", o.briefs()),
        }
        assert!(std::time::Instant::now() < end);
    }
}

/// In the right place, asserts that the events add up to the kernel's state, and that the watcher works.
fn back<A: Api>(o: &mut Observer<A>, away: Away) {
    o.drain();
    o.expect_nothing();
    assert_eq!(o.resync(), [], "{away:?}");
    o.expect_truth(RUN_NETNS);
    placeholder("/run/netns/alive");
    o.expect(&[(Created, "alive")]);
    mount_new_netns("/run/netns/alive");
    o.expect(&[(Ready, "alive")]);
    o.api.open_netns().unwrap();
}

fn each(flags: &[u32], body: impl Fn(Away, u32) + Send + Copy + 'static) {
    for away in EVERYWHERE {
        for &flags in flags {
            // the sandbox ends with the thread
            std::thread::spawn(move || body(away, flags)).join().unwrap();
        }
    }
}

fn changes_meanwhile_are_reported_afterwards<A: Api>() {
    each(&[NSW_NO_MOUNT_EVENTS, NSW_MOUNT_EVENTS], |away, flags| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How::default().flags(flags));
        let gone = away.go();
        change(&mut outside);
        in_the_wrong_place(&mut o, away);
        drop(gone);
        o.until(Ready, "becomes");
        if flags == NSW_NO_MOUNT_EVENTS {
            // without mount events only a resync finds these
            assert_eq!(o.resync().len(), 2);
        } else {
            o.drain();
            o.expect_truth(RUN_NETNS);
        }
        back(&mut o, away);
    });
}

fn a_directory_that_changes_meanwhile_is_reported_afterwards<A: Api>() {
    each(&[NSW_DIR_EVENTS], |away, flags| {
        let mut outside = stage();
        make_dir("/run/names");
        let mut o = Observer::<A>::open_synced(&How::dir("/run/names").flags(flags));
        let gone = away.go();
        outside.run("mkdir /run/new; : > /run/new/fresh; mv /run/names /run/old; mv /run/new /run/names");
        for _ in 0..3 {
            assert_eq!(o.try_now(), Err(libc::EXDEV), "{away:?}");
        }
        drop(gone);
        o.expect(&[(DirDeleted, ""), (DirCreated, ""), (Created, "fresh")]);
        o.expect_nothing();
        mount_new_netns("/run/names/fresh");
        o.expect(&[(Ready, "fresh")]);
        assert_eq!(o.resync(), []);
    });
}

fn a_resync_is_retried<A: Api>() {
    each(&[0], |away, _| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How::default());
        let gone = away.go();
        assert_eq!(o.api.resync(), Err(libc::EXDEV));
        change(&mut outside);
        assert_eq!(o.api.resync(), Err(libc::EXDEV));
        in_the_wrong_place(&mut o, away);
        drop(gone);
        o.until(Synced, "");
        o.expect_truth(RUN_NETNS);
        back(&mut o, away);
    });
}

fn a_namespace_is_opened_from_the_right_place_only<A: Api>() {
    each(&[0], |away, _| {
        stage();
        let mut o = Observer::<A>::open_synced(&How::default());
        ip_netns(&["add", "blue"]);
        o.until(Ready, "blue");
        let gone = away.go();
        assert_eq!(o.api.open_netns().map(api::raw), Err(libc::EXDEV), "{away:?}");
        drop(gone);
        o.api.open_netns().unwrap();
        back(&mut o, away);
    });
}

fn a_call_that_probes_nothing_works_anywhere<A: Api>() {
    each(&[NSW_NO_MOUNT_EVENTS], |away, flags| {
        let mut outside = stage();
        std::fs::remove_file("/run/netns/becomes").unwrap();
        let mut o = Observer::<A>::open_synced(&How::default().flags(flags));
        let gone = away.go();
        o.expect_nothing();
        assert_eq!(o.api.wait(Some(Duration::ZERO)), Ok(None));
        outside.run("umount /run/netns/goes; rm /run/netns/goes");
        o.expect(&[(Deleted, "goes")]);
        o.expect_nothing();
        drop(gone);
        back(&mut o, away);
    });
}

fn an_overflow_is_recovered_afterwards<A: Api>() {
    each(&[0], |away, _| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How::default());
        let gone = away.go();
        outside.run("cd /run/netns; seq 9000 | xargs touch; seq 9000 | xargs rm");
        change(&mut outside);
        until_refused(&mut o);
        assert!(o.log.iter().all(|event| ![Detached, Ready].contains(&event.kind) || event.replayed));
        drop(gone);
        o.until(Synced, "");
        o.expect_truth(RUN_NETNS);
        back(&mut o, away);
    });
}

fn a_name_that_settles_waits_for_the_right_place<A: Api>() {
    each(&[0], |away, _| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How { settle_ms: 20, ..How::default() });
        let gone = away.go();
        outside.run("ip netns add new; umount /run/netns/goes; rm /run/netns/goes");
        // the window of a deleted name requires no probe
        let events = std::iter::repeat_with(|| o.api.wait(Some(DEADLINE)));
        let events: Vec<_> =
            events.filter(|result| *result != Err(libc::EXDEV)).take(1).map(|result| result.unwrap()).collect();
        assert_eq!(events[0].as_ref().map(api::Ev::brief), Some((Deleted, "goes".into())));
        assert_eq!(o.api.wait(Some(DEADLINE)), Err(libc::EXDEV));
        o.checker.feed(events[0].as_ref().unwrap());
        drop(gone);
        o.expect(&[(Created, "new"), (Ready, "new")]);
        back(&mut o, away);
    });
}

fn renames_meanwhile_are_reported_afterwards<A: Api>() {
    each(&[0], |away, _| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How::default());
        let gone = away.go();
        // more names than the watcher remembers one by one
        outside.run("cd /run/netns; mkdir aside; seq 1100 | xargs touch; mv [0-9]* aside; : > 1000");
        until_refused(&mut o);
        drop(gone);
        o.drain();
        o.expect_truth(RUN_NETNS);
        back(&mut o, away);
    });
}

/// The monitor is armed for a name that goes meanwhile, and is needed again afterwards.
fn the_monitor_of_mounts_goes_on<A: Api>() {
    each(&[NSW_NO_MOUNT_EVENTS], |away, flags| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How::default().flags(flags));
        let gone = away.go();
        outside.run("rm /run/netns/becomes");
        o.expect(&[(Deleted, "becomes")]);
        o.expect_nothing();
        outside.run("mkdir /run/mnt; mount -t tmpfs t /run/mnt; umount /run/mnt");
        assert_eq!(o.drain(), []);
        drop(gone);
        back(&mut o, away);
    });
}

fn a_mechanism_of_mounts_gives_way_in_the_right_place<A: Api>() {
    each(&[NSW_MOUNT_EVENTS], |away, flags| {
        let mut outside = stage();
        let aio = Restriction::without_sys_admin();
        let mut o = elsewhere(&aio, || Observer::<A>::open_synced(&How::default().flags(flags)));
        outside.run("umount /run/netns/detaches");
        assert!(readable(o.api.fd(), DEADLINE));
        elsewhere(&Restriction::none().failing(libc::SYS_io_getevents, libc::EPERM), || {
            let gone = away.go();
            in_the_wrong_place(&mut o, away);
            drop(gone);
        });
        outside.run("umount /run/netns/changes");
        o.expect(&[(Detached, "changes"), (Detached, "detaches")]);
        outside.run(&format!("{MOUNT}/becomes"));
        o.expect(&[(Ready, "becomes")]);
        back(&mut o, away);
    });
}

/// Another thread of the process changes the root of all threads at the worst moment.
fn moved_at<A: Api>(call: libc::c_long, o: &mut Observer<A>, work: &str) {
    let root = File::open("/").unwrap();
    let before = o.log.len();
    stopped_at(call, || chroot("/run/jail-with-proc"), || until_refused(o));
    let events = o.log[before..].iter().filter(|event| event.kind != Created).count();
    assert_eq!(events, 0, "{work}: {:#?}", o.briefs());
    to_root(root.as_raw_fd());
}

/// The system call by which this kernel probes a name.
fn probe_call() -> libc::c_long {
    if kernel::has_cookie() { libc::SYS_name_to_handle_at } else { libc::SYS_openat }
}

fn a_root_that_changes_during_a_probe<A: Api>() {
    stage();
    let mut o = Observer::<A>::open_synced(&How::default());
    placeholder("/run/netns/new");
    mount_new_netns("/run/netns/new");
    moved_at(probe_call(), &mut o, "probe");
    o.expect(&[(Ready, "new")]);
    mount_new_netns("/run/netns/becomes");
    moved_at(probe_call(), &mut o, "probe of a pending name");
    o.expect(&[(Ready, "becomes")]);
    back(&mut o, Away::JailWithProc);
}

fn a_root_that_changes_while_the_path_is_resolved<A: Api>() {
    stage();
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_DIR_EVENTS));
    for call in [libc::SYS_inotify_add_watch, libc::SYS_openat] {
        // the path could lead elsewhere, but does not
        run("chmod", &["700", RUN_NETNS]);
        moved_at(call, &mut o, "resolve");
        assert_eq!(o.drain(), []);
    }
    back(&mut o, Away::JailWithProc);
}

fn a_root_that_changes_while_the_directory_is_read<A: Api>() {
    stage();
    symlink("/run/netns/stays", "/run/netns/link");
    let mut o = Observer::<A>::open_synced(&How::default());
    for _ in 0..2 {
        run("chmod", &["700", RUN_NETNS]);
        moved_at(libc::SYS_getdents64, &mut o, "scan");
        assert_eq!(o.drain(), []);
    }
    back(&mut o, Away::JailWithProc);
}

fn a_reader_thread_in_the_wrong_place_returns_the_error<A: Api>() {
    for away in [Away::Jail, Away::JailWithProc, Away::BoundRoot] {
        std::thread::spawn(move || {
            let mut outside = stage();
            let mut o = Observer::<A>::open_synced(&How { queue: Some((100, NSW_QUEUE_BLOCK)), ..How::default() });
            // the reader thread shares the root of this one
            let gone = away.go();
            outside.run(&format!("{MOUNT}/becomes"));
            for _ in 0..3 {
                assert_eq!(o.api.wait(Some(DEADLINE)), Err(libc::EXDEV), "{away:?}");
            }
            drop(gone);
            // the earlier errors are not reported now
            o.expect(&[(Ready, "becomes")]);
            o.api.open_netns().unwrap();
            o.expect_nothing();
            assert_eq!(o.resync(), []);
            o.expect_truth(RUN_NETNS);
        })
        .join()
        .unwrap();
    }
}

fn a_reader_thread_stays_where_it_is<A: Api>() {
    for away in [Away::Unshared, Away::UnsharedJail, Away::Entered] {
        std::thread::spawn(move || {
            let mut outside = stage();
            let mut o = Observer::<A>::open_synced(&How { queue: Some((100, NSW_QUEUE_BLOCK)), ..How::default() });
            let gone = away.go();
            outside.run(&format!("{MOUNT}/becomes"));
            o.expect(&[(Ready, "becomes")]);
            assert_eq!(o.api.open_netns().map(api::raw), Err(libc::EXDEV), "{away:?}");
            o.api.resync().unwrap();
            o.expect(&[(Synced, "")]);
            drop(gone);
            o.expect_nothing();
        })
        .join()
        .unwrap();
    }
}

fn watchers_of_ids_need_no_place<A: Api>() {
    stage();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let peer = nsid::anonymous();
    let gone = Away::Jail.go();
    assert_eq!(nsid::Raw::new().assign(&peer, 7), 0);
    o.expect_ids(&[(NsidNew, 7)]);
    assert_eq!(o.resync(), []);
    drop(gone);
}

fn a_watcher_opened_inside_belongs_there<A: Api>() {
    stage();
    let mut outside = Outside::new();
    let gone = Away::JailWithProc.go();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&How::default());
    outside.run("ip netns add new; : > /run/jail-with-proc/run/netns/inside");
    o.expect(&[(Created, "inside")]);
    o.expect_nothing();
    drop(gone);
    assert_eq!(o.api.resync(), Err(libc::EXDEV));
}

/// The watcher can check its place where a filter refuses statx(2), from the start or later.
fn a_root_is_recognised_without_statx<A: Api>() {
    each(&[0], |away, _| {
        let mut outside = stage();
        let mut o = Observer::<A>::open_synced(&How::default());
        let filtered = Restriction::none().failing(libc::SYS_statx, libc::EPERM);
        // without cookies the target of a name cannot be identified either
        if kernel::has_cookie() {
            outside.run(&format!("{MOUNT}/becomes"));
            elsewhere(&filtered, || o.expect(&[(Ready, "becomes")]));
        }
        if !matches!(away, Away::Jail | Away::JailWithProc | Away::BoundRoot) {
            return;
        }
        let gone = away.go();
        outside.run("ip netns add new");
        elsewhere(&filtered, || until_refused(&mut o));
        drop(gone);
        o.expect(&[(Ready, "new")]);
    });
}
