//! The front: one descriptor to poll, one call to ask for the next event.
//!
//! The watcher owns a source and an outbox and keeps the one promise that neither can: its descriptor polls readable
//! while there is an event to return. It knows the trait only, not what its source listens to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::census;
use crate::error::{Doing, Error, Result};
use crate::event::{Event, EventKind};
use crate::netns::Netns;
use crate::outbox::{Counters, Outbox};
use crate::place::Place;
use crate::source::{Progress, Source};
use crate::sys::{self, Epoll, Process, Waker};
use crate::walk::Links;

/// What a watcher has counted since it was opened, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events handed out.
    pub delivered: u64,
    /// Events known to be lost, as far as the loss could be counted.
    pub dropped: u64,
    /// `Overflow` events.
    pub overflows: u64,
    /// Completed comparisons with the kernel, the replay at open among them.
    pub resyncs: u64,
    /// Events waiting to be handed out.
    pub queued: u64,
    /// The most that ever waited.
    pub queued_max: u64,
    /// Names that do not refer to a network namespace.
    pub pending: u64,
    /// Names, or ids, that exist.
    pub known: u64,
}

impl From<&Counters> for Stats {
    fn from(counters: &Counters) -> Self {
        Self {
            delivered: counters.delivered.get(),
            dropped: counters.dropped.get(),
            overflows: counters.overflows.get(),
            resyncs: counters.resyncs.get(),
            queued: counters.waiting.get() + counters.ahead.get(),
            queued_max: counters.most_waiting.get().max(counters.most_ahead.get()),
            pending: counters.pending.get(),
            known: counters.known.get(),
        }
    }
}

/// Tells what happens to network namespaces. Made by [`Watcher::named`], [`Watcher::nsid`] or [`Watcher::all`].
///
/// Poll the descriptor ([`AsFd`]) for readability and call [`next_event`](Self::next_event) until it answers `None`;
/// or call [`wait`](Self::wait); or iterate, which waits for ever. A watcher may move between threads. In a child of
/// `fork(2)` its calls fail with `ECHILD`, and dropping it leaves the watcher of the parent alone.
///
/// In an event loop:
///
/// ```
/// use std::os::fd::AsRawFd;
///
/// use nswatch::{Options, Watcher};
///
/// let mut watcher = Watcher::named(&Options::new().dir("/run/nowhere")?)?;
/// let mut poll = libc::pollfd { fd: watcher.as_raw_fd(), events: libc::POLLIN, revents: 0 };
/// # // SAFETY: one entry is passed and counted as one.
/// while unsafe { libc::poll(&mut poll, 1, 0) } == 1 {
///     while let Some(event) = watcher.next_event()? {
///         println!("{event}");
///     }
/// }
/// # assert_eq!(watcher.stats().delivered, 1);
/// # Ok::<(), nswatch::Error>(())
/// ```
pub struct Watcher {
    source: Box<dyn Source>,
    out: Outbox,
    /// The source has work left that none of its descriptors shows.
    unfinished: bool,
    readable: Readable,
    epoll: Arc<Epoll>,
    /// Where the paths of its events lead, if it watches paths.
    place: Option<Place>,
    /// Which links in them are followed.
    links: Links,
    /// An iteration has returned the error that is the end.
    over: bool,
    /// A child of fork(2) would take the events of its parent.
    process: Process,
}

/// Keeps the descriptor readable while there is something that the kernel's own descriptors do not show.
#[derive(Debug)]
struct Readable {
    waker: Waker,
    awake: bool,
}

impl Readable {
    fn wake(&mut self) -> Result<()> {
        if self.awake { Ok(()) } else { self.wake_again() }
    }

    /// A new edge for those who poll for edges and got `None` just now.
    fn wake_again(&mut self) -> Result<()> {
        self.waker.wake().doing("mark the watcher as readable")?;
        self.awake = true;
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        if self.awake {
            self.waker.clear().doing("mark the watcher as read")?;
            self.awake = false;
        }
        Ok(())
    }
}

impl Watcher {
    /// What [`AsFd`] lends, to be kept.
    pub(crate) fn pollable(&self) -> Arc<Epoll> {
        Arc::clone(&self.epoll)
    }

    /// The process that it works in.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// What it counts, for any thread to read.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.out.counters)
    }

    fn check_process(&self) -> Result<()> {
        if self.process.is_this() { Ok(()) } else { Err(not_this_process()) }
    }

    /// `epoll` has the descriptors of the source in it, `out` what opening the source found; `place` is where the paths
    /// of its events lead, if it watches paths, and `links` which links in them are followed.
    pub(crate) fn new(
        source: Box<dyn Source>,
        out: Outbox,
        epoll: Arc<Epoll>,
        place: Option<Place>,
        links: Links,
    ) -> Result<Self> {
        let waker = Waker::new().doing("make an event descriptor")?;
        epoll.add(waker.as_fd()).doing("listen to an event descriptor")?;
        let mut readable = Readable { waker, awake: false };
        let process = Process::this().doing("map memory")?;
        source.count(&out.counters);
        let unfinished = source.unfinished();
        if !out.is_empty() || unfinished {
            readable.wake()?;
        }
        Ok(Self { source, out, unfinished, readable, epoll, place, links, over: false, process })
    }

    /// The next event, or `None` if there is none now. Never blocks.
    ///
    /// The work of one call is bounded by one kernel queue and one comparison of the names with the directory.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`: a limit kept the watcher from looking. Nothing is lost: the
    /// descriptor stays readable, and the next call goes on where this one stopped.
    /// `ENOBUFS`, `EAGAIN`: a watcher of ids, and the kernel had no memory or room for an answer, or was interrupted time
    /// and again. Nothing is lost, as above.
    /// `EPERM`, `ENOSYS`, `EACCES`: a seccomp filter, a security policy or a lost privilege refuses a system call that has
    /// no fallback; `EACCES` also: the process has given up the right to reach the directory. Nothing is lost, as above.
    /// `EXDEV`: the call has to look at paths, and the calling thread has another root directory or mount namespace than
    /// the one that opened the watcher. Nothing is lost here either: the next call from the right place goes on.
    /// `E2BIG`: the directory has more names than [`Options::max_names`](crate::Options::max_names). One call returns it each
    /// time that the limit is crossed, after the events of the names that there is room for; the descriptor is not readable
    /// because of it.
    /// `ENOENT`: the directory is gone and [`Options::parent`](crate::Options::parent) was switched off.
    /// `ECHILD`: this is a child of fork(2), and the watcher that of its parent.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        self.check_process()?;
        self.take_event()
    }

    /// As [`next_event`](Self::next_event), for a caller who has checked the process.
    pub(crate) fn take_event(&mut self) -> Result<Option<Event>> {
        let mut failure = None;
        if self.out.is_empty() {
            let progress = self.source.drain(&mut self.out);
            self.source.count(&self.out.counters);
            self.unfinished = match &progress {
                Ok(progress) => *progress == Progress::More,
                Err(error) => !error.is_settled(),
            };
            failure = progress.err();
        }
        match (self.out.len(), self.unfinished) {
            (0, true) => self.readable.wake_again()?,
            (0 | 1, false) => self.readable.clear()?,
            _ => self.readable.wake()?,
        }
        // what was learned before a failure comes before the failure, which comes again if it still stands
        match (self.out.pop(), failure) {
            (None, Some(error)) => Err(error),
            (event, _) => Ok(event),
        }
    }

    /// Waits for the next event; `None` in `timeout` is for ever, `None` in the result means that the time is over.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event); and `EINTR`: a signal came.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use nswatch::{Options, Watcher};
    ///
    /// let mut watcher = Watcher::named(&Options::new().dir("/run/nowhere")?.replay(false))?;
    /// assert_eq!(watcher.wait(Some(Duration::from_millis(1)))?, None);
    /// # Ok::<(), nswatch::Error>(())
    /// ```
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Event>> {
        self.check_process()?;
        self.wait_by(timeout, &sys::poll_readable)
    }

    /// As [`wait`](Self::wait), for a caller who has checked the process. `poll` waits for the descriptor, and nothing is
    /// half done when it is called.
    pub(crate) fn wait_by(
        &mut self,
        timeout: Option<Duration>,
        poll: &dyn Fn(BorrowedFd<'_>, Option<Duration>) -> io::Result<bool>,
    ) -> Result<Option<Event>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(event) = self.take_event()? {
                return Ok(Some(event));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // asked for at least once, and no longer than was said, however much there is that tells nothing
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            if !poll(self.epoll.as_fd(), left).doing("wait for an event")? {
                return Ok(None);
            }
        }
    }

    /// Compares with the kernel now; the differences follow as replayed events, then [`crate::EventKind::Synced`].
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event); the events told so far stay true.
    ///
    /// ```
    /// use nswatch::{EventKind, Options, Watcher};
    ///
    /// let mut watcher = Watcher::named(&Options::new().dir("/run/nowhere")?.replay(false))?;
    /// assert_eq!(watcher.next_event()?, None);
    /// watcher.resync()?;
    /// assert_eq!(*watcher.next_event()?.unwrap().kind(), EventKind::Synced);
    /// # Ok::<(), nswatch::Error>(())
    /// ```
    pub fn resync(&mut self) -> Result<()> {
        self.check_process()?;
        let done = self.source.resync(&mut self.out);
        self.source.count(&self.out.counters);
        // the next call does what an error kept from being done: the consumer must be woken to make it
        self.unfinished |= done.is_err() || self.source.unfinished();
        if self.unfinished || !self.out.is_empty() {
            self.readable.wake()?;
        }
        done
    }

    /// Opens the very namespace that a [`Ready`](EventKind::Ready) or a [`NetnsNew`](EventKind::NetnsNew) announced, by the
    /// path of the event; where that fails for a `NetnsNew`, by its cookie (Linux 6.18, `CAP_SYS_ADMIN`). Follows the links
    /// that the watcher follows ([`Options::symlinks`](crate::Options::symlinks)).
    ///
    /// # Errors
    /// `ENOENT`: it is gone from this path. `ESTALE`: the path leads to another namespace by now. `EINVAL`: the
    /// event is neither. `EPERM`, `EOPNOTSUPP`: a `NetnsNew` has no path, and its cookie cannot be used here. `EXDEV`: the
    /// calling thread has another root directory or mount namespace than the one that opened the watcher. `ECHILD`: this is
    /// a child of fork(2), and the watcher that of its parent. Otherwise as `open(2)`.
    ///
    /// ```no_run
    /// use std::os::fd::AsRawFd;
    ///
    /// use nswatch::{EventKind, Options, Watcher};
    ///
    /// let mut watcher = Watcher::named(&Options::new())?;
    /// while let Some(event) = watcher.wait(None)? {
    ///     if let EventKind::Ready(name, _) = event.kind() {
    ///         match watcher.open_netns(&event) {
    ///             Ok(namespace) => println!("{name} is descriptor {}", namespace.as_raw_fd()),
    ///             // it is gone or replaced already, and the next event says so
    ///             Err(error) if [libc::ENOENT, libc::ESTALE].contains(&error.errno()) => {}
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    /// # Ok::<(), nswatch::Error>(())
    /// ```
    pub fn open_netns(&self, event: &Event) -> Result<OwnedFd> {
        self.check_process()?;
        let (EventKind::Ready(_, netns) | EventKind::NetnsNew { netns, .. }) = event.kind() else {
            return Err(Error::invalid("open the network namespace", "the event announces none"));
        };
        let check = || self.place.as_ref().map_or(Ok(()), Place::check);
        check()?;
        let path = event.path();
        // what was opened is the announced one, wherever the path leads; a failure says something about one place only
        let opened = match event.dir.as_deref().zip(event.name()).zip(path.as_ref()) {
            Some(((dir, name), path)) if !self.links.are_followed() => netns.open_in(dir, name.as_c_str(), path),
            _ => netns.open(path.as_deref()),
        };
        let opened = opened.or_else(|error| match event.kind() {
            // who was in it may have left, and a name have come
            EventKind::NetnsNew { .. } => netns.open(None).or_else(|_| open_mounted(netns)?.ok_or(error)),
            _ => Err(error),
        });
        opened.or_else(|error| check().and(Err(error)))
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats::from(&*self.out.counters)
    }
}

/// Opens a namespace where it is mounted; `None`: nowhere within reach.
fn open_mounted(netns: &Netns) -> Result<Option<OwnedFd>> {
    let mounts = census::mounts().doing("look for the network namespace among the mounts")?;
    let found = mounts.into_iter().filter(|(ino, _)| *ino == netns.ino());
    Ok(found.map(|(_, path)| netns.open(Some(&path))).find_map(Result::ok))
}

/// The error of a call on a watcher in a child of fork(2).
pub(crate) fn not_this_process() -> Error {
    Error::new(libc::ECHILD, "use a watcher of the parent process")
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // what the source holds is of no use to a reader, and code for it would be in every program
        f.debug_struct("Watcher").field("fd", &self.as_raw_fd()).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl AsFd for Watcher {
    /// Level-triggered: readable while there is an event to be had. To be polled only; never read or close it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.epoll.as_fd().as_raw_fd()
    }
}

impl Iterator for Watcher {
    type Item = Result<Event>;

    /// Waits for ever for the next event. Ends only where no further event can come, after the
    /// [error](Error::is_final) that says so.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.wait(None) {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) => {}
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) => {
                    self.over = error.is_final();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
