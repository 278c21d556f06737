//! The front: one descriptor to poll, one call for the next event.
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

/// The counters of a watcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events returned to the caller.
    pub delivered: u64,
    /// Lost events, as far as the watcher could count them.
    pub dropped: u64,
    /// `Overflow` events.
    pub overflows: u64,
    /// Completed comparisons with the kernel, including the replay at open.
    pub resyncs: u64,
    /// Events ready to be returned.
    pub queued: u64,
    /// The maximum of `queued` so far.
    pub queued_max: u64,
    /// Pending names, which exist and do not refer to a network namespace.
    pub pending: u64,
    /// Existing names, nsids or namespaces.
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

/// Watches network namespaces and emits events. Made by [`Watcher::named`], [`Watcher::nsid`] or [`Watcher::all`].
///
/// Poll the descriptor ([`AsFd`]) for readability and call [`next_event`](Self::next_event) until it returns `None`; or
/// call [`wait`](Self::wait); or iterate, which waits without limit. A watcher may move between threads. In a child of
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
    /// The place where it resolves paths, if it watches paths.
    place: Option<Place>,
    /// The symbolic links that it follows.
    links: Links,
    /// An iteration has returned the final error.
    over: bool,
    /// Guards against a child of fork(2), which would take the events of its parent.
    process: Process,
}

/// Keeps the descriptor readable while there is work that the kernel's own descriptors do not show.
#[derive(Debug)]
struct Readable {
    waker: Waker,
    awake: bool,
}

impl Readable {
    fn wake(&mut self) -> Result<()> {
        if self.awake { Ok(()) } else { self.wake_again() }
    }

    /// Makes a new edge, for edge-triggered consumers that have just got `None`.
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
    /// The descriptor of [`AsFd`], to keep.
    pub(crate) fn pollable(&self) -> Arc<Epoll> {
        Arc::clone(&self.epoll)
    }

    /// The process that opened it.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// The counters, which any thread may read.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.out.counters)
    }

    fn check_process(&self) -> Result<()> {
        if self.process.is_this() { Ok(()) } else { Err(not_this_process()) }
    }

    /// `epoll` contains the descriptors of the source, `out` the events from opening it. `place` is where the watcher
    /// resolves paths, if it watches paths; `links` are the links that it follows.
    pub(crate) fn new(
        source: Box<dyn Source>,
        out: Outbox,
        epoll: Arc<Epoll>,
        place: Option<Place>,
        links: Links,
    ) -> Result<Self> {
        let waker = Waker::new().doing("make an event descriptor")?;
        epoll.add(waker.as_fd()).doing("add an event descriptor to epoll")?;
        let mut readable = Readable { waker, awake: false };
        let process = Process::this().doing("map memory")?;
        source.count(&out.counters);
        let unfinished = source.unfinished();
        if !out.is_empty() || unfinished {
            readable.wake()?;
        }
        Ok(Self { source, out, unfinished, readable, epoll, place, links, over: false, process })
    }

    /// Takes the next event, or `None` if there is none now. Never blocks.
    ///
    /// The work of one call is bounded: one kernel queue and one comparison of the names with the directory.
    ///
    /// # Errors
    /// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`: a limit prevented the watcher from probing. Nothing is lost: the
    ///   descriptor stays readable, and the next call continues where this one stopped.
    /// - `ENOBUFS`, `EAGAIN`: a watcher of nsids: the kernel had no memory or the socket no room for an answer, or
    ///   changes kept interrupting the answer. Nothing is lost, as above.
    /// - `EPERM`, `ENOSYS`, `EACCES`: a seccomp filter, a security policy or a lost privilege refuses a system call
    ///   that has no fallback; `EACCES` also: the process has given up the right to reach the directory. Nothing is
    ///   lost, as above.
    /// - `EXDEV`: the call must resolve paths, and the calling thread has another root directory or mount namespace
    ///   than the thread that opened the watcher. Nothing is lost: the next call from the original place continues.
    /// - `E2BIG`: the directory has more names than [`Options::max_names`](crate::Options::max_names). One call returns
    ///   this each time that the number crosses the limit, after the events of the names that fit; the descriptor is
    ///   not readable because of it.
    /// - `ENOENT`: the directory is gone, and [`Options::parent`](crate::Options::parent) is off.
    /// - `ECHILD`: this is a child of fork(2), and the watcher belongs to its parent.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        self.check_process()?;
        self.take_event()
    }

    /// As [`next_event`](Self::next_event), for a caller that has checked the process.
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
        // events from before a failure come first; the failure recurs while its cause persists
        match (self.out.pop(), failure) {
            (None, Some(error)) => Err(error),
            (event, _) => Ok(event),
        }
    }

    /// Waits for the next event. A `timeout` of `None` waits without limit. Returns `None` when the time is over.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event); and `EINTR`: a signal handler ran.
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

    /// As [`wait`](Self::wait), for a caller that has checked the process. `poll` waits for the descriptor, with no
    /// operation in progress.
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
            // probes at least once, and no longer than `timeout`, however many wake-ups yield no event
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            if !poll(self.epoll.as_fd(), left).doing("wait for an event")? {
                return Ok(None);
            }
        }
    }

    /// Compares the events so far with the kernel's state. The differences follow as replayed events, then
    /// [`crate::EventKind::Synced`].
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event). Events emitted before the error stay valid.
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
        // after an error, wakes the consumer: the next call completes the resync
        self.unfinished |= done.is_err() || self.source.unfinished();
        if self.unfinished || !self.out.is_empty() {
            self.readable.wake()?;
        }
        done
    }

    /// Opens exactly the namespace of a [`Ready`](EventKind::Ready) or [`NetnsNew`](EventKind::NetnsNew), by the path
    /// of the event. If that fails for a `NetnsNew`, uses its cookie (Linux 6.18, `CAP_SYS_ADMIN`) and then the mounts.
    /// Follows the links that the watcher follows ([`Options::symlinks`](crate::Options::symlinks)).
    ///
    /// # Errors
    /// - `ENOENT`: the path no longer leads to a network namespace.
    /// - `ESTALE`: the namespace is gone: it has died, or another one has taken its place at the path.
    /// - `EINVAL`: the event is of another type.
    /// - `EPERM`, `EOPNOTSUPP`: a `NetnsNew` has no path, and its cookie is not usable here.
    /// - `EXDEV`: the calling thread has another root directory or mount namespace than the thread that opened the
    ///   watcher.
    /// - `ECHILD`: this is a child of fork(2), and the watcher belongs to its parent.
    /// - Otherwise as `open(2)`.
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
    ///             // gone or replaced: an event follows
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
        // a successful open is the right namespace wherever the path leads; a failure concerns one place only
        let opened = match event.dir.as_deref().zip(event.name()).zip(path.as_ref()) {
            Some(((dir, name), path)) if !self.links.are_followed() => netns.open_in(dir, name.as_c_str(), path),
            _ => netns.open(path.as_deref()),
        };
        let opened = opened.or_else(|error| match event.kind() {
            // its process may have left, and a name may have appeared
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

/// Opens a namespace by one of its mounts; `None`: no mount is in sight.
fn open_mounted(netns: &Netns) -> Result<Option<OwnedFd>> {
    let mounts = census::mounts().doing("look for the network namespace among the mounts")?;
    let found = mounts.into_iter().filter(|(ino, _)| *ino == netns.ino());
    Ok(found.map(|(_, path)| netns.open(Some(&path))).find_map(Result::ok))
}

/// The error of a call on the parent's watcher in a child of fork(2).
pub(crate) fn not_this_process() -> Error {
    Error::new(libc::ECHILD, "use a watcher of the parent process")
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // omits the source: its contents do not help a reader, and the code would be in every program
        f.debug_struct("Watcher").field("fd", &self.as_raw_fd()).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl AsFd for Watcher {
    /// Level-triggered: readable as long as there is an event to take. Poll it only; never read or close it.
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

    /// Waits for the next event, without limit. Ends after a [final error](Error::is_final).
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
