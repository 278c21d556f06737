//! A watcher, the signals and the reader of standard output, waited for together: the loop of `watch` and `exec`.
//!
//! Signals arrive by self-pipes, so that nothing happens in a signal handler and no moment is a bad one. Nothing here
//! blocks in a way that keeps SIGTERM waiting, a reader that has stopped reading included.

use std::fs::File;
use std::io::{self, Read, Write, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nswatch::Watcher;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::pipe;

use crate::ending::Ending;
use crate::names::Names;
use crate::output;
use crate::record::Record;

#[derive(Debug)]
pub(crate) struct Session {
    watcher: Watcher,
    names: Names,
    signals: Signals,
    /// Standard output, if its reader is what all this is for: the session ends when there is none any more.
    reader: Option<File>,
}

#[derive(Debug)]
struct Signals {
    /// Readable from the first SIGINT or SIGTERM on; never read.
    stop: UnixStream,
    counters: UnixStream,
    /// How long events that are there already may still be told once asked to stop.
    grace: Duration,
    deadline: Option<Instant>,
}

impl Session {
    /// For a command that writes lines. What happened before SIGTERM is still told.
    pub(crate) fn with_reader(open: impl FnOnce() -> nswatch::Result<Watcher>) -> Result<Self, Ending> {
        // a File, not Stdout: a line is one write, and the state of the pipe is known before each
        let stdout = stdout().as_fd().try_clone_to_owned().map_err(|e| Ending::failed("use standard output", e))?;
        Self::new(open, Some(stdout.into()), Duration::from_millis(100))
    }

    /// For a command that does things. Nothing is begun after SIGTERM.
    pub(crate) fn without_reader(open: impl FnOnce() -> nswatch::Result<Watcher>) -> Result<Self, Ending> {
        Self::new(open, None, Duration::ZERO)
    }

    fn new(
        open: impl FnOnce() -> nswatch::Result<Watcher>,
        reader: Option<File>,
        grace: Duration,
    ) -> Result<Self, Ending> {
        // before the watcher: opening it may take a while in a large directory
        let signals = Signals::catch(grace).map_err(|error| Ending::failed("catch signals", error))?;
        Ok(Self { watcher: open()?, names: Names::default(), signals, reader })
    }

    pub(crate) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Waits for the next event.
    pub(crate) fn next(&mut self) -> Result<Record, Ending> {
        let Self { watcher, names, signals, reader } = self;
        loop {
            signals.heed(watcher)?;
            match watcher.next_event() {
                Ok(Some(event)) => return Ok(names.beside(event)),
                Ok(None) => signals.wait(watcher, watcher.as_fd(), PollFlags::IN, reader.as_ref())?,
                Err(error) if is_interruption(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes a line to the reader, who has it when this returns.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Ending> {
        let Self { watcher, signals, reader, .. } = self;
        let Some(mut reader) = reader.as_ref() else { return Ok(()) };
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            signals.wait(watcher, reader.as_fd(), PollFlags::OUT, Some(reader))?;
            match reader.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(Ending::unwritten(error)),
            }
        }
        Ok(())
    }
}

fn is_interruption(error: &nswatch::Error) -> bool {
    io::Error::from_raw_os_error(error.errno()).kind() == io::ErrorKind::Interrupted
}

impl Signals {
    fn catch(grace: Duration) -> io::Result<Self> {
        let (stop, on_stop) = UnixStream::pair()?;
        pipe::register(SIGINT, on_stop.try_clone()?)?;
        pipe::register(SIGTERM, on_stop)?;
        let (counters, on_counters) = UnixStream::pair()?;
        counters.set_nonblocking(true)?;
        pipe::register(SIGUSR1, on_counters)?;
        Ok(Self { stop, counters, grace, deadline: None })
    }

    /// Answers what has come, without waiting. Ends when asked to and the time of grace is over.
    fn heed(&mut self, watcher: &Watcher) -> Result<(), Ending> {
        self.poll(watcher, Vec::new(), Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Ending::Asked),
            _ => Ok(()),
        }
    }

    /// Waits until `fd` is ready, and answers what comes meanwhile. Ends when asked to while `fd` is not ready, and
    /// when the reader is gone.
    fn wait(
        &mut self,
        watcher: &Watcher,
        fd: BorrowedFd<'_>,
        ready: PollFlags,
        reader: Option<&File>,
    ) -> Result<(), Ending> {
        loop {
            let mut fds = vec![PollFd::from_borrowed_fd(fd, ready)];
            // asked for nothing, poll still tells that the other end of a pipe is closed
            fds.extend(reader.map(|reader| PollFd::new(reader, PollFlags::empty())));
            let found = self.poll(watcher, fds, None)?;
            if found[1..].iter().any(|reader| reader.intersects(PollFlags::ERR | PollFlags::HUP)) {
                return Err(Ending::NobodyReads);
            }
            if !found[0].is_empty() {
                return Ok(());
            }
            if self.deadline.is_some() {
                return Err(Ending::Asked);
            }
        }
    }

    /// One `poll(2)` of these and of the signals, which it answers. What was found, in the same order.
    fn poll(
        &mut self,
        watcher: &Watcher,
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
            // many signals at once are one question
            while self.counters.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
            output::counters(&watcher.stats());
        }
        if stop {
            self.deadline.get_or_insert_with(|| Instant::now() + self.grace);
        }
        Ok(found)
    }
}
