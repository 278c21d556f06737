//! Signals through self-pipes: no work in signal handlers, so a signal is safe at any moment.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level::pipe;

use crate::clock::monotonic;
use crate::ending::Ending;
use crate::output;
use crate::watches::Watches;

#[derive(Debug)]
pub(crate) struct Signals {
    /// Readable from the first SIGINT or SIGTERM on; never read.
    stop: UnixStream,
    counters: UnixStream,
    /// How long to report remaining events after a signal, or after the user's limit.
    grace: Duration,
    /// When the grace after a signal ends.
    deadline: Option<Instant>,
    /// The time limit of the user.
    limit: Option<Instant>,
    /// Later events, by `CLOCK_MONOTONIC`, are after the limit. The grace begins when the limit is noticed: opening the
    /// watchers may take longer.
    last_moment: Option<Duration>,
}

/// The signals that end this process: SIGTERM always; SIGINT unless this process was started with it ignored, as a
/// shell script does for background jobs.
pub(crate) fn that_end() -> Vec<Signal> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is_ignored = ignored.is_some_and(|set| set >> (Signal::SIGINT as u32 - 1) & 1 == 1);
    std::iter::once(Signal::SIGTERM).chain((!is_ignored).then_some(Signal::SIGINT)).collect()
}

/// A stream that each of the signals makes readable, even if this process was started with them ignored or blocked.
pub(crate) fn catch(signals: &[Signal]) -> io::Result<UnixStream> {
    let (readable, on_signal) = UnixStream::pair()?;
    readable.set_nonblocking(true)?;
    set_up(signals, |signal| pipe::register(signal, on_signal.try_clone()?).map(drop))?;
    Ok(readable)
}

/// Makes each of the signals kill this process, even if it was started with them ignored or blocked.
pub(crate) fn die_of(signals: &[Signal]) -> io::Result<()> {
    set_up(signals, |signal| register_conditional_default(signal, Arc::new(AtomicBool::new(true))).map(drop))
}

/// Calls `register` for each of the signals, which are blocked meanwhile: a handler is in place a moment before its
/// action, and would swallow a signal. Unblocks them in the end, even if this process was started with them blocked.
fn set_up(signals: &[Signal], register: impl Fn(i32) -> io::Result<()>) -> io::Result<()> {
    let set: SigSet = signals.iter().copied().collect();
    set.thread_block()?;
    signals.iter().try_for_each(|signal| register(*signal as i32))?;
    Ok(set.thread_unblock()?)
}

/// Empties a stream of [`catch`]: several signals count as one.
pub(crate) fn clear(mut stream: &UnixStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
}

impl Signals {
    pub(crate) fn new(grace: Duration, limit: Option<Duration>) -> io::Result<Self> {
        let limit = limit.and_then(|limit| Instant::now().checked_add(limit));
        let stop = catch(&that_end())?;
        Ok(Self { stop, counters: catch(&[Signal::SIGUSR1])?, grace, deadline: None, limit, last_moment: None })
    }

    /// Handles the signals that have come, without waiting. Ends after a stop signal, when the grace time is over.
    pub(crate) fn handle(&mut self, watches: &Watches) -> Result<(), Ending> {
        self.poll(watches, Vec::new(), Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        let now = Instant::now();
        if self.limit.is_some_and(|limit| now >= limit) {
            self.last_moment.get_or_insert_with(|| monotonic() + self.grace);
        }
        match self.deadline {
            Some(end) if now >= end => Err(Ending::Asked),
            _ => Ok(()),
        }
    }

    /// Whether an event of this moment comes after the time limit. Pending ones from before it are still reported.
    pub(crate) fn is_too_late(&self, moment: Duration) -> bool {
        self.last_moment.is_some_and(|last| moment > last)
    }

    /// Waits until one of `fds` is ready, and handles signals meanwhile. Ends after a stop signal when none is ready,
    /// at the time limit, and when the reader is gone.
    pub(crate) fn wait<'fd>(
        &mut self,
        watches: &Watches,
        fds: impl Iterator<Item = BorrowedFd<'fd>>,
        ready: PollFlags,
        reader: Option<&'fd File>,
    ) -> Result<(), Ending> {
        // with no events requested, poll still reports a closed pipe
        let reader = reader.map(|reader| PollFd::new(reader, PollFlags::empty()));
        let readers = usize::from(reader.is_some());
        let fds: Vec<_> = reader.into_iter().chain(fds.map(|fd| PollFd::from_borrowed_fd(fd, ready))).collect();
        loop {
            let left = self.limit.map(|limit| limit.saturating_duration_since(Instant::now()));
            let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
            let found = self.poll(watches, fds.clone(), left.as_ref())?;
            let (reader, found) = found.split_at(readers);
            if reader.iter().any(|reader| reader.intersects(PollFlags::ERR | PollFlags::HUP)) {
                return Err(Ending::NobodyReads);
            }
            if found.iter().any(|found| !found.is_empty()) {
                return Ok(());
            }
            if self.deadline.is_some() {
                return Err(Ending::Asked);
            }
            if self.limit.is_some_and(|limit| Instant::now() >= limit) {
                return Err(Ending::TimeIsOver);
            }
        }
    }

    /// Calls `poll(2)` once on these and the signals, which it handles. Returns the results in the same order.
    fn poll(
        &mut self,
        watches: &Watches,
        others: Vec<PollFd<'_>>,
        timeout: Option<&Timespec>,
    ) -> Result<Vec<PollFlags>, Ending> {
        let mut fds = others;
        fds.push(PollFd::new(&self.stop, PollFlags::IN));
        fds.push(PollFd::new(&self.counters, PollFlags::IN));
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(vec![PollFlags::empty(); fds.len() - 2]),
            Err(error) => return Err(Ending::failed("wait for events", error.into())),
        }
        let mut found: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let [counters, stop] = [found.pop(), found.pop()].map(|flags| flags.is_some_and(|flags| !flags.is_empty()));
        if counters {
            clear(&self.counters);
            output::counters(&watches.stats());
        }
        if stop {
            self.deadline.get_or_insert_with(|| Instant::now() + self.grace);
        }
        Ok(found)
    }
}
