use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use super::*;

/// One at a time: the tests count the descriptors of the process.
static ALONE: Mutex<()> = Mutex::new(());

const LIMIT: Duration = Duration::from_secs(20);

/// Prints why a test could not run, past libtest, which captures output.
fn skipped(why: &str) {
    let line = format!("SKIPPED: {}: {why}\n", std::thread::current().name().unwrap_or("test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

struct Listening {
    perf: Perf,
    epoll: Arc<Epoll>,
    _alone: MutexGuard<'static, ()>,
}

/// `None`: not permitted here.
fn listen() -> Option<Listening> {
    let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let epoll = Arc::new(Epoll::new().unwrap());
    match Perf::open(&epoll, None) {
        Ok(perf) => Some(Listening { perf, epoll, _alone: alone }),
        Err(error) => {
            skipped(&format!("no perf records: {error}"));
            None
        }
    }
}

impl Listening {
    fn is_readable(&self) -> bool {
        sys::poll_readable(self.epoll.as_fd(), Some(Duration::ZERO)).unwrap()
    }

    fn read(&mut self) -> (Vec<Hint>, Loss) {
        let mut hints = Vec::new();
        self.perf.mark(sys::monotonic()).unwrap();
        let loss = self.perf.read(&mut |hint| hints.push(hint)).unwrap();
        (hints, loss)
    }

    /// Waits as a consumer does, and reads until it gets this hint.
    fn wait_for(&mut self, wanted: Hint) {
        let end = sys::monotonic() + LIMIT;
        loop {
            let left = end.checked_sub(sys::monotonic()).expect("the hint does not come");
            if sys::poll_readable(self.epoll.as_fd(), Some(left)).unwrap() && self.read().0.contains(&wanted) {
                return;
            }
        }
    }
}

/// A process in a network namespace of its own.
struct Born(Child, Hint);

impl Born {
    /// Starts it with a command that does not fork.
    fn by(words: &[&str]) -> Self {
        let words: Vec<_> = words.iter().chain(&["unshare", "--net"]).collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["sh", "-c", "readlink /proc/self/ns/net; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ino = line.trim().trim_start_matches("net:[").trim_end_matches(']').parse().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        Self(child, Hint { ino, pid, tid: pid })
    }

    fn new() -> Self {
        Self::by(&[])
    }
}

impl Drop for Born {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn a_birth_is_reported_with_its_thread() {
    let Some(mut listening) = listen() else { return };
    for _ in 0..10 {
        let born = Born::new();
        listening.wait_for(born.1);
    }
}

#[test]
fn the_descriptor_is_readable_until_all_is_read() {
    let Some(mut listening) = listen() else { return };
    let born = Born::new();
    assert!(sys::poll_readable(listening.epoll.as_fd(), Some(LIMIT)).unwrap());
    assert!((0..5).all(|_| listening.is_readable()), "polling takes nothing away");
    assert!(listening.read().0.contains(&born.1));
    // others may fork at any time
    let end = sys::monotonic() + LIMIT;
    while listening.is_readable() {
        assert!(sys::monotonic() < end, "it stays readable");
        listening.read();
    }
}

#[test]
fn what_comes_between_mark_and_read_wakes_again() {
    let Some(mut listening) = listen() else { return };
    for _ in 0..5 {
        listening.perf.mark(sys::monotonic()).unwrap();
        let born = Born::new();
        // others may have forked so often that it was not armed
        listening.perf.cadence = Cadence::new();
        let mut hints = Vec::new();
        listening.perf.read(&mut |hint| hints.push(hint)).unwrap();
        assert!(sys::poll_readable(listening.perf.timer.as_fd(), Some(LIMIT)).unwrap(), "no later record is needed");
        assert!(!hints.contains(&born.1), "it came after the mark");
        listening.wait_for(born.1);
    }
}

#[test]
fn without_aio_the_events_themselves_wake() {
    let Some(mut listening) = listen() else { return };
    listening.perf.disarm();
    listening.perf.arm().unwrap();
    assert!(matches!(listening.perf.alarm, Alarm::Events));
    for _ in 0..10 {
        let born = Born::new();
        listening.wait_for(born.1);
    }
}

const FORKS: usize = 20_000;

/// Starts as many threads, one after the other; each makes a record.
fn storm() {
    for _ in 0..FORKS {
        std::thread::spawn(|| ()).join().unwrap();
    }
}

#[test]
fn what_a_sleeping_reader_loses_is_counted() {
    let Some(mut listening) = listen() else { return };
    storm();
    let (hints, loss) = listening.read();
    match loss {
        Loss::Nothing => assert!(hints.len() >= FORKS),
        Loss::Hints(0) => skipped("this kernel does not count losses"),
        Loss::Hints(lost) => assert!(hints.len() + lost as usize >= FORKS, "{} and {lost} lost", hints.len()),
    }
    assert!(listening.perf.buffer.capacity() <= KEPT, "{} bytes are kept", listening.perf.buffer.capacity());
    // the same loss is not reported twice
    let born = Born::new();
    let (hints, loss) = listening.read();
    assert!(hints.contains(&born.1));
    assert_eq!(loss, Loss::Nothing);
}

#[test]
fn in_a_storm_a_reader_sees_all_in_few_looks() {
    let Some(mut listening) = listen() else { return };
    let begun = sys::monotonic();
    let storm = std::thread::spawn(storm);
    let (mut looks, mut seen) = (0, 0);
    while seen < FORKS {
        assert!(sys::poll_readable(listening.epoll.as_fd(), Some(LIMIT)).unwrap(), "{seen} seen");
        let (hints, loss) = listening.read();
        looks += 1;
        seen += hints.len();
        seen += if let Loss::Hints(lost) = loss { lost as usize } else { 0 };
    }
    storm.join().unwrap();
    let most = 100 + (sys::monotonic() - begun).as_millis() / 5;
    assert!(looks <= most, "{looks} looks, not {most}");
}

#[test]
fn a_returned_processor_gets_a_ring_again() {
    let Some(mut listening) = listen() else { return };
    let before = listening.perf.rings.len();
    for changed in [Changed::These(vec![0]), Changed::Perhaps] {
        listening.perf.changed = changed;
        assert_eq!(listening.read().1, Loss::Hints(0));
        assert_eq!(listening.perf.rings.len(), before);
        assert!(listening.perf.changed.is_nothing());
        for _ in 0..5 {
            let born = Born::new();
            listening.wait_for(born.1);
        }
    }
}

/// The open perf event descriptors, and the mapped rings.
fn held() -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    let descriptors = links.filter(|link| link.to_string_lossy().contains("perf_event")).count();
    descriptors + std::fs::read_to_string("/proc/self/maps").unwrap().matches("perf_event").count()
}

#[test]
fn nothing_is_left_behind() {
    let Some(listening) = listen() else { return };
    assert!(held() >= 2 * listening.perf.rings.len());
    let Listening { perf, epoll, _alone } = listening;
    drop(perf);
    assert!(!sys::poll_readable(epoll.as_fd(), Some(Duration::ZERO)).unwrap());
    // another test may probe perf records for a moment
    let end = sys::monotonic() + LIMIT;
    while held() > 0 {
        assert!(sys::monotonic() < end, "{} left", held());
        std::thread::yield_now();
    }
}
