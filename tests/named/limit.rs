//! A limit of names: the effect of more names, and when those left out follow.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::*;
use nswatch::capi::options::*;
use nswatch::capi::watcher::NSW_STAT_KNOWN;

both! {
    more_names_at_open_are_an_error
    directories_do_not_count
    a_crossing_is_returned_once
    a_crossing_comes_after_the_events
    names_left_out_follow
    deleted_names_do_not_follow
    thousands_follow_with_few_scans
    a_scan_keeps_the_known_names
    other_names_take_the_place_of_all
    a_directory_that_comes_with_more_names
    moved_names_keep_to_the_limit
    debounced_names_keep_to_the_limit
    a_queue_passes_the_error_on
    room_that_a_known_name_does_not_take_is_filled
}

fn how(names: u32) -> How {
    How::default().max_names(names)
}

fn make(names: &[&str]) {
    names.iter().for_each(|name| placeholder(format!("{RUN_NETNS}/{name}")));
}

fn remove(name: &str) {
    std::fs::remove_file(format!("{RUN_NETNS}/{name}")).unwrap();
}

/// Takes the error, once; it does not make the descriptor readable.
fn expect_too_many<A: Api>(o: &mut Observer<A>) {
    assert!(!readable(o.api.fd(), Duration::ZERO), "readable because of the limit");
    assert_eq!(o.try_now(), Err(libc::E2BIG));
    assert!(!readable(o.api.fd(), Duration::ZERO), "readable because of the error");
    o.expect_nothing();
}

fn more_names_at_open_are_an_error<A: Api>() {
    for flags in [0, NSW_NO_REPLAY, NSW_NO_SYMLINKS] {
        sandbox();
        make_dir(RUN_NETNS);
        make(&["a", "b"]);
        symlink("/proc/thread-self/ns/net", "/run/netns/c");
        assert_eq!(A::open(&how(3).flags(flags)).map(drop), Ok(()));
        for more in ["d", "e"] {
            make(&[more]);
            assert_eq!(A::open(&how(3).flags(flags)).map(drop), Err(libc::E2BIG));
        }
        assert_eq!(A::open(&how(5).flags(flags)).map(drop), Ok(()));
        assert_eq!(A::open(&how(0).flags(flags)).map(drop), Ok(()));
        assert_eq!(A::open(&how(u32::MAX).flags(flags)).map(drop), Ok(()));
    }
}

fn directories_do_not_count<A: Api>() {
    sandbox();
    for name in ["1", "2", "3"] {
        make_dir(format!("{RUN_NETNS}/{name}"));
    }
    make(&["a"]);
    let mut o = Observer::<A>::open_synced(&how(2));
    for name in ["4", "5"] {
        make_dir(format!("{RUN_NETNS}/{name}"));
    }
    make(&["b"]);
    o.expect(&[(Created, "b")]);
    o.expect_nothing();
    make_dir(format!("{RUN_NETNS}/6"));
    assert_eq!(o.resync(), []);
    o.expect_nothing();
}

fn a_crossing_is_returned_once<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make(&["a", "b"]);
    let mut o = Observer::<A>::open_synced(&how(2));
    for turn in 0..3 {
        make(&["c"]);
        assert!(readable(o.api.fd(), DEADLINE));
        assert_eq!(o.try_now(), Err(libc::E2BIG), "turn {turn}");
        assert!(!readable(o.api.fd(), Duration::ZERO), "readable because of the error");
        o.expect_nothing();
        make(&["d", "e"]);
        o.expect_nothing();
        // the limit was crossed before
        assert_eq!(o.resync(), []);
        o.expect_nothing();
        ["e", "d", "c"].iter().for_each(|name| remove(name));
        o.expect_nothing();
        o.expect_truth(RUN_NETNS);
    }
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), 2);
}

fn a_crossing_comes_after_the_events<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&how(2));
    make(&["a", "b", "c"]);
    o.expect(&[(Created, "a"), (Created, "b")]);
    expect_too_many(&mut o);
    // the known names still have events
    mount_new_netns("/run/netns/b");
    o.expect(&[(Ready, "b")]);
    mount_new_netns("/run/netns/c");
    o.drain();
    unmount("/run/netns/b");
    o.drain();
    o.resync();
    assert_eq!(o.checker.believed().into_values().collect::<Vec<_>>(), [None, None]);
    o.expect_nothing();
}

fn names_left_out_follow<A: Api>() {
    for flags in [0, NSW_NO_REPLAY, NSW_NO_MOUNT_EVENTS] {
        sandbox();
        make_dir(RUN_NETNS);
        make(&["a", "b"]);
        let mut o = Observer::<A>::open(&how(2).flags(flags));
        o.drain();
        make(&["c"]);
        mount_new_netns("/run/netns/c");
        assert!(readable(o.api.fd(), DEADLINE));
        while let Err(errno) = o.try_now() {
            assert_eq!(errno, libc::E2BIG);
        }
        o.drain();
        remove("a");
        if flags & NSW_NO_REPLAY == 0 {
            o.expect(&[(Deleted, "a")]);
        }
        o.expect(&[(Created, "c"), (Ready, "c")]);
        o.expect_nothing();
        make(&["d"]);
        o.drain_to_error(libc::E2BIG);
        remove("b");
        o.until(Created, "d");
        o.drain();
        o.expect_nothing();
        o.expect_truth(RUN_NETNS);
    }
}

fn deleted_names_do_not_follow<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make(&["a", "b"]);
    let mut o = Observer::<A>::open_synced(&how(2));
    make(&["c", "d"]);
    assert!(readable(o.api.fd(), DEADLINE));
    assert_eq!(o.try_now(), Err(libc::E2BIG));
    // when there is room, nothing has read its deletion yet
    remove("a");
    remove("c");
    o.expect(&[(Deleted, "a"), (Created, "d")]);
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn thousands_follow_with_few_scans<A: Api>() {
    const MORE: usize = 3000;
    sandbox();
    make_dir(RUN_NETNS);
    make(&["a", "b"]);
    let mut o = Observer::<A>::open_synced(&how(2));
    for n in 0..MORE {
        make(&[&format!("more{n}")]);
    }
    o.drain_to_error(libc::E2BIG);
    let reads = Reads::of_directory(RUN_NETNS);
    let mut seen = BTreeSet::new();
    let end = Instant::now() + DEADLINE;
    while seen.len() < MORE + 2 {
        let believed: Vec<_> = o.checker.believed().into_keys().collect();
        assert!(believed.len() <= 2 && Instant::now() < end);
        for name in believed {
            let name = String::from_utf8(name).unwrap();
            remove(&name);
            assert!(seen.insert(name));
            assert!(readable(o.api.fd(), DEADLINE));
            o.drain();
        }
    }
    assert!(reads.so_far() <= 4, "{} reads of the directory", reads.so_far());
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

/// Counts how often a directory is opened for reading.
struct Reads(std::os::fd::OwnedFd);

impl Reads {
    fn of_directory(path: &str) -> Self {
        use std::os::fd::{AsRawFd, FromRawFd};
        let path = std::ffi::CString::new(path).unwrap();
        // SAFETY: the string outlives the call; the descriptor is new.
        unsafe {
            let inotify = std::os::fd::OwnedFd::from_raw_fd(libc::inotify_init1(libc::IN_NONBLOCK));
            assert!(
                libc::inotify_add_watch(
                    inotify.as_raw_fd(),
                    path.as_ptr(),
                    libc::IN_OPEN | libc::IN_CLOSE | libc::IN_ONLYDIR
                ) > 0
            );
            Self(inotify)
        }
    }

    /// The number since the previous call.
    fn so_far(&self) -> usize {
        use std::io::Read;
        let mut bytes = vec![0; 1 << 20];
        let mut file = std::fs::File::from(self.0.try_clone().unwrap());
        let n = file.read(&mut bytes).unwrap_or(0);
        let (mut at, mut opens) = (0, 0);
        while at < n {
            let number = |from: usize| u32::from_ne_bytes(bytes[at + from..at + from + 4].try_into().unwrap());
            // inotify drops a notice that equals the one before: this closes what is open in between
            opens += usize::from(number(4) == libc::IN_OPEN | libc::IN_ISDIR && number(12) == 0);
            at += 16 + number(12) as usize;
        }
        opens
    }
}

fn a_scan_keeps_the_known_names<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make(&["a", "b"]);
    let mut o = Observer::<A>::open_synced(&how(3));
    // a directory lists the newest first, or in an order of its own: the known names are not the first
    for n in 0..2000 {
        make(&[&format!("{n}")]);
        remove("a");
        make(&["a"]);
    }
    o.api.resync().unwrap();
    o.until(Synced, "");
    o.drain_to_error(libc::E2BIG);
    let believed = o.checker.believed();
    assert_eq!(believed.len(), 3);
    assert!(believed.contains_key(&b"b"[..]));
    for _ in 0..3 {
        assert_eq!(o.resync(), []);
        o.expect_nothing();
    }
    assert_eq!(o.checker.believed(), believed);
}

fn other_names_take_the_place_of_all<A: Api>() {
    const NAMES: u32 = 3000;
    sandbox();
    make_dir(RUN_NETNS);
    let all = |prefix: &str, act: &dyn Fn(&str)| (0..NAMES).for_each(|n| act(&format!("{prefix}{n}")));
    let add = |name: &str| make(&[name]);
    all("old", &add);
    let mut o = Observer::<A>::open_synced(&how(NAMES));
    for (old, new) in [("old", "new"), ("new", "newer")] {
        // unread: the kernel's queue overflows
        for _ in 0..4 {
            all(new, &add);
            all(new, &remove);
        }
        all(new, &add);
        all(old, &remove);
        let end = Instant::now() + DEADLINE;
        o.log.clear();
        while !o.log.iter().any(|event| event.kind == Synced) {
            assert!(readable(o.api.fd(), DEADLINE) && Instant::now() < end);
            loop {
                match o.try_now() {
                    // by then the watcher has reported all
                    Ok(Some(event)) if event.kind == Synced => o.expect_truth(RUN_NETNS),
                    Ok(None) => break,
                    // for a while there were more
                    _ => {}
                }
            }
        }
        o.expect_nothing();
    }
}

fn a_directory_that_comes_with_more_names<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&how(2).flags(NSW_DIR_EVENTS));
    for _ in 0..2 {
        make_dir("/run/new");
        for name in ["a", "b", "c", "d"] {
            placeholder(format!("/run/new/{name}"));
        }
        rename("/run/new", RUN_NETNS);
        o.until(DirCreated, "");
        o.drain_to_error(libc::E2BIG);
        assert_eq!(o.checker.believed().len(), 2);
        o.expect_nothing();
        std::fs::remove_dir_all(RUN_NETNS).unwrap();
        o.until(DirDeleted, "");
        o.expect_nothing();
    }
}

fn moved_names_keep_to_the_limit<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make(&["a", "b"]);
    let mut o = Observer::<A>::open_synced(&how(2));
    make(&["c"]);
    o.drain_to_error(libc::E2BIG);
    rename("/run/netns/c", "/run/netns/d");
    exchange("/run/netns/a", "/run/netns/d");
    o.drain();
    rename("/run/netns/d", "/run/netns/b");
    o.drain();
    o.expect_truth(RUN_NETNS);
    make(&["e"]);
    rename("/run/netns/e", "/run/netns/a");
    // for a moment there were three
    while let Err(errno) = o.try_now() {
        assert_eq!(errno, libc::E2BIG);
    }
    o.drain();
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

fn debounced_names_keep_to_the_limit<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make(&["a", "b"]);
    let mut o = Observer::<A>::open_synced(&How { settle_ms: 20, ..how(2) });
    make(&["c"]);
    assert!(readable(o.api.fd(), DEADLINE));
    assert_eq!(o.try_now(), Err(libc::E2BIG));
    remove("a");
    o.expect(&[(Deleted, "a"), (Created, "c")]);
    o.expect_nothing();
    make(&["d"]);
    mount_new_netns("/run/netns/d");
    o.drain_to_error(libc::E2BIG);
    remove("b");
    o.expect(&[(Deleted, "b"), (Created, "d"), (Ready, "d")]);
    o.expect_truth(RUN_NETNS);
}

fn a_queue_passes_the_error_on<A: Api>() {
    for policy in [NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        sandbox();
        make_dir(RUN_NETNS);
        make(&["a", "b", "c"]);
        let how = |names| How { queue: Some((100, policy)), ..how(names) };
        assert_eq!(A::open(&how(2)).map(drop), Err(libc::E2BIG));
        remove("c");
        let mut o = Observer::<A>::open_synced(&how(2));
        for _ in 0..2 {
            make(&["c"]);
            let end = Instant::now() + DEADLINE;
            // the error does not wake the consumer
            while o.try_now() != Err(libc::E2BIG) {
                assert!(Instant::now() < end);
                std::thread::yield_now();
            }
            assert!(!readable(o.api.fd(), Duration::ZERO));
            assert_eq!(o.try_now(), Ok(None));
            // the thread goes on
            remove("a");
            o.expect(&[(Deleted, "a"), (Created, "c")]);
            remove("c");
            make(&["a"]);
            o.expect(&[(Deleted, "c"), (Created, "a")]);
        }
        o.expect_truth(RUN_NETNS);
    }
}

/// Under a memory limit that so many names would exceed: in a process of its own, since the limit applies to a process.
#[test]
fn names_of_others_do_not_exhaust_the_memory() {
    run_alone("limit::alone_with_little_memory", &[]);
}

const MANY: usize = 100_000;

#[test]
#[ignore = "run by names_of_others_do_not_exhaust_the_memory"]
fn alone_with_little_memory() {
    use crate::support::api::{C, Rust};
    sandbox();
    let full = make_dir("/run/full");
    for n in 0..MANY {
        placeholder(full.join(n.to_string()));
    }
    // the allocator has reserved 64 MB of addresses for this thread
    let ballast: Vec<Vec<u8>> = (0..900).map(|_| vec![1; 64 * 1024]).collect();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix(" kB")?.trim().parse().ok());
    let limit: libc::rlim_t = (size.unwrap_or(0) + 8 * 1024) * 1024;
    let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the structure is ours and lives until the call returns.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limits) }, 0);
    // 0: without a limit, for comparison
    let most = std::env::var("NSWATCH_MAX_NAMES").map_or(1000, |names| names.parse().unwrap());
    within_memory::<Rust>(most);
    within_memory::<C>(most);
    drop(ballast);
}

fn within_memory<A: Api>(most: u32) {
    let limited = |how: How| How { max_names: most, ..how };
    assert_eq!(A::open(&limited(How::dir("/run/full"))).map(drop), Err(libc::E2BIG));
    let mut watcher = A::open(&limited(How::default())).unwrap();
    for _ in 0..2 {
        rename("/run/full", RUN_NETNS);
        // a scan that others provoke may be delayed
        let mut events = 0;
        loop {
            match watcher.wait(Some(DEADLINE)) {
                Err(errno) => break assert_eq!(errno, libc::E2BIG),
                Ok(Some(_)) => events += 1,
                Ok(None) => panic!("no error after {events} events"),
            }
        }
        watcher.resync().unwrap();
        while watcher.next().unwrap().is_some() {}
        assert_eq!((watcher.stat(NSW_STAT_KNOWN), events >= most), (u64::from(most), true));
        rename(RUN_NETNS, "/run/full");
        while watcher.stat(NSW_STAT_KNOWN) != 0 {
            assert!(watcher.wait(Some(DEADLINE)).unwrap().is_some());
        }
        while watcher.next().unwrap().is_some() {}
    }
}

/// A name that was left out may become known in another way: its room then goes to another name.
fn room_that_a_known_name_does_not_take_is_filled<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make_dir("/run/outside");
    let path = |name: &str| format!("{RUN_NETNS}/{name}");
    (0..1100).for_each(|i| placeholder(path(&format!("k{i:04}"))));
    let mut o = Observer::<A>::open_synced(&How::default().max_names(1100));
    (0..1040).for_each(|i| placeholder(path(&format!("e{i:04}"))));
    o.drain_to_error(libc::E2BIG);
    (0..1024).for_each(|i| std::fs::remove_file(path(&format!("k{i:04}"))).unwrap());
    o.drain();
    placeholder(path("zz"));
    o.drain();
    placeholder("/run/outside/y");
    std::fs::remove_file(path("k1024")).unwrap();
    rename("/run/outside/y", path("zz"));
    std::fs::remove_file(path("k1025")).unwrap();
    // one call each time that the descriptor is readable
    while readable(o.api.fd(), Duration::ZERO) {
        o.now();
    }
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), 1100);
    assert_eq!(o.now(), None);
}
