//! A watcher of all namespaces behind a queue, as a channel and as a stream, and the resources that it takes. These
//! tests run in a pid namespace of their own, where they see no other process, so they know all namespaces.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, Instant};

use crate::resources::{expect_resources, limit_files, no_more_files, resources};
use crate::support::api::{Api, C, Ev, How, Kind::*, Observer, Rust, from_rust, options, readable};
use crate::support::grammar::{Checker, Id};
use crate::support::nsid::anonymous;
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::options::{NSW_PREPARE, NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST};
use nswatch::capi::watcher::{NSW_STAT_KNOWN, NSW_STAT_QUEUED};
use nswatch::{Feature, Options, Policy, Watcher};

const POLICIES: [u32; 3] = [NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST];

/// Runs an ignored test of this file where it sees only its own processes.
fn unseen(test: &str) {
    run_alone(&format!("all::{test}"), &UNSEEN);
}

#[test]
fn a_death_while_a_queue_is_full_is_not_missed() {
    unseen("alone_full_queue_rust");
    unseen("alone_full_queue_c");
}

#[test]
fn channels_and_streams() {
    unseen("alone_channels");
    unseen("alone_streams");
}

#[test]
fn it_sleeps_while_nothing_happens() {
    unseen("alone_idle");
}

#[test]
fn watchers_leave_nothing_behind() {
    unseen("alone_open_and_close");
}

#[test]
fn files_run_out() {
    unseen("alone_files_run_out_rust");
    unseen("alone_files_run_out_c");
}

/// Root of a new user namespace may set its limit.
#[test]
fn namespaces_run_out() {
    run_alone("all::alone_namespaces_run_out", &["unshare", "--user", "--map-root-user", "--net", "--mount"]);
}

#[test]
fn its_memory_is_bounded() {
    unseen("alone_memory");
}

fn of(file: &File) -> Id {
    kernel::netns_of(file).unwrap()
}

fn make(count: usize) -> Vec<File> {
    (0..count).map(|_| anonymous().into()).collect()
}

/// The namespaces that exist before a test makes more.
fn before() -> BTreeSet<Id> {
    sandbox();
    Observer::<Rust>::open_synced(&How::all()).checker.netns
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn full_queue<A: Api>() {
    for policy in POLICIES {
        let before = before();
        let (kept, mut dies) = (make(5), make(20));
        let mut o = Observer::<A>::open(&How { queue: Some((2, policy)), ..How::all() });
        // the replay has filled it
        until("a full queue", || o.api.stat(NSW_STAT_QUEUED) == 2 && kernel::are_asleep("nswatch"));
        dies.clear();
        ip_netns(&["add", "blue"]);
        let blue = kernel::netns("/run/netns/blue").unwrap();
        let truth: BTreeSet<Id> = kept.iter().map(of).chain([blue]).chain(before).collect();
        if policy == NSW_QUEUE_BLOCK {
            o.until_netns(NetnsNew, blue);
            while o.checker.netns != truth {
                o.next();
            }
            assert!(o.log.iter().all(|event| event.kind != Overflow));
            continue;
        }
        let known = truth.len() as u64;
        until("the births and deaths", || o.api.stat(NSW_STAT_KNOWN) == known && kernel::are_asleep("nswatch"));
        o.until(Overflow, "");
        o.until(Synced, "");
        assert_eq!(o.checker.netns, truth, "a wrong state at synced");
        // the queue has recovered
        ip_netns(&["del", "blue"]);
        o.until_netns(NetnsDel, blue);
    }
}

#[test]
#[ignore = "run by a_death_while_a_queue_is_full_is_not_missed"]
fn alone_full_queue_rust() {
    full_queue::<Rust>();
}

#[test]
#[ignore = "run by a_death_while_a_queue_is_full_is_not_missed"]
fn alone_full_queue_c() {
    full_queue::<C>();
}

fn each_queue() -> [Options; 4] {
    let queued = |policy| Options::new().queue(10, policy).unwrap();
    [Options::new(), queued(Policy::Block), queued(Policy::DropNewest), queued(Policy::DropOldest)]
}

/// Makes and removes a name; `next` takes the events.
fn comes_and_goes(checker: &mut Checker, mut next: impl FnMut() -> Ev) {
    let mut until = |kind, netns: Option<Id>| {
        loop {
            let event = next();
            checker.feed(&event);
            if event.kind == kind && netns.is_none_or(|netns| event.netns() == netns) {
                break;
            }
        }
    };
    until(Synced, None);
    ip_netns(&["add", "blue"]);
    let blue = kernel::netns("/run/netns/blue").unwrap();
    until(NetnsNew, Some(blue));
    ip_netns(&["del", "blue"]);
    until(NetnsDel, Some(blue));
    assert!(!checker.netns.contains(&blue));
}

#[test]
#[ignore = "run by channels_and_streams"]
fn alone_channels() {
    sandbox();
    let before = resources();
    for options in each_queue() {
        let channel = Watcher::all(&options).unwrap().into_channel().unwrap();
        let mut checker = Checker::default();
        let mut batch = Vec::new().into_iter();
        let mut next = || loop {
            match batch.next() {
                Some(event) => return from_rust(&event),
                None => batch = channel.receiver().recv_timeout(DEADLINE).unwrap().unwrap().into_iter(),
            }
        };
        comes_and_goes(&mut checker, &mut next);
        // a resync reaches the thread, too
        channel.resync().unwrap();
        while next().kind != Synced {}
        drop(channel);
        expect_resources(before, "after a channel");
    }
}

#[test]
#[ignore = "run by channels_and_streams"]
fn alone_streams() {
    #[cfg(feature = "tokio")]
    for threads in [0, 2] {
        use tokio::runtime::Builder;
        sandbox();
        let mut builder = match threads {
            0 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build().unwrap();
        let _guard = runtime.enter();
        for options in each_queue() {
            let mut stream = Watcher::all(&options).unwrap().into_stream().unwrap();
            let mut checker = Checker::default();
            comes_and_goes(&mut checker, || {
                let next = async { tokio::time::timeout(DEADLINE, stream.next()).await };
                from_rust(&runtime.block_on(next).expect("nothing in time").unwrap().unwrap())
            });
        }
    }
}

/// The iterator returns errors that are not its end, and goes on.
#[test]
fn an_iterator_goes_on_after_an_error() {
    sandbox();
    let mut watcher = Watcher::all(&Options::new()).unwrap();
    while watcher.next().unwrap().unwrap().to_string() != "synced" {}
    ip_netns(&["add", "blue"]);
    elsewhere(&Restriction::none().failing(libc::SYS_openat, libc::EMFILE), || {
        for _ in 0..3 {
            // namespaces of other tests may have died
            let error = watcher.by_ref().find_map(Result::err).unwrap();
            assert_eq!((error.errno(), error.is_final()), (libc::EMFILE, false));
        }
    });
    let blue = kernel::netns("/run/netns/blue").unwrap();
    assert!(watcher.any(|event| from_rust(&event.unwrap()).netns() == blue));
}

/// How often the library's thread has gone to sleep.
fn switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let thread = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm == "nswatch\n"));
    let status: Vec<_> = thread.map(|task| std::fs::read_to_string(task.join("status")).unwrap()).collect();
    assert_eq!(status.len(), 1, "one thread");
    let count = status[0].lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "run by it_sleeps_while_nothing_happens"]
fn alone_idle() {
    const WHILE: Duration = Duration::from_millis(500);
    // with perf events it wakes for other processes, at the cost that docs/scaling.md states
    for restriction in [Restriction::none(), Restriction::without_sys_admin()] {
        let restriction = restriction.failing(libc::SYS_perf_event_open, libc::EACCES);
        sandbox();
        let kept = make(10);
        elsewhere(&restriction, || {
            let mut o = Observer::<C>::open_synced(&How::all());
            o.drain();
            // a namespace that comes and goes leaves nothing behind that wakes
            ip_netns(&["add", "blue"]);
            let blue = kernel::netns("/run/netns/blue").unwrap();
            o.until_netns(NetnsNew, blue);
            ip_netns(&["del", "blue"]);
            o.until_netns(NetnsDel, blue);
            let end = Instant::now() + DEADLINE;
            while readable(o.api.fd(), WHILE) {
                assert!(Instant::now() < end, "it does not stop waking");
                o.drain();
            }
        });
        let how = How { queue: Some((10, NSW_QUEUE_BLOCK)), ..How::all() };
        let mut o = elsewhere(&restriction, || Observer::<C>::open_synced(&how));
        o.drain();
        until("sleep", || kernel::are_asleep("nswatch"));
        let before = switches();
        assert!(!readable(o.api.fd(), WHILE), "{:?} after {:?}", o.drain(), o.log);
        assert_eq!(switches(), before, "the thread woke for nothing");
        o.expect_nothing();
        drop(kept);
    }
}

#[test]
#[ignore = "run by watchers_leave_nothing_behind"]
fn alone_open_and_close() {
    // the descriptors that it may take: epoll, timer, waker, two sockets for each post, and those of mounts
    let ways: [(Restriction, u32, usize); 5] = [
        (Restriction::none(), 0, DESCRIPTORS + of_perf()),
        (Restriction::without_sys_admin(), 0, DESCRIPTORS + 1 + of_perf()),
        (Restriction::powerless(), 0, DESCRIPTORS + 1),
        (Restriction::none(), NSW_PREPARE, DESCRIPTORS + 5 + of_perf()),
        (Restriction::powerless().failing_user_namespace(libc::EPERM), 0, DESCRIPTORS - 1),
    ];
    sandbox();
    ip_netns(&["add", "blue"]);
    let before = resources();
    for (restriction, flags, most) in ways {
        elsewhere(&restriction, || {
            let inside = resources();
            for n in 0..100 {
                let mut o = Observer::<C>::open(&How::all().flags(flags));
                if n % 2 == 0 {
                    o.until(Synced, "");
                }
                let (fds, threads, rings) = resources();
                assert_eq!(threads, inside.1, "a thread");
                assert!(rings <= inside.2 + 2);
                assert!(
                    fds - inside.0 <= most,
                    "{restriction:?} {flags}: {} descriptors, {most} expected",
                    fds - inside.0
                );
            }
            assert_eq!(resources(), inside);
        });
        expect_resources(before, "after all watchers");
    }
}

/// The descriptors of a watcher without perf events: its own, a timer, two sockets of the post, and those of mounts.
const DESCRIPTORS: usize = 6;

/// Perf events add one for each processor, an alarm, a timer, a socket, and seven initial namespaces.
fn of_perf() -> usize {
    std::thread::available_parallelism().unwrap().get() + 11
}

fn run_out<A: Api>() {
    for flags in [0, NSW_PREPARE] {
        sandbox();
        make_dir(RUN_NETNS);
        let (fds, mut opened) = (kernel::open_fds(), false);
        // at each step of open
        for more in 0..36 + of_perf() as libc::rlim_t {
            let usual = limit_files(no_more_files() + more);
            let result = A::open(&How::all().flags(flags));
            limit_files(usual);
            match result {
                Ok(watcher) => {
                    drop(watcher);
                    opened = true;
                }
                Err(errno) => assert_eq!((errno, opened), (libc::EMFILE, false), "with {more} descriptors"),
            }
            assert_eq!(kernel::open_fds(), fds);
        }
        assert!(opened);
        // after open
        let mut o = Observer::<A>::open_synced(&How::all().flags(flags));
        for more in 0..6 {
            placeholder("/run/netns/blue");
            mount_new_netns("/run/netns/blue");
            let blue = kernel::netns("/run/netns/blue").unwrap();
            let usual = limit_files(no_more_files() + more);
            let mut failed = false;
            for turn in 0..20 {
                let result = if turn == 10 { o.api.resync().map(|()| None) } else { o.try_now() };
                if let Err(errno) = result {
                    assert_eq!(errno, libc::EMFILE);
                    assert!(readable(o.api.fd(), DEADLINE));
                    failed = true;
                }
            }
            assert!(failed || more > 0, "it needs no descriptor at all?");
            limit_files(usual);
            while !o.believes(blue) {
                o.next();
            }
            unmount("/run/netns/blue");
            std::fs::remove_file("/run/netns/blue").unwrap();
            o.until_netns(NetnsDel, blue);
        }
    }
}

#[test]
#[ignore = "run by files_run_out"]
fn alone_files_run_out_rust() {
    run_out::<Rust>();
}

#[test]
#[ignore = "run by files_run_out"]
fn alone_files_run_out_c() {
    run_out::<C>();
}

#[test]
#[ignore = "run by namespaces_run_out"]
fn alone_namespaces_run_out() {
    const LIMIT: &str = "/proc/sys/user/max_net_namespaces";
    sandbox();
    std::fs::write(LIMIT, "1").unwrap();
    for errno in [Rust::open(&How::all()).err(), C::open(&How::all()).err()] {
        assert_eq!(errno, Some(libc::ENOSPC));
    }
    let error = Watcher::all(&Options::new()).unwrap_err().to_string();
    assert!(error.contains("user.max_net_namespaces"), "{error}");
    // where no namespace may be made, the watcher does without
    std::fs::write(LIMIT, "0").unwrap();
    assert!(!Feature::Deaths.is_available().unwrap());
    let own = kernel::netns("/proc/thread-self/ns/net").unwrap();
    assert!(Observer::<C>::open_synced(&How::all()).believes(own));
}

/// The figures in docs/scaling.md.
#[test]
#[ignore = "run by its_memory_is_bounded"]
fn alone_memory() {
    const MANY: usize = 700;
    // SAFETY: no pointers.
    let heap = || unsafe { libc::mallinfo2() }.uordblks;
    sandbox();
    let open = |how: &How| {
        let before = heap();
        let mut watcher = Watcher::all(&options(how)).unwrap();
        while *watcher.next().unwrap().unwrap().kind() != nswatch::EventKind::Synced {}
        (heap() - before, watcher)
    };
    // allocated once
    drop(open(&How::all()));
    let few = open(&How::all()).0;
    let kept = make(MANY);
    let many = open(&How::all()).0;
    let queued = open(&How { queue: Some((MANY as u32, NSW_QUEUE_DROP_OLDEST)), ..How::all() }).0;
    let each = |bytes: usize| (bytes - few) / MANY;
    eprintln!("a watcher {few}, each namespace {}, with a queue {}", each(many), each(queued));
    assert!(few < 64 * 1024, "{few} bytes for a watcher");
    assert!(each(many) < 250, "{} bytes for each namespace", each(many));
    assert!(each(queued) < 700, "{} bytes for each namespace, with a queue", each(queued));
    drop(kept);
    // namespaces that come and go leave nothing
    let (_, mut watcher) = open(&How::all());
    while watcher.stats().known > 50 {
        watcher.wait(Some(DEADLINE)).unwrap().expect("a death");
    }
    let mut come_and_go = |times: usize| {
        for _ in 0..times {
            let namespaces = make(20);
            watcher.resync().unwrap();
            while *watcher.next().unwrap().unwrap().kind() != nswatch::EventKind::Synced {}
            drop(namespaces);
            while watcher.stats().known > 50 {
                watcher.wait(Some(DEADLINE)).unwrap().expect("a death");
            }
        }
        heap()
    };
    let before = come_and_go(20);
    let after = come_and_go(100);
    eprintln!("{} bytes more after 2000 namespaces", after as i64 - before as i64);
    assert!(after < before + 32 * 1024, "{} bytes more", after - before);
}
