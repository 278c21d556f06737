//! Mount events: unmounts and re-binds as they happen, with and without the privilege for fanotify.

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere, stopped_at_each};
use crate::support::*;
use nswatch::Feature;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS};
use nswatch::capi::watcher::NSW_STAT_PENDING;

both! {
    an_unmount_and_a_new_mount_are_reported_as_they_happen
    hiding_and_uncovering_are_reported
    a_namespace_hidden_during_a_probe_is_not_lost
    a_pending_name_is_ready_when_it_is_uncovered
    a_link_follows_its_target
    a_directory_that_is_covered_goes_and_comes_back
    an_ancestor_that_is_covered_while_the_directory_is_missing
    a_mount_event_has_the_time_of_its_cause
    unrelated_mounts_emit_nothing
    a_storm_of_mounts_converges
    a_rebind_is_reported_by_default
    without_mount_events_a_resync_reports_it
    an_unrelated_mount_probes_no_name
    a_cover_of_a_pending_name_is_traced
    a_mount_that_came_and_went_unread_is_traced
    pending_links_take_turns
    a_link_to_a_process_is_detached_when_it_ends
    without_mount_events_a_resync_reports_the_end_of_a_process
    the_number_of_watched_processes_is_limited
    a_directory_of_another_process_is_watched
    a_directory_of_no_process_is_refused
}

/// Runs `body` with each mount backend: with fanotify, if available, and with AIO. With `needs_trace`, only where the
/// kernel reports where a mount is mounted (6.8).
fn by_each_backend(needs_trace: bool, body: impl Fn(&Restriction) + Clone + Send + 'static) {
    if needs_trace && !Feature::Statmount.is_available().unwrap() {
        return skipped("requires statmount(2), Linux 6.8");
    }
    for rights in [Restriction::none(), Restriction::without_sys_admin()] {
        let body = body.clone();
        std::thread::spawn(move || body(&rights)).join().unwrap();
    }
}

/// In a sandbox, makes the directory and watches it.
fn opened_with<A: Api>(rights: &Restriction, flags: u32) -> Observer<A> {
    let how = How::default().flags(flags);
    elsewhere(rights, || Observer::<A>::open_synced(&how))
}

fn watched<A: Api>() -> Observer<A> {
    sandbox();
    ip_netns(&["add", "blue"]);
    Observer::open_synced(&How::default().flags(NSW_MOUNT_EVENTS))
}

fn an_unmount_and_a_new_mount_are_reported_as_they_happen<A: Api>() {
    let mut o = watched::<A>();
    unmount("/run/netns/blue");
    o.expect(&[(Detached, "blue")]);
    o.expect_nothing();
    mount_new_netns("/run/netns/blue");
    let ready = o.expect(&[(Ready, "blue")]).remove(0);
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/blue"));
    ip_netns(&["del", "blue"]);
    o.until(Deleted, "blue");
    o.expect_nothing();
}

fn hiding_and_uncovering_are_reported<A: Api>() {
    let mut o = watched::<A>();
    let first = kernel::netns("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    o.expect(&[(Ready, "blue")]);
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    assert_ne!(kernel::netns("/run/netns/blue"), first);
    unmount("/run/netns/blue");
    let ready = o.expect(&[(Ready, "blue")]).remove(0);
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), first);
    bind("/dev/null", "/run/netns/blue");
    o.expect(&[(Detached, "blue")]);
    o.expect_nothing();
}

/// A pending name makes the watcher listen to mounts anyway, so this requires no flag.
/// A mount over the directory appears before a probe, and goes before the watcher looks up the mount of the name.
fn a_namespace_hidden_during_a_probe_is_not_lost<A: Api>() {
    for restriction in [Restriction::none(), Restriction::without_sys_admin()] {
        let mut o = watched::<A>();
        // the watcher notes the namespace; then another one hides it, and goes
        mount_new_netns("/run/netns/blue");
        o.expect(&[(Ready, "blue")]);
        unmount("/run/netns/blue");
        let probe = if kernel::has_cookie() { libc::SYS_name_to_handle_at } else { libc::SYS_openat };
        let (mut covers, mut is_covered) = (1, false);
        let act = |call| match call == probe {
            true if covers > 0 => {
                mount("nswatch-cover", RUN_NETNS, Some("tmpfs"), 0);
                (covers, is_covered) = (covers - 1, true);
            }
            false if is_covered => {
                unmount(RUN_NETNS);
                is_covered = false;
            }
            _ => {}
        };
        let restricted = || {
            restriction.apply();
            o.until(Ready, "blue");
            o.drain();
        };
        stopped_at_each(&[probe, libc::SYS_statx], act, restricted);
        o.expect_truth(RUN_NETNS);
    }
}

fn a_pending_name_is_ready_when_it_is_uncovered<A: Api>() {
    for flags in [0, NSW_MOUNT_EVENTS] {
        sandbox();
        ip_netns(&["add", "blue"]);
        bind("/dev/null", "/run/netns/blue");
        let mut o = Observer::<A>::open(&How::default().flags(flags));
        o.expect(&[(Created, "blue"), (Synced, "")]);
        unmount("/run/netns/blue");
        let ready = o.expect(&[(Ready, "blue")]).remove(0);
        assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/blue"));
        o.expect_nothing();
    }
}

fn a_link_follows_its_target<A: Api>() {
    let mut o = watched::<A>();
    std::os::unix::fs::symlink("blue", "/run/netns/alias").unwrap();
    o.expect(&[(Created, "alias"), (Ready, "alias")]);
    mount_new_netns("/run/netns/blue");
    o.until(Ready, "blue");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    unmount("/run/netns/blue");
    o.until(Ready, "blue");
    unmount("/run/netns/blue");
    o.until(Detached, "blue");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
}

fn a_directory_that_is_covered_goes_and_comes_back<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS | NSW_DIR_EVENTS));
    mount("cover", "/run/netns", Some("tmpfs"), 0);
    o.expect(&[(Deleted, "blue"), (DirDeleted, ""), (DirCreated, "")]);
    placeholder("/run/netns/other");
    o.expect(&[(Created, "other")]);
    unmount("/run/netns");
    o.expect(&[(Deleted, "other"), (DirDeleted, ""), (DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
    // a mount over the parent directory hides it altogether
    mount("cover", "/run", Some("tmpfs"), 0);
    o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
    o.expect_nothing();
    unmount("/run");
    o.expect(&[(DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
    o.expect_nothing();
}

fn an_ancestor_that_is_covered_while_the_directory_is_missing<A: Api>() {
    for restriction in [thread::Restriction::none(), thread::Restriction::without_sys_admin()] {
        sandbox();
        let open = || Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
        let mut o = thread::elsewhere(&restriction, open);
        mount("cover", "/run", Some("tmpfs"), 0);
        // until the watcher has handled that, which emits nothing: AIO reports it late, and perhaps twice
        assert!(readable(o.api.fd(), DEADLINE));
        while readable(o.api.fd(), std::time::Duration::ZERO) {
            assert_eq!(o.drain(), []);
        }
        make_dir(RUN_NETNS);
        placeholder("/run/netns/blue");
        o.expect(&[(Created, "blue")]);
    }
}

fn a_mount_event_has_the_time_of_its_cause<A: Api>() {
    for restriction in [thread::Restriction::none(), thread::Restriction::without_sys_admin()] {
        sandbox();
        ip_netns(&["add", "blue"]);
        let open = || Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
        let mut o = thread::elsewhere(&restriction, open);
        let before = kernel::monotonic_ns();
        unmount("/run/netns/blue");
        let event = o.expect(&[(Detached, "blue")]).remove(0);
        assert!(event.time_ns >= before, "reported as older than it is, by {} ns", before - event.time_ns);
        mount_new_netns("/run/netns/blue");
        o.expect(&[(Ready, "blue")]);
        let before = kernel::monotonic_ns();
        mount("cover", "/run", Some("tmpfs"), 0);
        let event = o.expect(&[(Deleted, "blue")]).remove(0);
        assert!(event.time_ns >= before, "reported as older than it is, by {} ns", before - event.time_ns);
    }
}

fn unrelated_mounts_emit_nothing<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/elsewhere");
    for _ in 0..50 {
        mount("elsewhere", "/run/elsewhere", Some("tmpfs"), 0);
        unmount("/run/elsewhere");
    }
    o.expect_nothing();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
}

/// More changes than the queue of fanotify holds, all unread.
fn a_storm_of_mounts_converges<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/elsewhere");
    for _ in 0..9000 {
        mount("elsewhere", "/run/elsewhere", Some("tmpfs"), 0);
        unmount("/run/elsewhere");
    }
    unmount("/run/netns/blue");
    o.until(Detached, "blue");
    o.drain();
    assert_eq!(o.checker.open_overflows, 0, "an overflow was not followed by synced");
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    mount_new_netns("/run/netns/blue");
    o.expect(&[(Ready, "blue")]);
}

/// As a systemd unit does that makes a named namespace and then binds its own over the name.
fn a_rebind_is_reported_by_default<A: Api>() {
    by_each_backend(true, |rights| {
        sandbox();
        make_dir(RUN_NETNS);
        let mut o = opened_with::<A>(rights, 0);
        ip_netns(&["add", "svc"]);
        o.expect(&[(Created, "svc"), (Ready, "svc")]);
        unmount("/run/netns/svc");
        o.expect(&[(Detached, "svc")]);
        mount_new_netns("/run/netns/svc");
        let ready = o.expect(&[(Ready, "svc")]).remove(0);
        assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/svc"));
        // and at once, as the unit does
        unmount("/run/netns/svc");
        mount_new_netns("/run/netns/svc");
        o.until(Ready, "svc");
        o.drain();
        o.expect_truth(RUN_NETNS);
    });
}

fn without_mount_events_a_resync_reports_it<A: Api>() {
    by_each_backend(false, |rights| {
        sandbox();
        ip_netns(&["add", "blue"]);
        let mut o = opened_with::<A>(rights, NSW_NO_MOUNT_EVENTS);
        unmount("/run/netns/blue");
        assert!(!readable(o.api.fd(), std::time::Duration::from_millis(20)));
        assert_eq!(o.resync().iter().map(|event| event.brief()).collect::<Vec<_>>(), [(Detached, "blue".into())]);
    });
}

/// Reads what has woken the watcher, on a thread where every probe of a name fails.
fn read_blindly<A: Api>(o: &mut Observer<A>) {
    assert!(readable(o.api.fd(), DEADLINE));
    let blind =
        Restriction::none().failing(libc::SYS_name_to_handle_at, libc::ENOMEM).failing(libc::SYS_openat, libc::ENOMEM);
    elsewhere(&blind, || {
        while readable(o.api.fd(), std::time::Duration::ZERO) {
            assert_eq!(o.api.next(), Ok(None), "probed a name");
        }
    });
}

fn an_unrelated_mount_probes_no_name<A: Api>() {
    for flags in [0, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS] {
        by_each_backend(true, move |rights| {
            sandbox();
            ip_netns(&["add", "blue"]);
            let odd = "a b\\c\n\t\"d";
            for name in ["one", odd, "two"] {
                placeholder(format!("{RUN_NETNS}/{name}"));
            }
            placeholder("/run/netns/covered");
            bind("/dev/null", "/run/netns/covered");
            let mut o = opened_with::<A>(rights, flags);
            assert_eq!(o.api.stat(NSW_STAT_PENDING), 4);
            make_dir("/run/elsewhere/one");
            for turn in 0..3 {
                bind("/run/elsewhere", "/run/elsewhere");
                read_blindly(&mut o);
                if turn == 1 {
                    // not one of our names, but spelled like one
                    mount("like", "/run/elsewhere/one", Some("tmpfs"), 0);
                    read_blindly(&mut o);
                }
                unmount("/run/elsewhere");
                read_blindly(&mut o);
            }
            for name in [odd, "one"] {
                mount_new_netns(format!("{RUN_NETNS}/{name}"));
                o.expect(&[(Ready, name)]);
            }
            mount_new_netns("/run/netns/covered");
            o.expect(&[(Ready, "covered")]);
            o.expect_truth(RUN_NETNS);
        });
    }
}

fn a_cover_of_a_pending_name_is_traced<A: Api>() {
    for flags in [0, NSW_NO_MOUNT_EVENTS] {
        by_each_backend(false, move |rights| {
            sandbox();
            ip_netns(&["add", "blue"]);
            bind("/dev/null", "/run/netns/blue");
            bind("/dev/zero", "/run/netns/blue");
            symlink("blue", "/run/netns/alias");
            // its directory moves to another mount
            let mut o = opened_with::<A>(rights, flags);
            bind(RUN_NETNS, RUN_NETNS);
            unmount(RUN_NETNS);
            unmount("/run/netns/blue");
            unmount("/run/netns/blue");
            o.expect_unordered(&[(Ready, "blue"), (Ready, "alias")]);
            o.expect_truth(RUN_NETNS);
        });
    }
}

/// The lists of mounts from before and now do not show a mount that came and went between, but a probe may have met it.
fn a_mount_that_came_and_went_unread_is_traced<A: Api>() {
    for flags in [0, NSW_NO_MOUNT_EVENTS] {
        by_each_backend(false, move |rights| {
            sandbox();
            ip_netns(&["add", "blue"]);
            placeholder("/run/netns/pending");
            let mut o = opened_with::<A>(rights, flags);
            for _ in 0..20 {
                bind("/proc/self/ns/uts", "/run/netns/blue");
                o.resync();
                unmount("/run/netns/blue");
                o.until(Ready, "blue");
                o.drain();
                o.expect_truth(RUN_NETNS);
            }
        });
    }
}

/// There are more pending links than one change of a mount makes the watcher probe.
fn pending_links_take_turns<A: Api>() {
    by_each_backend(true, |rights| {
        sandbox();
        make_dir(RUN_NETNS);
        for n in 0..70 {
            symlink(format!("/run/nowhere/{n}"), format!("{RUN_NETNS}/link{n}"));
        }
        make_dir("/run/mountpoint");
        make_dir("/run/tree");
        symlink("/proc/thread-self/ns/net", "/run/tree/ns");
        symlink("/run/mountpoint/ns", "/run/netns/z-last");
        let mut o = opened_with::<A>(rights, 0);
        bind("/run/tree", "/run/mountpoint");
        // 71 links, 32 at each of these changes
        for _ in 0..2 {
            assert!(readable(o.api.fd(), DEADLINE));
            o.drain();
            bind("/run/tree", "/run/tree");
        }
        o.until(Ready, "z-last");
    });
}

fn a_link_to_a_process_is_detached_when_it_ends<A: Api>() {
    for flags in [0, NSW_MOUNT_EVENTS] {
        by_each_backend(flags == 0, move |rights| {
            sandbox();
            make_dir(RUN_NETNS);
            let before = Sleeper::new();
            symlink(before.namespace("net"), "/run/netns/before");
            let mut o = opened_with::<A>(rights, flags);
            let process = Sleeper::new();
            symlink(process.namespace("net"), "/run/netns/direct");
            o.expect(&[(Created, "direct"), (Ready, "direct")]);
            symlink("../netns/direct", "/run/netns/chain");
            o.expect(&[(Created, "chain"), (Ready, "chain")]);
            drop(before);
            o.expect(&[(Detached, "before")]);
            rename("/run/netns/direct", "/run/netns/moved");
            o.expect(&[(Deleted, "direct"), (Created, "moved"), (Ready, "moved")]);
            drop(process);
            o.until(Detached, "moved");
            // a link in the middle of the chain changed
            o.drain();
            o.resync();
            o.expect_truth(RUN_NETNS);
            assert!(!readable(o.api.fd(), std::time::Duration::ZERO));
        });
    }
}

fn without_mount_events_a_resync_reports_the_end_of_a_process<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let process = Sleeper::new();
    symlink(process.namespace("net"), "/run/netns/link");
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_NO_MOUNT_EVENTS));
    drop(process);
    o.expect_nothing();
    assert_eq!(o.resync().iter().map(|event| event.brief()).collect::<Vec<_>>(), [(Detached, "link".into())]);
}

fn the_number_of_watched_processes_is_limited<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let process = Sleeper::new();
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
    let link = |n| {
        let path = format!("{RUN_NETNS}/{n:02}");
        symlink(process.namespace("net"), &path);
        path
    };
    let watched = |o: &Observer<A>| {
        kernel::listens_to(o.api.fd()).iter().filter(|fd| fd.contains("[pidfd]") || fd.starts_with("pidfd:")).count()
    };
    for n in 0..70 {
        link(n);
        o.until(Ready, &format!("{n:02}"));
    }
    assert_eq!(watched(&o), 64);
    // a deleted name makes room
    for n in 0..10 {
        std::fs::remove_file(format!("{RUN_NETNS}/{n:02}")).unwrap();
        o.expect(&[(Deleted, &format!("{n:02}"))]);
    }
    assert_eq!(watched(&o), 54);
    for n in 0..3 {
        link(n);
        o.until(Ready, &format!("{n:02}"));
    }
    drop(process);
    let detached = (0..57).map(|_| o.next()).filter(|event| event.kind == Detached).count();
    assert_eq!(detached, 57);
    o.expect_nothing();
    assert_eq!(watched(&o), 0);
    assert_eq!(o.resync().len(), 6);
    o.expect_truth(RUN_NETNS);
}

/// A shell in a mount namespace of its own, with an empty `/run`.
struct There(std::process::Child);

impl There {
    fn new() -> Self {
        use std::os::unix::process::CommandExt;
        use std::process::{Command, Stdio};
        let mut command = Command::new("sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: unshare may be called between fork and exec; the closure allocates nothing.
        unsafe {
            command.pre_exec(|| unshare(libc::CLONE_NEWNS));
        }
        let mut this = Self(command.spawn().unwrap());
        this.run("mount --make-rprivate / && mount -t tmpfs there /run && mkdir /run/netns && ip netns add old");
        this
    }

    /// Runs a line there; it must succeed.
    fn run(&mut self, line: &str) {
        use std::io::{Read, Write};
        writeln!(self.0.stdin.as_mut().unwrap(), "({line}) >&2 && echo . || echo !").unwrap();
        let mut answer = [0; 2];
        self.0.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b".\n", "{line}");
    }

    fn dir(&self) -> std::path::PathBuf {
        format!("/proc/{}/root/run/netns", self.0.id()).into()
    }
}

impl Drop for There {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn a_directory_of_another_process_is_watched<A: Api>() {
    for (flags, by_link) in [(0, false), (0, true), (NSW_MOUNT_EVENTS, false), (NSW_NO_MOUNT_EVENTS, false)] {
        by_each_backend(false, move |rights| {
            sandbox();
            let mut there = There::new();
            symlink(format!("/proc/{}/root", there.0.id()), "/run/host");
            let dir = if by_link { "/run/host/run/netns".into() } else { there.dir() };
            let how = How::dir(&dir).flags(flags | NSW_DIR_EVENTS);
            let mut o = elsewhere(rights, || Observer::<A>::open_synced(&how));
            there.run("ip netns add blue");
            o.until(Ready, "blue");
            there.run("ip netns del old");
            o.until(Deleted, "old");
            if flags == NSW_MOUNT_EVENTS {
                for _ in 0..2 {
                    there.run("umount /run/netns/blue");
                    o.until(Detached, "blue");
                    o.drain();
                    there.run("unshare -n mount --bind /proc/self/ns/net /run/netns/blue");
                    o.until(Ready, "blue");
                    o.drain();
                }
            }
            // a mount here does not concern the watcher
            bind("/run", "/run");
            o.drain();
            o.expect_truth(&dir);
            // the watcher does not keep the mounts of the process alive
            drop(there);
            o.until(DirDeleted, "");
            o.drain();
            assert!(!readable(o.api.fd(), std::time::Duration::ZERO));
        });
    }
}

fn a_directory_of_no_process_is_refused<A: Api>() {
    sandbox();
    let gone = Sleeper::new();
    let dir = format!("/proc/{}/root/run/netns", gone.pid());
    assert!(A::open(&How::dir(&dir)).is_ok());
    drop(gone);
    assert_eq!(A::open(&How::dir(&dir)).err(), Some(libc::ESRCH));
    // a process that the thread may not look into
    let other = Sleeper::new();
    let dir = format!("/proc/{}/root/run/netns", other.pid());
    for flags in [0, NSW_NO_MOUNT_EVENTS] {
        let open = || A::open(&How::dir(&dir).flags(flags)).err();
        assert_eq!(elsewhere(&Restriction::powerless(), open), Some(libc::EACCES));
    }
}
