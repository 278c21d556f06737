//! The state that the reader thread and the consumer share.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::consumer::ConsumerState;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::outbox::Counters;
use crate::sys::{self, Epoll, Waker};
use crate::watcher::Watcher;

/// The shared state.
#[derive(Debug)]
pub(super) struct Shared {
    /// The maximum number of events.
    pub(super) capacity: usize,
    pub(super) state: Mutex<State>,
    /// The watcher that the thread reads. The thread holds the lock while the watcher works, not while it waits.
    pub(super) watcher: Mutex<Option<Watcher>>,
    /// The watcher's descriptor, for waiting without the lock.
    pub(super) wakes: Arc<Epoll>,
    /// Wakes the consumer.
    pub(super) readable: Waker,
    /// Wakes the thread for a request.
    pub(super) request: Waker,
    /// Signalled when the consumer has made room, has taken a failure, or wants no more.
    pub(super) turn: Condvar,
    /// The counters of the watcher in front of the queue.
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: VecDeque<Event>,
    /// The state that the consumer must reach. Kept only if the policy drops events.
    pub(super) truth: ConsumerState,
    /// When the thread noticed its last change.
    pub(super) noticed: Duration,
    /// The state matches the kernel's: it is not within a replay.
    pub(super) settled: bool,
    /// The dropped events since the queue broke; `None`: it is not broken.
    pub(super) broken: Option<Loss>,
    /// The failure of the thread, which waits until the consumer has taken it and calls again.
    pub(super) failure: Option<Error>,
    pub(super) failure_known: bool,
    /// An error after which the thread continues, and that does not wake the consumer.
    pub(super) notice: Option<Error>,
    pub(super) resync: bool,
    pub(super) stop: bool,
    /// The thread has ended, for whatever reason.
    pub(super) ended: bool,
}

/// The number of lost events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss {
    pub(super) counted: u64,
    /// More were lost, in unknown number.
    pub(super) more: bool,
}

impl Loss {
    pub(super) fn add(&mut self, event: &EventKind) {
        match event {
            EventKind::Overflow { dropped: 0 } => self.more = true,
            EventKind::Overflow { dropped } => self.counted += dropped,
            _ => self.counted += 1,
        }
    }
}

impl State {
    /// The last failure of the thread; without one, it panicked.
    pub(super) fn why_ended(&self) -> Error {
        let panicked = || Error::new(libc::ENOTRECOVERABLE, "continue without the reader thread");
        self.failure.clone().unwrap_or_else(panicked).last()
    }

    pub(super) fn can_recover(&self) -> bool {
        // a thread that has ended adds nothing more
        self.broken.is_some() && (self.settled || self.ended)
    }
}

impl Shared {
    /// For a child of fork(2), which does not have the thread: frees what the thread was not using at the fork.
    pub(super) fn abandon(&self) {
        if let Ok(mut watcher) = self.watcher.try_lock() {
            *watcher = None;
        }
        if let Ok(mut state) = self.state.try_lock() {
            *state = State::default();
        }
        for fd in [self.wakes.as_fd(), self.readable.as_fd(), self.request.as_fd()] {
            sys::close_copy(fd);
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // after a panic under the lock, numbers and sets are still valid
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread waits while the condition holds and the consumer wants more.
    pub(super) fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        holds: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !state.stop && holds(&state) {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_makes_the_sum_unknown() {
        let mut loss = Loss::default();
        loss.add(&EventKind::Synced);
        loss.add(&EventKind::Overflow { dropped: 5 });
        assert_eq!((loss.counted, loss.more), (6, false));
        loss.add(&EventKind::Overflow { dropped: 0 });
        assert_eq!((loss.counted, loss.more), (6, true));
    }
}
