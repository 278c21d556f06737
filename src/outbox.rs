//! Events ready to be returned, and the counters.
//!
//! A source pushes at one end, the watcher pops at the other. A drain fills it only when it is empty, so it holds at
//! most the events of one drain and of the resyncs since.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, EventKind};
use crate::sys;

#[cfg(target_has_atomic = "64")]
type Cell = std::sync::atomic::AtomicU64;
#[cfg(not(target_has_atomic = "64"))]
type Cell = std::sync::Mutex<u64>;

/// A number that one thread at a time sets, and any thread may read.
#[derive(Debug, Default)]
pub(crate) struct Count(Cell);

impl Count {
    #[cfg(target_has_atomic = "64")]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, std::sync::atomic::Ordering::Relaxed);
    }

    #[cfg(not(target_has_atomic = "64"))]
    pub(crate) fn get(&self) -> u64 {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(not(target_has_atomic = "64"))]
    pub(crate) fn set(&self, number: u64) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = number;
    }

    pub(crate) fn add(&self, number: u64) {
        self.set(self.get() + number);
    }

    fn raise_to(&self, number: u64) {
        if number > self.get() {
            self.set(number);
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: Count,
    pub(crate) dropped: Count,
    pub(crate) overflows: Count,
    pub(crate) resyncs: Count,
    /// Events in the outbox.
    pub(crate) waiting: Count,
    pub(crate) most_waiting: Count,
    /// Events in the queue of a reader thread.
    pub(crate) ahead: Count,
    pub(crate) most_ahead: Count,
    pub(crate) known: Count,
    pub(crate) pending: Count,
}

impl Counters {
    /// Of the queue of a reader thread.
    pub(crate) fn set_ahead(&self, length: usize) {
        self.ahead.set(length as u64);
        self.most_ahead.raise_to(length as u64);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Event>,
    now: Duration,
    /// It has an `Overflow` whose `Synced` has not been pushed yet.
    overflown: bool,
    /// The directory of all names.
    pub(crate) dir: Option<Arc<CStr>>,
    pub(crate) counters: Arc<Counters>,
}

impl Outbox {
    /// Sets the time of the events pushed from here on to now.
    pub(crate) fn noticed_now(&mut self) {
        self.now = sys::monotonic();
    }

    /// Sets the time of the events pushed from here on, not before the last one.
    pub(crate) fn noticed_at(&mut self, moment: Duration) {
        self.now = moment;
    }

    /// The time set last.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn push(&mut self, kind: EventKind, replayed: bool) {
        let dir = self.dir.clone();
        self.forward(Event { kind, replayed, time: self.now, dir });
    }

    /// Pushes an event as it is.
    pub(crate) fn forward(&mut self, event: Event) {
        match event.kind {
            EventKind::Overflow { dropped } => {
                self.counters.dropped.add(dropped);
                if std::mem::replace(&mut self.overflown, true) {
                    // more was lost before the recovery from the first loss: one `Synced` serves both
                    let emitted = self.queue.iter_mut().rev().find_map(|event| match &mut event.kind {
                        EventKind::Overflow { dropped } => Some(dropped),
                        _ => None,
                    });
                    if let Some(emitted) = emitted {
                        *emitted = if *emitted == 0 || dropped == 0 { 0 } else { *emitted + dropped };
                    }
                    return;
                }
                self.counters.overflows.add(1);
            }
            EventKind::Synced => {
                self.counters.resyncs.add(1);
                self.overflown = false;
            }
            _ => {}
        }
        self.queue.push_back(event);
        self.counters.waiting.set(self.len());
        self.counters.most_waiting.raise_to(self.len());
    }

    /// Whether the last `Overflow` has no `Synced` yet.
    pub(crate) fn is_overflown(&self) -> bool {
        self.overflown
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.counters.delivered.add(1);
        self.counters.waiting.set(self.len());
        if self.queue.is_empty() {
            // frees the memory of a large replay
            self.queue.shrink_to(64);
        }
        Some(event)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        self.queue.len() as u64
    }
}
