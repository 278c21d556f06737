//! A watcher behind a channel, for programs that wait for channels.
//!
//! A thread takes one event at a time from the watcher and puts it into the channel, which has room for one. So there
//! is no queue and no policy here: those belong to the kernel, and to queue/ if the options ask for it. The thread
//! takes an event only when there is room for it, so dropping the channel loses at most the event in the channel.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use crate::error::{Doing, Error, Result};
use crate::event::Event;
use crate::outbox::Counters;
use crate::sys::{self, Epoll, Process, Thread, Waker};
use crate::watcher::{Stats, Watcher, not_this_process};

/// A watcher whose events come through a [`crossbeam_channel`], next to other channels. Made by
/// [`Watcher::into_channel`].
///
/// Use it in a program of threads that has a loop of [`select!`](crossbeam_channel::select). Otherwise use a
/// [`Watcher`], which costs no thread: with a second thread in the process, `unshare(CLONE_NEWUSER)` fails, as does
/// `setns` to a user or mount namespace. In a child of `fork(2)` its calls fail with `ECHILD`, and dropping it there
/// frees nothing.
///
/// The channel has room for one event, so events that you receive are never stale. Later events wait in the kernel, or
/// in the queue of [`Options::queue`](crate::Options::queue) with its policy (and a second thread). Each event is a
/// switch of threads: some ten thousand events a second pass, a quarter of what a [`Watcher`] emits.
///
/// Errors come through the channel too. After a [final error](Error::is_final) the channel is disconnected. After
/// another error the thread continues where it stopped, once you have taken the error.
///
/// Dropping it stops the thread, waits for it, and closes the watcher. Cloned receivers are then disconnected.
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
    /// Dropped to stop the thread while it waits for room.
    running: Option<Sender<()>>,
    thread: Option<Thread>,
    /// The process of the thread. A child of fork(2) has no thread to wait for, and locks that nobody will unlock.
    process: Process,
    counters: Arc<Counters>,
}

impl Watcher {
    /// Starts a thread that sends the events through a channel: see [`EventChannel`] for when to use it, and its cost.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`: a limit is reached. `EAGAIN`: `RLIMIT_NPROC` prevents starting the thread.
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
    /// The receiving end of the channel. Clones of it share the events.
    pub fn receiver(&self) -> &Receiver<Result<Event>> {
        &self.events
    }

    /// As [`Watcher::resync`]. The differences come through the channel.
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

    /// The counters. An event counts as delivered when it enters the channel.
    pub fn stats(&self) -> Stats {
        Stats::from(&*self.counters)
    }
}

/// The watcher, even after a panic: its counters are still readable.
fn whole(watcher: &Mutex<Watcher>) -> MutexGuard<'_, Watcher> {
    watcher.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panicked() -> Error {
    Error::new(libc::ENOTRECOVERABLE, "continue without the thread of the channel").last()
}

impl Drop for EventChannel {
    fn drop(&mut self) {
        if !self.process.is_this() {
            // dropping the last receiver takes a lock, too
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

/// The thread's side.
struct Feeder {
    watcher: Arc<Mutex<Watcher>>,
    /// The watcher's descriptor, for waiting without the lock.
    readable: Arc<Epoll>,
    events: Sender<Result<Event>>,
    /// Disconnected when the channel is dropped.
    stopped: Receiver<()>,
    /// Wakes the thread when the channel is dropped.
    stop: Arc<Waker>,
}

impl Feeder {
    fn run(self) {
        // this is the only sender, so there is room until it sends
        while self.wait_for_room() {
            // a statement of its own, so that the lock is released before waiting
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

    /// `false`: stop.
    fn wait_for_room(&self) -> bool {
        let mut select = Select::new();
        select.send(&self.events);
        let stopped = select.recv(&self.stopped);
        select.ready() != stopped
    }
}

impl Drop for Feeder {
    /// Sends an error after a panic, so that the consumer does not take the disconnection for the end of the watch.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // it panicked while making something for the channel, so there is room
            self.events.try_send(Err(panicked())).ok();
        }
    }
}
