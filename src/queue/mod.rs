//! A reader thread with a bounded queue, if the options ask for one.
//!
//! The queue is a source with a whole watcher behind it, in a thread. While there is room, it passes events on
//! unchanged. An event without room breaks the queue: from there on the thread only tracks the kernel's state, until
//! the consumer reaches the break. Then the consumer gets the number of dropped events, and the events that lead from
//! its state to that of the kernel: `Overflow`, the differences, `Synced`. So the grammar holds and memory is bounded,
//! with every policy.

mod consumer;
mod reader;
mod shared;

use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex};

use crate::error::{Doing, Result};
use crate::event::EventKind;
use crate::options::{Options, Policy};
use crate::outbox::{Counters, Outbox};
use crate::place::Place;
use crate::source::{Progress, Source};
use crate::sys::{Epoll, Process, Thread, Waker};
use crate::watcher::Watcher;
use consumer::ConsumerState;
use reader::Reader;
use shared::{Shared, State};

/// How often in a row the thread may be in another place than the caller before the caller gets the error.
const EXCUSES: u8 = 16;

#[derive(Debug)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
    policy: Policy,
    /// The state of the consumer. Kept only if the policy drops events.
    consumer: ConsumerState,
    /// The place where the watcher resolves paths, if it has any.
    place: Option<Place>,
    /// How often in a row the thread failed in another place than the caller's.
    excused: u8,
    thread: Option<Thread>,
    /// The process of the thread. A child of fork(2) has no thread to wait for, and locks that nobody will unlock.
    process: Process,
}

impl Queue {
    pub(crate) fn start(
        watcher: Watcher,
        place: Option<Place>,
        options: &Options,
        capacity: u32,
        policy: Policy,
        (epoll, out): (&Epoll, &Outbox),
    ) -> Result<Self> {
        let (wakes, process) = (watcher.pollable(), watcher.process());
        let shared = Arc::new(Shared {
            capacity: capacity as usize,
            state: Mutex::default(),
            watcher: Mutex::new(Some(watcher)),
            wakes,
            readable: Waker::new().doing("make an event descriptor")?,
            request: Waker::new().doing("make an event descriptor")?,
            turn: Condvar::new(),
            counters: Arc::clone(&out.counters),
        });
        epoll.add(shared.readable.as_fd()).doing("add an event descriptor to epoll")?;
        let reader =
            Reader { policy, shared: Arc::clone(&shared), complete: options.replay, replaying: options.replay };
        let thread = Thread::start(move || reader.run());
        Ok(Self {
            shared,
            policy,
            consumer: ConsumerState::default(),
            place,
            excused: 0,
            thread: Some(thread.doing("start a thread")?),
            process,
        })
    }

    /// Handles what follows the last event in the queue.
    fn at_the_end(&mut self, state: &mut State, out: &mut Outbox) -> Result<()> {
        if state.can_recover() {
            self.recover(state, out);
            if state.failure.is_some() || state.ended {
                self.shared.readable.wake().doing("write an event descriptor")?;
            }
            return Ok(());
        }
        if state.ended {
            return Err(state.why_ended());
        }
        let Some(failure) = state.failure.clone() else {
            self.excused = 0;
            return state.notice.take().map_or(Ok(()), Err);
        };
        if failure.is_final() {
            return Err(failure);
        }
        if !std::mem::replace(&mut state.failure_known, true) {
            // The thread shares its root with others, and may have been elsewhere when the caller was. It tries again;
            // if it stays elsewhere, the caller gets the error.
            let is_here = || self.place.as_ref().is_some_and(|place| place.check().is_ok());
            // elsewhere, /proc may be missing, too
            let is_of_place = matches!(failure.errno(), libc::EXDEV | libc::EOPNOTSUPP);
            if !is_of_place || self.excused == EXCUSES || !is_here() {
                return Err(failure);
            }
            self.excused += 1;
        }
        // the cause of the failure may be gone: the thread tries again, and wakes the consumer
        state.failure = None;
        self.shared.turn.notify_one();
        Ok(())
    }

    /// Emits the net effect of the dropped events.
    fn recover(&mut self, state: &mut State, out: &mut Outbox) {
        let loss = state.broken.take().unwrap_or_default();
        // not now: the queue may still get an event that the thread noticed earlier
        out.noticed_at(state.noticed);
        if loss.more {
            out.counters.dropped.add(loss.counted);
            out.push(EventKind::Overflow { dropped: 0 }, false);
        } else {
            out.push(EventKind::Overflow { dropped: loss.counted }, false);
        }
        let mut differences = Vec::new();
        self.consumer.lead_to(&state.truth, &mut |event| differences.push(event));
        for event in differences {
            self.consumer.add(&event);
            out.push(event, true);
        }
        out.push(EventKind::Synced, false);
    }
}

impl Source for Queue {
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        if self.policy == Policy::DropOldest && state.broken.is_some() {
            if !state.can_recover() {
                // the thread wakes the consumer when its state is complete again
                shared.readable.clear().doing("read an event descriptor")?;
                return self.at_the_end(&mut state, out).map(|()| Progress::Done);
            }
            let older = std::mem::take(&mut state.queue);
            let loss = state.broken.get_or_insert_default();
            older.iter().for_each(|event| loss.add(&event.kind));
            shared.counters.set_ahead(0);
        }
        let full = state.queue.len() >= shared.capacity;
        match state.queue.pop_front() {
            Some(event) => {
                match self.policy {
                    Policy::Block if full => shared.turn.notify_one(),
                    Policy::Block => {}
                    _ => self.consumer.add(&event.kind),
                }
                shared.counters.set_ahead(state.queue.len());
                out.forward(event);
            }
            None => {
                // frees the memory of a storm
                state.queue.shrink_to(64);
                // later events wake the consumer again
                shared.readable.clear().doing("read an event descriptor")?;
                self.at_the_end(&mut state, out)?;
            }
        }
        Ok(Progress::Done)
    }

    fn resync(&mut self, _out: &mut Outbox) -> Result<()> {
        let mut state = self.shared.state();
        if state.ended {
            return Err(state.why_ended());
        }
        state.resync = true;
        drop(state);
        self.shared.request.wake().doing("write an event descriptor")
    }

    /// The thread counts.
    fn count(&self, _counters: &Counters) {}
}

impl Drop for Queue {
    fn drop(&mut self) {
        let asked = if self.process.is_this() {
            self.shared.state().stop = true;
            self.shared.turn.notify_one();
            self.shared.request.wake().is_ok()
        } else {
            // what the thread released before the fork is dropped as usual
            if Arc::get_mut(&mut self.shared).is_none() {
                self.shared.abandon();
            }
            true
        };
        if let (Some(thread), true) = (self.thread.take(), asked) {
            thread.join();
        }
    }
}
