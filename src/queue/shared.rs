//! What the reader thread and the consumer share.

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

/// What the two sides share.
#[derive(Debug)]
pub(super) struct Shared {
    /// How many events there is room for.
    pub(super) capacity: usize,
    pub(super) state: Mutex<State>,
    /// What the thread reads. It holds the lock while the watcher works, and not while it waits.
    pub(super) watcher: Mutex<Option<Watcher>>,
    /// Its descriptor, which is waited for without the lock.
    pub(super) wakes: Arc<Epoll>,
    /// Wakes the consumer.
    pub(super) readable: Waker,
    /// Wakes the thread for a request.
    pub(super) request: Waker,
    /// The consumer has made room, taken note of a failure, or wants no more.
    pub(super) turn: Condvar,
    /// Those of the watcher that the queue is the source of.
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: VecDeque<Event>,
    /// What the consumer is to believe in the end. Kept only if events may be dropped.
    pub(super) truth: ConsumerState,
    /// When the thread learned the last of it.
    pub(super) learned: Duration,
    /// The truth is that of the kernel, not half of a replay.
    pub(super) settled: bool,
    /// What was dropped since the queue broke; `None`: it is whole.
    pub(super) broken: Option<Loss>,
    /// What the thread could not do. It waits until the consumer knows and asks again.
    pub(super) failure: Option<Error>,
    pub(super) failure_known: bool,
    /// An error that the thread goes on after, and that does not wake the consumer.
    pub(super) notice: Option<Error>,
    pub(super) resync: bool,
    pub(super) stop: bool,
    /// The thread has ended, whatever the reason.
    pub(super) ended: bool,
}

/// How many events were lost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss {
    pub(super) counted: u64,
    /// And more, nobody knows how many.
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
    /// The last failure of the thread; none: it panicked.
    pub(super) fn why_ended(&self) -> Error {
        let panicked = || Error::new(libc::ENOTRECOVERABLE, "continue without the reader thread");
        self.failure.clone().unwrap_or_else(panicked).last()
    }

    pub(super) fn can_recover(&self) -> bool {
        // of a thread that has ended there is no more to be had
        self.broken.is_some() && (self.settled || self.ended)
    }
}

impl Shared {
    /// In a child of fork(2), in which the thread is not, and never lets go of what it shares: frees what the thread was
    /// not in the middle of at the fork.
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
        // a panic while it was held left numbers and sets, which are whole at any time
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread waits for the consumer as long as this holds, and the consumer wants more.
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
