//! The loop of `watch` and `exec`: waits for the watchers, the signals and the reader of standard output together.
//!
//! Nothing here delays SIGTERM, not even a reader that has stopped reading.

use std::fs::File;
use std::io::{self, Write, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;

use crate::args::What;
use crate::ending::Ending;
use crate::record::Record;
use crate::signals::Signals;
use crate::watches::Watches;

#[derive(Debug)]
pub(crate) struct Session {
    watches: Watches,
    signals: Signals,
    /// Standard output, if the session ends with its reader.
    reader: Option<File>,
}

impl Session {
    /// For a command that writes lines. It still prints the events from before SIGTERM. Ends after `limit`, if there is
    /// one.
    pub(crate) fn with_reader(what: &What, dir_events: bool, limit: Option<Duration>) -> Result<Self, Ending> {
        // a File, not Stdout: a line is one write, after a check of the pipe
        let stdout = stdout().as_fd().try_clone_to_owned().map_err(|e| Ending::failed("use standard output", e))?;
        Self::new(what, dir_events, Some(stdout.into()), Duration::from_millis(100), limit)
    }

    /// For a command that runs other commands. It starts nothing after SIGTERM.
    pub(crate) fn without_reader(what: &What, dir_events: bool) -> Result<Self, Ending> {
        Self::new(what, dir_events, None, Duration::ZERO, None)
    }

    fn new(
        what: &What,
        dir_events: bool,
        reader: Option<File>,
        grace: Duration,
        limit: Option<Duration>,
    ) -> Result<Self, Ending> {
        // before the watchers: opening one may take a while in a large directory
        let signals = Signals::new(grace, limit).map_err(|error| Ending::failed("catch signals", error))?;
        Ok(Self { watches: Watches::open(what, dir_events)?, signals, reader })
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Waits for the next event.
    pub(crate) fn next(&mut self) -> Result<Record, Ending> {
        let Self { watches, signals, reader } = self;
        loop {
            signals.handle(watches)?;
            match watches.next()? {
                Some(record) if signals.is_too_late(record.event.time()) => return Err(Ending::TimeIsOver),
                Some(record) => return Ok(record),
                None => signals.wait(watches, watches.fds(), PollFlags::IN, reader.as_ref())?,
            }
        }
    }

    /// Writes a line, which has reached the pipe or file when this returns.
    pub(crate) fn write(&mut self, line: &str) -> Result<(), Ending> {
        let Self { watches, signals, reader } = self;
        let Some(mut reader) = reader.as_ref() else { return Ok(()) };
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            signals.wait(watches, std::iter::once(reader.as_fd()), PollFlags::OUT, Some(reader))?;
            match reader.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(Ending::unwritten(error)),
            }
        }
        Ok(())
    }
}
