//! The source behind [`Watcher::all`](crate::Watcher::all).

use crate::error::{Error, Result};
use crate::options::Options;
use crate::outbox::{Counters, Outbox};
use crate::place::Place;
use crate::source::{Progress, Source};
use crate::sys::Epoll;

#[derive(Debug)]
pub(crate) struct All {
    place: Place,
}

impl All {
    pub(crate) fn open(_options: &Options, _epoll: &Epoll, _out: &mut Outbox) -> Result<Self> {
        Err(Error::new(libc::EOPNOTSUPP, "watch all network namespaces"))
    }

    /// Where its paths lead.
    pub(crate) fn place(&self) -> Place {
        self.place
    }
}

impl Source for All {
    fn drain(&mut self, _out: &mut Outbox) -> Result<Progress> {
        Ok(Progress::Done)
    }

    fn resync(&mut self, _out: &mut Outbox) -> Result<()> {
        Ok(())
    }

    fn count(&self, _counters: &Counters) {}
}
