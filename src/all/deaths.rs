//! Deaths of network namespaces: the interface of a mechanism, and the choice between mechanisms.
//!
//! A process can give up its rights, or a filter can deny a system call, at any time. A mechanism continues to report
//! what it watches already; the next mechanism watches new namespaces.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::asking::Asking;
use super::post::Post;
use crate::error::is_transient;
use crate::netns::Netns;
use crate::sys::Epoll;

/// Identifies a watched namespace. No number is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    mechanism: usize,
    number: i32,
}

impl Number {
    pub(super) fn new(mechanism: usize, number: i32) -> Self {
        Self { mechanism, number }
    }
}

/// A mechanism that reports deaths. Its descriptor, if it has one, is in the watcher's epoll set.
pub(super) trait Deaths: Send {
    /// Watches this open namespace from here on. Returns the same number if it watches the namespace already.
    fn watch(&mut self, namespace: BorrowedFd<'_>, netns: &Netns) -> io::Result<i32>;

    /// Passes the dead ones to `take`. Returns whether some were lost: then ask [`living`](Self::living).
    fn read(&mut self, take: &mut dyn FnMut(i32)) -> io::Result<bool>;

    /// Whether there are deaths to read that the descriptor does not show.
    fn has_unread(&self) -> bool {
        false
    }

    /// Removes those known to be dead. Numbers and result are in ascending order.
    fn living(&mut self, numbers: &[i32]) -> io::Result<Vec<i32>>;

    /// Whether the mechanism can notice the death of this one.
    fn watches(&self, number: i32) -> bool;

    /// The source no longer keeps this one.
    fn forget(&mut self, number: i32);

    /// Whether deaths wake the consumer. If not, the source must ask which are living.
    fn reports(&self) -> bool;

    /// Whether the mechanism made this namespace for itself.
    fn is_own(&self, netns: &Netns) -> bool;

    /// A [`uevent_socket`](crate::sys::uevent_socket) in the mechanism's own namespace, which keeps no other namespace
    /// alive. Once.
    fn take_uevents(&mut self) -> Option<OwnedFd> {
        None
    }
}

impl fmt::Debug for dyn Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deaths")
    }
}

/// Makes a mechanism; `None`: not available here.
type Make = fn(&Epoll) -> io::Result<Option<Box<dyn Deaths>>>;

/// The mechanisms, from the best to the last resort.
const MECHANISMS: [Make; 3] = [
    |epoll| Post::made(Post::privileged(), epoll),
    |epoll| Post::made(Post::unprivileged(), epoll),
    |_| Ok(Some(Box::new(Asking::default()))),
];

/// The mechanisms in use: the last one watches new namespaces, the others what they have watched before.
#[derive(Debug)]
pub(super) struct DeathWatch {
    epoll: Arc<Epoll>,
    mechanisms: Vec<Option<Box<dyn Deaths>>>,
    /// The one that watches new namespaces.
    current: usize,
    /// Some deaths were lost, and the source has not been informed.
    lost: bool,
}

impl DeathWatch {
    /// `prepare`: makes every available mechanism now, and none later.
    pub(super) fn open(epoll: Arc<Epoll>, prepare: bool) -> io::Result<Self> {
        let mut this = Self { epoll, mechanisms: Vec::new(), current: 0, lost: false };
        while this.mechanisms.iter().flatten().next().is_none() || prepare && this.mechanisms.len() < MECHANISMS.len() {
            this.make()?;
        }
        this.start_over();
        Ok(this)
    }

    /// Watches new namespaces with the best available mechanism again, in case it was refused for a time.
    pub(super) fn start_over(&mut self) {
        self.current = self.mechanisms.iter().position(Option::is_some).unwrap_or(0);
    }

    /// Makes the next mechanism.
    fn make(&mut self) -> io::Result<()> {
        if let Some(make) = MECHANISMS.get(self.mechanisms.len()) {
            let made = make(&self.epoll)?;
            self.mechanisms.push(made);
        }
        Ok(())
    }

    /// Watches this open namespace from here on.
    pub(super) fn watch(&mut self, namespace: BorrowedFd<'_>, netns: &Netns) -> io::Result<Number> {
        loop {
            if let Some(Some(mechanism)) = self.mechanisms.get_mut(self.current) {
                match mechanism.watch(namespace, netns) {
                    Err(error) if !is_transient(&error) && self.current + 1 < MECHANISMS.len() => {}
                    number => return Ok(Number::new(self.current, number?)),
                }
            }
            if self.current + 1 == self.mechanisms.len() {
                self.make()?;
            }
            self.current += 1;
        }
    }

    /// Passes the dead ones to `take`. Returns whether some were lost.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(Number)) -> io::Result<bool> {
        for (mechanism, deaths) in self.mechanisms.iter_mut().enumerate() {
            if let Some(deaths) = deaths {
                self.lost |= deaths.read(&mut |number| take(Number::new(mechanism, number)))?;
            }
        }
        Ok(std::mem::take(&mut self.lost))
    }

    /// Whether there are deaths to read that no descriptor shows.
    pub(super) fn has_unread(&self) -> bool {
        self.lost || self.mechanisms.iter().flatten().any(|deaths| deaths.has_unread())
    }

    /// Those known to be dead, of `numbers` in ascending order.
    pub(super) fn dead(&mut self, numbers: &[Number]) -> io::Result<Vec<Number>> {
        let mut dead = Vec::new();
        for (which, deaths) in self.made() {
            let of = |number: &&Number| number.mechanism == which;
            let asked: Vec<i32> = numbers.iter().filter(of).map(|number| number.number).collect();
            let living = deaths.living(&asked)?;
            dead.extend(
                asked
                    .into_iter()
                    .filter(|number| living.binary_search(number).is_err())
                    .map(|number| Number::new(which, number)),
            );
        }
        Ok(dead)
    }

    /// Whether watching this one again may be better: the mechanism does not report its death, and reports those of new
    /// ones. `ask`: or it does not notice it.
    pub(super) fn watches_badly(&self, number: Number, ask: bool) -> bool {
        let mechanism = self.mechanisms.get(number.mechanism).and_then(Option::as_ref);
        !self.reports(number) && self.is_reporting() || ask && !mechanism.is_some_and(|of| of.watches(number.number))
    }

    /// The source no longer keeps this one.
    pub(super) fn forget(&mut self, number: Number) {
        if let Some(Some(deaths)) = self.mechanisms.get_mut(number.mechanism) {
            deaths.forget(number.number);
        }
    }

    /// Whether the death of this one wakes the consumer.
    pub(super) fn reports(&self, number: Number) -> bool {
        matches!(self.mechanisms.get(number.mechanism), Some(Some(deaths)) if deaths.reports())
    }

    /// Whether the deaths of new ones wake the consumer.
    pub(super) fn is_reporting(&self) -> bool {
        matches!(self.mechanisms.get(self.current), Some(Some(deaths)) if deaths.reports())
    }

    /// Whether watching a namespace again yields this number exactly if it is the same namespace.
    pub(super) fn recognizes(&self, number: Number) -> bool {
        number.mechanism == self.current && self.reports(number)
    }

    /// Whether the library made the namespace for watching.
    pub(super) fn is_own(&self, netns: &Netns) -> bool {
        self.mechanisms.iter().flatten().any(|deaths| deaths.is_own(netns))
    }

    /// A socket for hotplug events of processors, which keeps only a namespace that the library made for watching.
    pub(super) fn take_uevents(&mut self) -> Option<OwnedFd> {
        self.made().find_map(|(_, deaths)| deaths.take_uevents())
    }

    fn made(&mut self) -> impl Iterator<Item = (usize, &mut Box<dyn Deaths>)> {
        self.mechanisms.iter_mut().enumerate().filter_map(|(which, deaths)| Some((which, deaths.as_mut()?)))
    }
}

/// Whether deaths are reported as they happen.
pub(super) fn try_deaths() -> io::Result<bool> {
    Ok(match Post::privileged()? {
        Some(_) => true,
        None => Post::unprivileged()?.is_some(),
    })
}
