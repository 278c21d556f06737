//! The thread's side: reads a watcher, and queues its events.

use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};

use super::shared::{Shared, State};
use crate::error::{Doing, Error};
use crate::event::{Event, EventKind};
use crate::options::Policy;
use crate::sys;

pub(super) struct Reader {
    pub(super) policy: Policy,
    pub(super) shared: Arc<Shared>,
    /// Everything that exists has been or will be reported. Not so without a replay, until a resync.
    pub(super) complete: bool,
    /// Within a replay: at open, of a resync, or after an overflow.
    pub(super) replaying: bool,
}

impl Reader {
    pub(super) fn run(mut self) {
        let failure = loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => break error,
            }
        };
        self.shared.state().failure = Err::<(), _>(failure).doing("run the reader thread").err();
    }

    /// Handles one event, request or failure; `false`: stop.
    fn step(&mut self) -> std::io::Result<bool> {
        let mut locked = self.shared.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watcher) = locked.as_mut() else { return Ok(false) };
        let resync = {
            let mut state = self.shared.state();
            if state.stop {
                return Ok(false);
            }
            // one comparison serves all requests that come before the last one is passed on
            watcher.stats().queued == 0 && std::mem::take(&mut state.resync)
        };
        if resync {
            // the next call retries after a failure, and reports earlier events before it
            watcher.resync().ok();
        }
        let next = watcher.next_event();
        let stats = watcher.stats();
        drop(locked);
        self.shared.counters.known.set(stats.known);
        self.shared.counters.pending.set(stats.pending);
        match next {
            Ok(Some(event)) => {
                match event.kind {
                    EventKind::Synced => {
                        self.replaying = false;
                        self.complete = true;
                    }
                    EventKind::Overflow { .. } => self.replaying = true,
                    _ => self.replaying |= event.replayed,
                }
                self.pass(event, stats.queued == 0 && !self.replaying)
            }
            Ok(None) => match sys::poll_readable_either(self.shared.wakes.as_fd(), self.shared.request.as_fd()) {
                Ok(()) => self.shared.request.clear().map(|_| true),
                Err(error) => self.report(Err::<(), _>(error).doing("wait for an event").err()),
            },
            Err(failure) if failure.is_final() => {
                self.shared.state().failure = Some(failure);
                Ok(false)
            }
            Err(failure) if failure.is_settled() => {
                self.shared.state().notice = Some(failure);
                Ok(true)
            }
            Err(failure) => self.report(Some(failure)),
        }
    }

    /// Waits until the consumer has taken the failure and calls again; `false`: stop.
    fn report(&self, failure: Option<Error>) -> std::io::Result<bool> {
        let mut state = self.shared.state();
        (state.failure, state.failure_known) = (failure, false);
        self.shared.readable.wake()?;
        Ok(!self.shared.wait(state, |state| state.failure.is_some()).stop)
    }

    /// Queues an event; `false`: stop. `settled`: after it the state matches the kernel's. Waking the consumer and
    /// clearing the waker both happen under the lock, so the consumer never wakes for an event that it already has.
    fn pass(&mut self, event: Event, settled: bool) -> std::io::Result<bool> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let news = match self.policy {
            Policy::Block => {
                state = shared.wait(state, |state| state.queue.len() >= shared.capacity);
                if state.stop {
                    return Ok(false);
                }
                state.queue.push_back(event);
                true
            }
            _ => self.queue_or_drop(&mut state, event, settled),
        };
        shared.counters.set_ahead(state.queue.len());
        if news {
            shared.readable.wake()?;
        }
        Ok(true)
    }

    /// Whether there is something for the consumer now.
    fn queue_or_drop(&mut self, state: &mut State, event: Event, settled: bool) -> bool {
        state.truth.add(&event.kind);
        state.noticed = event.time;
        state.settled = settled;
        if let Some(loss) = &mut state.broken {
            loss.add(&event.kind);
            // the consumer may have reached the break before, and waits
            return settled;
        }
        if state.queue.len() < self.shared.capacity {
            state.queue.push_back(event);
            return true;
        }
        state.broken.get_or_insert_default().add(&event.kind);
        if !std::mem::replace(&mut self.complete, true) {
            // the next `Synced` must also hold for what was never reported
            state.resync = true;
            state.settled = false;
            self.replaying = true;
        }
        true
    }
}

impl Drop for Reader {
    /// Runs after a panic too: the consumer must not wait for a dead thread.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        self.shared.readable.wake().ok();
    }
}
