//! Directories that others may write to: symbolic links that the watcher must not follow.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere, stopped_at};
use crate::support::*;
use nswatch::capi::options::*;
use nswatch::capi::watcher::{NSW_STAT_KNOWN, NSW_STAT_PENDING};

both! {
    a_link_stays_pending
    a_link_is_replaced_by_a_namespace_and_comes_back
    a_mount_costs_a_link_nothing
    a_pending_link_arms_nothing
    on_the_path_only_links_of_root_are_followed
    a_new_link_on_the_path_takes_the_directory_away
    a_new_link_on_the_path_ends_the_watch
    a_link_that_comes_in_between_is_not_followed
    no_link_is_followed_to_open_an_announced_namespace
    a_hanging_filesystem_behind_a_link_is_not_touched
}

/// The options for a directory that others may write to.
fn how() -> How {
    How::default().flags(NSW_NO_SYMLINKS)
}

/// Runs `body` with file handles, and by opening names, as before Linux 6.18.
fn by_each_probe(body: impl Fn(&Restriction) + Clone + Send + 'static) {
    for probe in [Restriction::none(), Restriction::none().failing(libc::SYS_name_to_handle_at, libc::EPERM)] {
        let body = body.clone();
        std::thread::spawn(move || body(&probe)).join().unwrap();
    }
}

/// Sets the access time of a link to one long past.
fn unused(link: impl AsRef<Path>) {
    let link = std::ffi::CString::new(link.as_ref().to_str().unwrap()).unwrap();
    let times = [libc::timespec { tv_sec: 1, tv_nsec: 0 }, libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT }];
    // SAFETY: the string and the two times outlive the call.
    let rc = unsafe { libc::utimensat(libc::AT_FDCWD, link.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

/// Whether the link was neither followed nor read since.
fn is_unused(link: impl AsRef<Path>) -> bool {
    std::fs::symlink_metadata(link).unwrap().atime() == 1
}

fn unused_link(target: impl AsRef<Path>, link: &str) {
    symlink(target, link);
    unused(link);
}

fn namespace(path: &str) {
    placeholder(path);
    mount_new_netns(path);
}

fn a_link_stays_pending<A: Api>() {
    by_each_probe(|rights| {
        sandbox();
        make_dir(RUN_NETNS);
        namespace("/run/private");
        namespace("/run/netns/blue");
        let targets =
            ["/run/private", "/proc/thread-self/ns/net", "/run/netns/blue", "/run/nowhere", "/run/netns/loop"];
        let names = ["private", "own", "alias", "dangling", "loop"];
        let make = |prefix: &str| {
            for (target, name) in targets.iter().zip(names) {
                unused_link(target, &format!("{RUN_NETNS}/{prefix}{name}"));
            }
        };
        make("");
        elsewhere(rights, || {
            let mut o = Observer::<A>::open(&how());
            let mut expected: Vec<_> = names.iter().map(|name| (Created, *name)).collect();
            expected.extend([(Created, "blue"), (Ready, "blue"), (Synced, "")]);
            o.expect_unordered(&expected);
            make("new-");
            let news: Vec<_> = names.iter().map(|name| format!("new-{name}")).collect();
            o.expect(&news.iter().map(|name| (Created, name.as_str())).collect::<Vec<_>>());
            o.expect_nothing();
            assert_eq!(o.resync(), []);
            assert_eq!((o.api.stat(NSW_STAT_KNOWN), o.api.stat(NSW_STAT_PENDING)), (11, 10));
            for name in names.map(String::from).iter().chain(&news) {
                assert!(is_unused(format!("{RUN_NETNS}/{name}")), "{name} was followed");
            }
            std::fs::remove_file("/run/netns/own").unwrap();
            rename("/run/netns/new-own", "/run/netns/again");
            o.expect(&[(Deleted, "own"), (Deleted, "new-own"), (Created, "again")]);
            o.expect_nothing();
        });
    });
}

fn a_link_is_replaced_by_a_namespace_and_comes_back<A: Api>() {
    for flags in [0, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS] {
        sandbox();
        make_dir(RUN_NETNS);
        namespace("/run/private");
        symlink("/run/private", "/run/netns/blue");
        let mut o = Observer::<A>::open_synced(&how().flags(NSW_NO_SYMLINKS | flags));
        for _ in 0..2 {
            std::fs::remove_file("/run/netns/blue").unwrap();
            namespace("/run/netns/blue");
            o.expect(&[(Deleted, "blue"), (Created, "blue"), (Ready, "blue")]);
            o.expect_truth(RUN_NETNS);
            unmount("/run/netns/blue");
            symlink("/run/private", "/run/netns/new");
            rename("/run/netns/new", "/run/netns/blue");
            o.until(Deleted, "new");
            o.drain();
            assert_eq!(o.checker.believed().get(&b"blue"[..]), Some(&None));
            o.expect_nothing();
            assert_eq!(o.resync(), []);
        }
    }
}

fn a_mount_costs_a_link_nothing<A: Api>() {
    for rights in [Restriction::none(), Restriction::without_sys_admin()] {
        for flags in [0, NSW_MOUNT_EVENTS] {
            sandbox();
            make_dir(RUN_NETNS);
            for n in 0..40 {
                symlink(format!("/run/mountpoint/{n}"), format!("{RUN_NETNS}/link{n}"));
            }
            make_dir("/run/mountpoint");
            let mut o = elsewhere(&rights, || Observer::<A>::open_synced(&how().flags(NSW_NO_SYMLINKS | flags)));
            symlink("/run/mountpoint/ns", "/run/netns/late");
            o.expect(&[(Created, "late")]);
            // each probe of a name takes one of these
            let blind = Restriction::none()
                .failing(libc::SYS_name_to_handle_at, libc::ENOMEM)
                .failing(libc::SYS_fstatfs, libc::ENOMEM);
            for _ in 0..4 {
                mount("tree", "/run/mountpoint", Some("tmpfs"), 0);
                symlink("/proc/thread-self/ns/net", "/run/mountpoint/ns");
                readable(o.api.fd(), Duration::from_millis(10));
                elsewhere(&blind, || assert_eq!(o.api.next(), Ok(None), "probed a name"));
            }
            o.drain();
            assert_eq!(o.resync(), []);
        }
    }
}

fn a_pending_link_arms_nothing<A: Api>() {
    for rights in [Restriction::none(), Restriction::without_sys_admin()] {
        sandbox();
        make_dir(RUN_NETNS);
        let how = how().flags(NSW_NO_SYMLINKS | NSW_NO_MOUNT_EVENTS);
        let mut o = elsewhere(&rights, || Observer::<A>::open_synced(&how));
        let idle = kernel::listens_to(o.api.fd());
        symlink("/run/mountpoint/ns", "/run/netns/link");
        o.expect(&[(Created, "link")]);
        o.drain();
        assert_eq!(kernel::listens_to(o.api.fd()), idle);
        placeholder("/run/netns/half");
        o.expect(&[(Created, "half")]);
        o.drain();
        assert_ne!(kernel::listens_to(o.api.fd()), idle, "not listening for half");
        mount_new_netns("/run/netns/half");
        o.expect(&[(Ready, "half")]);
        o.drain();
        assert_eq!(kernel::listens_to(o.api.fd()), idle);
    }
}

/// Gives a link to a user; `false`: not permitted here.
fn give(link: &str, uid: u32) -> bool {
    match std::os::unix::fs::lchown(link, Some(uid), None) {
        Ok(()) => true,
        Err(_) if !is_real_root() => {
            skipped("requires root, to make links of other users");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn on_the_path_only_links_of_root_are_followed<A: Api>() {
    sandbox();
    make_dir("/run/real/netns");
    make_dir("/run/way");
    symlink("../real", "/run/way/link");
    symlink("/run/way/link/netns", "/run/end");
    let open = |flags, dir| A::open(&How::dir(dir).flags(flags)).map(drop);
    let dirs = ["/run/way/link/netns", "/run/way/link/../real/netns", "/run/end"];
    for dir in dirs {
        assert_eq!(open(NSW_NO_SYMLINKS, dir), Ok(()), "{dir}");
    }
    // in the user namespace of an ordinary user's sandbox the owner of /proc/thread-self has no number
    let by_proc = if is_real_root() { Ok(()) } else { Err(libc::ELOOP) };
    assert_eq!(open(NSW_NO_SYMLINKS, "/proc/thread-self/root/run/real/netns"), by_proc);
    if !give("/run/way/link", 1234) {
        return;
    }
    for dir in dirs {
        assert_eq!(open(0, dir), Ok(()), "{dir}");
        assert_eq!(open(NSW_NO_SYMLINKS, dir), Err(libc::ELOOP), "{dir}");
        assert_eq!(open(NSW_NO_SYMLINKS | NSW_NO_PARENT, dir), Err(libc::ELOOP), "{dir}");
        // without statx(2) the watcher finds the owner in another way
        let no_statx = Restriction::none().failing(libc::SYS_statx, libc::EPERM);
        assert_eq!(elsewhere(&no_statx, || open(NSW_NO_SYMLINKS, dir)), Err(libc::ELOOP), "{dir}");
    }
    assert!(give("/run/way/link", 0));
    assert_eq!(open(NSW_NO_SYMLINKS, dirs[0]), Ok(()));
}

fn a_new_link_on_the_path_takes_the_directory_away<A: Api>() {
    sandbox();
    make_dir("/run/a/netns");
    namespace("/run/a/netns/blue");
    let mut o = Observer::<A>::open_synced(&How::dir("/run/a/netns").flags(NSW_NO_SYMLINKS | NSW_DIR_EVENTS));
    rename("/run/a", "/run/b");
    symlink("b", "/run/a");
    o.drain();
    o.expect_truth("/run/b/netns");
    for _ in 0..2 {
        if !give("/run/a", 1234) {
            return;
        }
        o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
        placeholder("/run/b/netns/unseen");
        o.expect_nothing();
        assert_eq!(o.resync(), []);
        std::fs::remove_file("/run/b/netns/unseen").unwrap();
        assert!(give("/run/a", 0));
        o.expect(&[(DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
        o.expect_nothing();
    }
    assert!(give("/run/a", 1234));
    o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
    std::fs::remove_file("/run/a").unwrap();
    rename("/run/b", "/run/a");
    o.expect(&[(DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
    o.expect_truth("/run/a/netns");
}

fn a_new_link_on_the_path_ends_the_watch<A: Api>() {
    sandbox();
    make_dir("/run/a/netns");
    symlink("a", "/run/link");
    let mut o = Observer::<A>::open_synced(&How::dir("/run/link/netns").flags(NSW_NO_SYMLINKS | NSW_NO_PARENT));
    if !give("/run/link", 1234) {
        return;
    }
    o.expect(&[(DirDeleted, "")]);
    assert_eq!(o.try_now(), Err(libc::ENOENT));
}

/// A link replaces an ancestor after the watcher has read the event, and before it probes the name.
fn a_link_that_comes_in_between_is_not_followed<A: Api>() {
    by_each_probe(|rights| {
        sandbox();
        make_dir("/run/a/netns");
        make_dir("/run/private/netns");
        namespace("/run/private/netns/blue");
        let put_aside = || {
            rename("/run/a", "/run/b");
            symlink("private", "/run/a");
            give("/run/a", 1234)
        };
        if !put_aside() {
            return;
        }
        for (flags, followed) in [(0, true), (NSW_NO_SYMLINKS, false)] {
            std::fs::remove_file("/run/a").unwrap();
            rename("/run/b", "/run/a");
            elsewhere(rights, || {
                let flags = flags | NSW_DIR_EVENTS | NSW_NO_MOUNT_EVENTS;
                let mut o = Observer::<A>::open_synced(&How::dir("/run/a/netns").flags(flags));
                placeholder("/run/a/netns/blue");
                let between = || assert!(put_aside());
                stopped_at(libc::SYS_statx, between, || o.expect(&[(Created, "blue")]));
                if followed {
                    // without the option the watcher follows it
                    o.expect(&[(Ready, "blue")]);
                }
                o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
            });
            std::fs::remove_file("/run/b/netns/blue").unwrap();
        }
    });
}

fn no_link_is_followed_to_open_an_announced_namespace<A: Api>() {
    by_each_probe(|rights| {
        for (flags, errno) in [(0, None), (NSW_NO_SYMLINKS, Some(libc::ENOENT))] {
            sandbox();
            make_dir("/run/a/netns");
            let blue = "/run/a/netns/blue";
            namespace(blue);
            placeholder("/run/same");
            bind(blue, "/run/same");
            elsewhere(rights, || {
                let mut o = Observer::<A>::open(&How::dir("/run/a/netns").flags(flags));
                o.expect(&[(Created, "blue"), (Ready, "blue")]);
                let expect = |errno: Option<i32>| assert_eq!(o.api.open_netns().err(), errno);
                expect(None);
                unmount(blue);
                std::fs::remove_file(blue).unwrap();
                symlink("/run/same", blue);
                expect(errno);
                std::fs::remove_file(blue).unwrap();
                placeholder(blue);
                bind("/run/same", blue);
                expect(None);
                rename("/run/a", "/run/b");
                symlink("b", "/run/a");
                expect(None);
                if give("/run/a", 1234) {
                    expect(errno);
                }
            });
        }
    });
}

/// A filesystem whose server never answers, at `path`.
fn hanging_filesystem(path: &str) -> Option<OwnedFd> {
    let server = File::options().read(true).write(true).open("/dev/fuse").ok()?;
    let c = |text: &str| std::ffi::CString::new(text).unwrap();
    let options = c(&format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd()));
    // SAFETY: all strings outlive the call.
    let rc =
        unsafe { libc::mount(c("trap").as_ptr(), c(path).as_ptr(), c("fuse").as_ptr(), 0, options.as_ptr().cast()) };
    (rc == 0).then(|| server.into())
}

fn a_hanging_filesystem_behind_a_link_is_not_touched<A: Api>() {
    by_each_probe(|rights| {
        sandbox();
        make_dir(RUN_NETNS);
        make_dir("/run/trap");
        unused_link("/run/trap/deep/ns", "/run/netns/old");
        let server = hanging_filesystem("/run/trap");
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        // a caller that hangs continues when the server ends
        let guard = std::thread::spawn(move || {
            let in_time = is_done.recv_timeout(DEADLINE) != Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            drop(server);
            in_time
        });
        elsewhere(rights, || {
            let mut o = Observer::<A>::open(&how());
            o.expect(&[(Created, "old"), (Synced, "")]);
            unused_link("/run/trap/deep/ns", "/run/netns/new");
            o.expect(&[(Created, "new")]);
            mount("other", "/run/trap", Some("tmpfs"), libc::MS_RDONLY);
            o.drain();
            unmount("/run/trap");
            o.drain();
            assert_eq!(o.resync(), []);
            if give("/run/netns/old", 1234) {
                assert_eq!(A::open(&How::dir("/run/netns/old/x").flags(NSW_NO_SYMLINKS)).err(), Some(libc::ELOOP));
            }
        });
        drop(done);
        assert!(guard.join().unwrap(), "hung");
        assert!(is_unused("/run/netns/new"));
    });
}
