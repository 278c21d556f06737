//! Births by the kernel's perf records. Requires `CAP_PERFMON` or `CAP_SYS_ADMIN` in the initial user namespace (Linux
//! 4.12).
//!
//! Each processor has a ring. The kernel writes to it the namespaces of each task, when it is born and when they
//! change. The price: each fork in the system writes a record. The first poll of a perf event consumes its readiness,
//! so kernel AIO polls it for us and leaves the result in an eventfd that stays readable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::births::{Births, Hint, Loss};
use super::cadence::Cadence;
use super::hotplug::{Changed, Hotplug};
use super::records::{Record, records};
use crate::error::{is_shortage, is_transient};
use crate::sys::{self, AioContext, Epoll, Process, Ring, Timer, Waker};

/// When to retry after a lack of memory or descriptors.
const RETRY: Duration = Duration::from_secs(1);

/// The size of the buffer that is kept: some 30 records.
const KEPT: usize = 4096;

/// Opens the rings of all processors. `None`: this kernel has no such records, or does not permit them.
///
/// `uevents`: a [`uevent_socket`](sys::uevent_socket), which keeps the network namespace that it was made in. Without
/// one, changes on a processor that was offline stay unknown.
pub(super) fn open(epoll: &Arc<Epoll>, uevents: Option<OwnedFd>) -> io::Result<Option<Box<dyn Births>>> {
    match Perf::open(epoll, uevents) {
        Ok(perf) => Ok(Some(Box::new(perf))),
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Whether rings can be opened.
pub(super) fn try_open() -> io::Result<bool> {
    match online(0..).next() {
        Some(Err(error)) if is_shortage(&error) => Err(error),
        first => Ok(first.is_some_and(|ring| ring.is_ok())),
    }
}

/// Opens the rings of those `cpus` that are online. Ends after the last possible one.
fn online(cpus: impl Iterator<Item = u32>) -> impl Iterator<Item = io::Result<CpuRing>> {
    let open = |cpu| match CpuRing::open(cpu) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => None,
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Some(None),
        opened => Some(Some(opened)),
    };
    cpus.map_while(open).flatten()
}

/// The ring of a processor, and the read position.
#[derive(Debug)]
struct CpuRing {
    cpu: u32,
    ring: Ring,
    tail: u64,
    mark: u64,
    /// The number of lost records so far.
    lost: u64,
    /// The next record will wake the consumer.
    armed: bool,
}

impl CpuRing {
    fn open(cpu: u32) -> io::Result<Self> {
        Ok(Self { cpu, ring: Ring::open(cpu)?, tail: 0, mark: 0, lost: 0, armed: false })
    }

    /// Passes the records up to the mark to `take`. Returns their number and the loss.
    fn read(&mut self, buffer: &mut Vec<u8>, take: &mut dyn FnMut(Hint)) -> (usize, Loss) {
        if self.mark == self.tail {
            return (0, Loss::Nothing);
        }
        buffer.clear();
        let (mut count, mut loss) = (0, Loss::Nothing);
        if !self.ring.copy(self.tail, self.mark, buffer) {
            loss = Loss::Hints(0);
        }
        for record in records(buffer) {
            count += 1;
            match record {
                Record::Hint(hint) => take(hint),
                // the kernel has counted these already
                Record::Lost(_) if self.ring.counts_losses() => {}
                Record::Lost(more) => loss = loss.and(Loss::Hints(more)),
                Record::Other => {}
                Record::Malformed => loss = Loss::Hints(0),
            }
        }
        if self.ring.release(self.tail, self.mark) {
            loss = loss.and(self.lost());
        }
        self.tail = self.mark;
        (count, loss)
    }

    /// The loss since the last call.
    fn lost(&mut self) -> Loss {
        let Ok(Some(lost)) = self.ring.lost() else { return Loss::Hints(0) };
        match lost.wrapping_sub(std::mem::replace(&mut self.lost, lost)) {
            0 => Loss::Nothing,
            more => Loss::Hints(more),
        }
    }

    fn has_more(&self) -> bool {
        self.ring.head() != self.tail
    }
}

impl Loss {
    /// The sum; unknown plus anything is unknown.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, loss) | (loss, Self::Nothing) => loss,
            (Self::Hints(0), _) | (_, Self::Hints(0)) => Self::Hints(0),
            (Self::Hints(one), Self::Hints(other)) => Self::Hints(one.saturating_add(other)),
        }
    }
}

/// The part that makes a descriptor in the epoll set readable at the next record.
#[derive(Debug)]
enum Alarm {
    Polls {
        context: AioContext,
        done: Waker,
    },
    /// The events themselves, if AIO is forbidden or all its requests are in use. One poll consumes their readiness.
    Events,
}

#[derive(Debug)]
struct Perf {
    // first, so that it is dropped before the descriptors of its requests
    alarm: Alarm,
    rings: Vec<CpuRing>,
    buffer: Vec<u8>,
    timer: Timer,
    cadence: Cadence,
    hotplug: Hotplug,
    /// Processors whose rings to open again.
    changed: Changed,
    /// The loss that the source has not been informed of.
    lost: Loss,
    /// The time of the last mark.
    now: Duration,
    epoll: Arc<Epoll>,
    process: Process,
    /// Descriptors of initial namespaces, which never die. For each record the kernel makes an inode of each namespace
    /// of a task, unless one exists: holding these halves the price of a fork on the host.
    _initial: Vec<OwnedFd>,
}

impl Perf {
    fn open(epoll: &Arc<Epoll>, uevents: Option<OwnedFd>) -> io::Result<Self> {
        let rings = online(0..).collect::<io::Result<Vec<_>>>()?;
        if rings.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let mut perf = Self {
            alarm: Alarm::Events,
            rings,
            buffer: Vec::new(),
            timer: Timer::new()?,
            cadence: Cadence::new(),
            hotplug: Hotplug::new(uevents),
            changed: Changed::nothing(),
            lost: Loss::Nothing,
            now: sys::monotonic(),
            epoll: Arc::clone(epoll),
            process: Process::this()?,
            _initial: sys::initial_namespaces(),
        };
        perf.set_alarm()?;
        perf.epoll.add(perf.timer.as_fd())?;
        if let Some(socket) = perf.hotplug.socket() {
            perf.epoll.add(socket.as_fd())?;
        }
        perf.wait(0, false)?;
        Ok(perf)
    }

    /// Chooses how the rings wake the consumer. None of them is armed then.
    fn set_alarm(&mut self) -> io::Result<()> {
        self.disarm();
        let room = u32::try_from(self.rings.len()).unwrap_or(u32::MAX);
        if let Ok(context) = AioContext::new(room) {
            let done = Waker::new()?;
            self.epoll.add(done.as_fd())?;
            self.alarm = Alarm::Polls { context, done };
        }
        Ok(())
    }

    /// Removes the alarm.
    fn disarm(&mut self) {
        for fd in self.alarm_descriptors() {
            self.epoll.remove(fd).ok();
        }
        self.alarm = Alarm::Events;
        self.rings.iter_mut().for_each(|ring| ring.armed = false);
    }

    fn alarm_descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (done, rings) = match &self.alarm {
            Alarm::Polls { done, .. } => (Some(done.as_fd()), &[][..]),
            Alarm::Events => (None, &self.rings[..]),
        };
        done.into_iter().chain(rings.iter().filter(|ring| ring.armed).map(|ring| ring.ring.as_fd()))
    }

    /// Arms each ring to wake at its next record.
    fn arm(&mut self) -> io::Result<()> {
        if let Alarm::Polls { context, done } = &self.alarm {
            let submitted = self.rings.iter_mut().filter(|ring| !ring.armed).try_for_each(|ring| {
                context.submit_poll(ring.ring.as_fd(), libc::POLLIN, done.as_fd(), ring.cpu.into())?;
                ring.armed = true;
                Ok(())
            });
            match submitted {
                Err(error) if !is_transient(&error) => self.disarm(),
                submitted => return submitted,
            }
        }
        self.rings.iter_mut().filter(|ring| !ring.armed).try_for_each(|ring| {
            self.epoll.add(ring.ring.as_fd())?;
            ring.armed = true;
            Ok(())
        })
    }

    /// Notes which rings have woken. Returns whether any has.
    fn take_wakeups(&mut self) -> bool {
        let Alarm::Polls { context, done } = &self.alarm else { return false };
        let result = done.clear().and_then(|woken| {
            if woken {
                context.reap(|cpu| {
                    if let Some(ring) = self.rings.iter_mut().find(|ring| u64::from(ring.cpu) == cpu) {
                        ring.armed = false;
                    }
                })?;
            }
            Ok(woken)
        });
        result.unwrap_or_else(|_| {
            // refused by now: it stays unknown which one has woken
            self.disarm();
            true
        })
    }

    /// Reopens the rings of processors that have gone or come. Returns whether there were any. An error: some rings
    /// could not be opened.
    fn replug(&mut self) -> io::Result<bool> {
        if self.hotplug.read(&mut self.changed).is_err() {
            if let Some(socket) = self.hotplug.close() {
                self.epoll.remove(socket.as_fd()).ok();
            }
        }
        if self.changed.is_nothing() {
            return Ok(false);
        }
        // its requests would keep the old descriptors
        self.disarm();
        let changed = std::mem::replace(&mut self.changed, Changed::nothing());
        let (old, others) = std::mem::take(&mut self.rings).into_iter().partition(|ring| changed.has(ring.cpu));
        self.rings = others;
        let mut open = |cpus: &mut dyn Iterator<Item = u32>| {
            online(cpus).try_for_each(|ring| {
                self.rings.push(ring?);
                Ok(())
            })
        };
        let opened = match &changed {
            Changed::These(cpus) => open(&mut cpus.iter().copied()),
            Changed::Perhaps => open(&mut (0..)),
        };
        let opened = opened.or_else(|error| match is_shortage(&error) {
            true => Err(error),
            false => {
                // the right to open them is lost; the existing ones may still work
                self.rings.retain(|ring| !changed.has(ring.cpu));
                self.rings.extend::<Vec<_>>(old);
                Ok(())
            }
        });
        match opened.and(self.set_alarm()) {
            // the next call tries again
            Err(error) if is_shortage(&error) => self.changed = changed,
            result => result?,
        }
        Ok(true)
    }

    /// Leaves the next wake-up to records or to the timer.
    fn wait(&mut self, found: usize, woken: bool) -> io::Result<()> {
        if let Some(due) = self.cadence.looked(self.now, found, woken) {
            if matches!(self.alarm, Alarm::Events) {
                self.disarm();
            }
            if self.timer.set(Some(due)).is_ok() {
                return Ok(());
            }
            // if a filter refuses the timer, nothing is delayed
        }
        if self.arm().is_err() {
            return self.timer.set(Some(self.now + RETRY));
        }
        // a record after the mark may have woken before the ring was armed again
        let is_late = self.rings.iter().any(CpuRing::has_more);
        let retry = (!self.changed.is_nothing()).then(|| self.now + RETRY);
        self.timer.set(if is_late { Some(self.now) } else { retry })
    }
}

impl Births for Perf {
    fn mark(&mut self, now: Duration) -> io::Result<()> {
        self.now = now;
        self.rings.iter_mut().for_each(|ring| ring.mark = ring.ring.head());
        Ok(())
    }

    fn read(&mut self, take: &mut dyn FnMut(Hint)) -> io::Result<Loss> {
        let woken = self.take_wakeups();
        let (mut found, mut loss) = (0, Loss::Nothing);
        for ring in &mut self.rings {
            let (count, lost) = ring.read(&mut self.buffer, take);
            found += count;
            loss = loss.and(lost);
        }
        // so that a storm of forks leaves no hundred kilobytes behind
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        let replugged = self.replug();
        let unknown = if let Ok(true) = replugged { Loss::Hints(0) } else { Loss::Nothing };
        self.lost = self.lost.and(loss).and(unknown);
        self.wait(found, woken).and(replugged)?;
        Ok(std::mem::replace(&mut self.lost, Loss::Nothing))
    }
}

impl Drop for Perf {
    fn drop(&mut self) {
        // closing is not enough if a child of fork(2) has a copy; the child must not change the set of its parent
        if self.process.is_this() {
            self.disarm();
            let others = self.hotplug.socket().map(AsFd::as_fd).into_iter().chain([self.timer.as_fd()]);
            others.for_each(|fd| drop(self.epoll.remove(fd)));
        }
    }
}

#[cfg(test)]
mod tests;
