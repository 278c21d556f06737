//! Runs commands, one at a time, even if this process was started with signals ignored or blocked.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::ending::Ending;
use crate::signals;

/// The time from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Commands {
    /// Readable after a child has ended. Catching SIGCHLD also makes the kernel keep exit statuses, which it discards
    /// while the signal is ignored.
    ended: UnixStream,
    /// The signal mask at the start of this process, for commands.
    blocked: SigSet,
    timeout: Option<Duration>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    /// It exceeded the time limit and got a signal.
    pub(crate) late: bool,
}

impl Commands {
    /// Call this before unblocking any signal.
    pub(crate) fn new(timeout: Option<Duration>) -> Result<Self, Ending> {
        let new = || {
            let blocked = SigSet::thread_get_mask()?;
            Ok(Self { ended: signals::catch(&[Signal::SIGCHLD])?, blocked, timeout })
        };
        new().map_err(|error| Ending::failed("catch signals", error))
    }

    pub(crate) fn start(&self, command: &mut Command) -> io::Result<Child> {
        if self.timeout.is_some() {
            // so that its children end with it
            command.process_group(0);
        }
        // the caught signals are at their default in a child, but the mask is inherited
        let own = SigSet::thread_get_mask()?;
        self.blocked.thread_set_mask()?;
        let started = command.spawn();
        own.thread_set_mask()?;
        started
    }

    /// Waits for the command, and stops it after the time limit.
    pub(crate) fn wait(&self, child: &mut Child) -> io::Result<Outcome> {
        let limits = self.timeout.map(|timeout| [(timeout, Signal::SIGTERM), (GRACE, Signal::SIGKILL)]);
        let mut late = false;
        for (limit, signal) in limits.into_iter().flatten() {
            if let Some(status) = self.wait_for(child, limit)? {
                return Ok(Outcome { status, late });
            }
            late = true;
            // not reaped yet: the number is still that of its group
            killpg(Pid::from_raw(child.id() as i32), signal)?;
        }
        Ok(Outcome { status: child.wait()?, late })
    }

    /// `None`: still running after the time limit.
    fn wait_for(&self, child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            signals::clear(&self.ended);
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.ended, PollFlags::IN)], Some(&left)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
