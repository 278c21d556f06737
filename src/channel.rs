//! A watcher at the far end of a channel, for programs that wait for channels.
//!
//! A thread takes one event at a time from the watcher and puts it into the channel when there is room, which is for
//! one. So there is no queue here, and no policy: those are the kernel's, and of queue/ if the options ask for it. The
//! thread never holds an event for which there is no room, and so never has to give one up but for the one in the
//! channel when the channel is dropped.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use crate::error::{Doing, Error, Result};
use crate::event::Event;
use crate::outbox::Counters;
use crate::sys::{self, Epoll, Process, Thread, Waker};
use crate::watcher::{Stats, Watcher, not_this_process};

/// A watcher whose events come out of a [`crossbeam_channel`], to be waited for beside other channels. Made by
/// [`Watcher::into_channel`].
///
/// Use it where a program of threads already has a loop of [`select!`](crossbeam_channel::select). Elsewhere it has
/// nothing that a [`Watcher`] has not, and it costs a thread: after that `unshare(CLONE_NEWUSER)` fails in this process,
/// as does `setns` to a user or mount namespace. In a child of `fork(2)` its calls fail with `ECHILD`, and
/// dropping it there frees nothing.
///
/// The channel has room for one event: nothing is told that waits long to be taken. What happens meanwhile is queued
/// where it is always queued: in the kernel, or in the queue of [`Options::queue`](crate::Options::queue), by its
/// policy. (That takes a second thread.) Each event is a change of threads: some ten thousand events a second come
/// through, a quarter of what a [`Watcher`] tells.
///
/// Errors come through the channel too. One [that is final](Error::is_final) is the last thing that does; then the
/// channel is disconnected. After another the thread goes on where it stopped, once the error has been taken.
///
/// Dropping it ends the thread, whatever it is doing, waits for it, and closes the watcher. Receivers that were cloned
/// are then disconnected.
///
/// # Examples
/// ```
/// use nswatch::crossbeam_channel::{never, select};
/// use nswatch::{EventKind, Options, Watcher};
///
/// let events = Watcher::named(&Options::new().dir("/run/nowhere")?)?.into_channel()?;
/// let work = never::<u32>(); // the channel of something else
/// loop {
///     select! {
///         recv(events.receiver()) -> event => match event {
///             Ok(event) => {
///                 let event = event?;
///                 println!("{event}");
///                 if *event.kind() == EventKind::Synced {
///                     break;
///                 }
///             }
///             Err(disconnected) => break,
///         },
///         recv(work) -> work => println!("{work:?}"),
///     }
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
#[derive(Debug)]
pub struct EventChannel {
    events: Receiver<Result<Event>>,
    watcher: Arc<Mutex<Watcher>>,
    stop: Arc<Waker>,
    /// Dropped to end the thread while it waits for room.
    running: Option<Sender<()>>,
    thread: Option<Thread>,
    /// Where the thread lives: a child of fork(2) has none to wait for, and locks that nobody will open.
    process: Process,
    counters: Arc<Counters>,
}

impl Watcher {
    /// Starts a thread that hands the events over by a channel: see [`EventChannel`] for what that is good for, and
    /// what it costs.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`: a limit was reached. `EAGAIN`: one thread too many (`RLIMIT_NPROC`).
    pub fn into_channel(self) -> Result<EventChannel> {
        let (readable, process, counters) = (self.pollable(), self.process(), self.counters());
        let stop = Arc::new(Waker::new().doing("make an event descriptor")?);
        let watcher = Arc::new(Mutex::new(self));
        let (sender, events) = bounded(1);
        let (running, stopped) = bounded(0);
        let feeder =
            Feeder { watcher: Arc::clone(&watcher), readable, events: sender, stopped, stop: Arc::clone(&stop) };
        let thread = Thread::start(move || feeder.run());
        Ok(EventChannel {
            events,
            watcher,
            stop,
            running: Some(running),
            thread: Some(thread.doing("start a thread")?),
            process,
            counters,
        })
    }
}

impl EventChannel {
    /// The end of the channel that events come out of. Clones of it share the events among them.
    pub fn receiver(&self) -> &Receiver<Result<Event>> {
        &self.events
    }

    /// As [`Watcher::resync`]. What it finds comes through the channel.
    ///
    /// # Errors
    /// As [`Watcher::resync`]; and `ENOTRECOVERABLE`: the thread has panicked.
    pub fn resync(&self) -> Result<()> {
        self.check_process()?;
        self.watcher.lock().map_err(|_| panicked())?.resync()
    }

    /// As [`Watcher::open_netns`].
    ///
    /// # Errors
    /// As [`Watcher::open_netns`].
    pub fn open_netns(&self, ready: &Event) -> Result<OwnedFd> {
        self.check_process()?;
        whole(&self.watcher).open_netns(ready)
    }

    fn check_process(&self) -> Result<()> {
        if self.process.is_this() { Ok(()) } else { Err(not_this_process()) }
    }

    /// The counters. An event is delivered, for them, when it goes into the channel.
    pub fn stats(&self) -> Stats {
        Stats::from(&*self.counters)
    }
}

/// What a panic left is good enough to be looked at.
fn whole(watcher: &Mutex<Watcher>) -> MutexGuard<'_, Watcher> {
    watcher.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panicked() -> Error {
    Error::new(libc::ENOTRECOVERABLE, "go on without the thread of the channel").last()
}

impl Drop for EventChannel {
    fn drop(&mut self) {
        if !self.process.is_this() {
            // to let go of the last receiver takes a lock, too
            std::mem::forget((self.thread.take(), self.running.take(), self.events.clone()));
            return;
        }
        self.running = None;
        let asked = self.stop.wake();
        if let (Some(thread), Ok(())) = (self.thread.take(), asked) {
            thread.join();
        }
    }
}

/// The side of the thread.
struct Feeder {
    watcher: Arc<Mutex<Watcher>>,
    /// The watcher's descriptor, which is waited for without the lock.
    readable: Arc<Epoll>,
    events: Sender<Result<Event>>,
    /// Disconnected when the channel is dropped.
    stopped: Receiver<()>,
    /// Wakes the thread when the channel is dropped.
    stop: Arc<Waker>,
}

impl Feeder {
    fn run(self) {
        // nobody else sends, so there is room until something is sent
        while self.wait_for_room() {
            // in a statement of its own: the lock is not held while anything is waited for
            let next = whole(&self.watcher).next_event();
            let item = match next {
                Ok(Some(event)) => Ok(event),
                Err(error) => Err(error),
                Ok(None) => match self.wait_for_event() {
                    Ok(()) => continue,
                    Err(error) => Err(error.last()),
                },
            };
            let last = item.as_ref().is_err_and(Error::is_final);
            if self.events.try_send(item).is_err() || last {
                return;
            }
        }
    }

    /// Waits for the watcher, or for the channel to be dropped.
    fn wait_for_event(&self) -> Result<()> {
        sys::poll_readable_either(self.readable.as_fd(), self.stop.as_fd()).doing("wait for an event")
    }

    /// `false` when it is time to end.
    fn wait_for_room(&self) -> bool {
        let mut select = Select::new();
        select.send(&self.events);
        let stopped = select.recv(&self.stopped);
        select.ready() != stopped
    }
}

impl Drop for Feeder {
    /// After a panic the consumer must not take the end of the channel for the end of the watch.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // it panicked for something to put into the channel, so there is room
            self.events.try_send(Err(panicked())).ok();
        }
    }
}
