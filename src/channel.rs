//! A watcher behind a channel, for programs that wait for channels.
//!
//! A thread takes the pending events from the watcher and puts them, as one batch, into the channel, which has room for
//! one. So there is no queue and no policy here: those belong to the kernel, and to queue/ if the options ask for it. The
//! thread takes events only when there is room, so dropping the channel loses at most the batch in the channel.

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
/// Use it in a program of threads that has a loop of crossbeam's `select!`. Otherwise use a
/// [`Watcher`], which costs no thread: with a second thread in the process, `unshare(CLONE_NEWUSER)` fails, as does
/// `setns` to a user or mount namespace. In a child of `fork(2)` its calls fail with `ECHILD`, and dropping it there
/// frees nothing.
///
/// Each item is a batch: the events that were pending when the channel had room, at least one and at most 256. So a slow
/// consumer gets few switches of threads and many events in each. The channel has room for one batch: an event waits in
/// it for as long as you handle the batch before. Later events wait in the kernel, or in the queue of
/// [`Options::queue`](crate::Options::queue) with its policy (and a second thread).
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
///         recv(events.receiver()) -> batch => {
///             let Ok(batch) = batch else { break }; // disconnected
///             let batch = batch?;
///             batch.iter().for_each(|event| println!("{event}"));
///             if batch.iter().any(|event| *event.kind() == EventKind::Synced) {
///                 break;
///             }
///         }
///         recv(work) -> work => println!("{work:?}"),
///     }
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
#[derive(Debug)]
pub struct EventChannel {
    batches: Receiver<Result<Vec<Event>>>,
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
        let (sender, batches) = bounded(1);
        let (running, stopped) = bounded(0);
        let feeder = Feeder {
            watcher: Arc::clone(&watcher),
            readable,
            batches: sender,
            failure: None,
            stopped,
            stop: Arc::clone(&stop),
        };
        let thread = Thread::start(move || feeder.run());
        Ok(EventChannel {
            batches,
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
    /// The receiving end of the channel. No batch is empty. Clones of it share the batches.
    pub fn receiver(&self) -> &Receiver<Result<Vec<Event>>> {
        &self.batches
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
            std::mem::forget((self.thread.take(), self.running.take(), self.batches.clone()));
            return;
        }
        self.running = None;
        let asked = self.stop.wake();
        if let (Some(thread), Ok(())) = (self.thread.take(), asked) {
            thread.join();
        }
    }
}

/// The most events in a batch: then a switch of threads costs little beside them, and the consumer sees other channels.
const BATCH: usize = 256;

/// The thread's side.
struct Feeder {
    watcher: Arc<Mutex<Watcher>>,
    /// The watcher's descriptor, for waiting without the lock.
    readable: Arc<Epoll>,
    batches: Sender<Result<Vec<Event>>>,
    /// An error that came after the events of a batch: the next item.
    failure: Option<Error>,
    /// Disconnected when the channel is dropped.
    stopped: Receiver<()>,
    /// Wakes the thread when the channel is dropped.
    stop: Arc<Waker>,
}

impl Feeder {
    fn run(mut self) {
        // this is the only sender, so there is room until it sends
        while self.wait_for_room() {
            let item = match self.next_batch() {
                Ok(batch) if batch.is_empty() => match self.wait_for_event() {
                    Ok(()) => continue,
                    Err(error) => Err(error.last()),
                },
                item => item,
            };
            let last = item.as_ref().is_err_and(Error::is_final);
            if self.batches.try_send(item).is_err() || last {
                return;
            }
        }
    }

    /// The pending events, without waiting.
    fn next_batch(&mut self) -> Result<Vec<Event>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let mut batch = Vec::new();
        let mut watcher = whole(&self.watcher);
        while batch.len() < BATCH {
            match watcher.next_event() {
                Ok(Some(event)) => batch.push(event),
                Ok(None) => break,
                Err(error) if batch.is_empty() => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        Ok(batch)
    }

    /// Waits for the watcher, or for the channel to be dropped.
    fn wait_for_event(&self) -> Result<()> {
        sys::poll_readable_either(self.readable.as_fd(), self.stop.as_fd()).doing("wait for an event")
    }

    /// `false`: stop.
    fn wait_for_room(&self) -> bool {
        let mut select = Select::new();
        select.send(&self.batches);
        let stopped = select.recv(&self.stopped);
        select.ready() != stopped
    }
}

impl Drop for Feeder {
    /// Sends an error after a panic, so that the consumer does not take the disconnection for the end of the watch.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // it panicked while making something for the channel, so there is room
            self.batches.try_send(Err(panicked())).ok();
        }
    }
}
