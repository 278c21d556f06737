//! Learning that mounts have changed, by the best means that kernel and privileges allow.
//!
//! It is armed while somebody waits for a mount, and silent otherwise. It says that something may have been mounted;
//! what, and whether it matters, is for others to find out.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::error::{Doing, Result, is_shortage};
use crate::sys::{self, Epoll, MountChange, MountGroup, MountPoll};

/// How many buffers of mount events are read at once: more than a queue of the default length fills.
const READS: usize = 256;

/// The means.
#[derive(Debug)]
enum Means {
    /// fanotify mount events (Linux 6.15 and CAP_SYS_ADMIN over the mount namespace).
    Events(MountGroup),
    /// A kernel AIO poll of mountinfo (Linux 4.18, no privilege).
    Poll(MountPoll),
    /// mountinfo itself, where AIO is forbidden: to be asked after every wake-up, since polling consumes it.
    Bare(File),
}

#[derive(Debug)]
pub(crate) struct Mounts {
    epoll: Arc<Epoll>,
    /// Made when first needed, then kept.
    means: Option<Means>,
    armed: bool,
}

impl Mounts {
    pub(crate) fn new(epoll: Arc<Epoll>) -> Self {
        Self { epoll, means: None, armed: false }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }

    /// From here on each change of a mount is noticed.
    pub(crate) fn arm(&mut self) -> Result<()> {
        if self.armed {
            return Ok(());
        }
        let doing = "listen to mounts";
        if self.means.is_none() {
            self.means = Some(Means::best().doing(doing)?);
        }
        match &mut self.means {
            Some(Means::Events(group)) => {
                group.listen().doing(doing)?;
                self.epoll.add(group.as_fd()).doing(doing)?;
            }
            Some(Means::Poll(poll)) => {
                poll.renew().doing(doing)?;
                self.epoll.add(poll.as_fd()).doing(doing)?;
            }
            Some(Means::Bare(mountinfo)) => self.epoll.add_priority(mountinfo.as_fd()).doing(doing)?,
            None => {}
        }
        self.armed = true;
        Ok(())
    }

    /// From here on mounts wake nobody.
    pub(crate) fn disarm(&mut self) -> Result<()> {
        if !self.armed {
            return Ok(());
        }
        let doing = "stop listening to mounts";
        match &self.means {
            Some(Means::Events(group)) => self.epoll.remove(group.as_fd()).doing(doing)?,
            // the request in flight stays, unseen, and serves when armed again
            Some(Means::Poll(poll)) => self.epoll.remove(poll.as_fd()).doing(doing)?,
            Some(Means::Bare(mountinfo)) => self.epoll.remove(mountinfo.as_fd()).doing(doing)?,
            None => {}
        }
        // from here on it is not heard; what follows only spares the kernel the trouble
        self.armed = false;
        match &self.means {
            Some(Means::Events(group)) => group.ignore().doing(doing),
            _ => Ok(()),
        }
    }

    /// Whether mounts may have changed since it was armed or last asked.
    pub(crate) fn changed(&mut self) -> Result<bool> {
        if !self.armed {
            return Ok(false);
        }
        match &mut self.means {
            Some(Means::Events(group)) => {
                let mut any = false;
                let mut changes = Vec::<MountChange>::new();
                for _ in 0..READS {
                    group.read(&mut changes).doing("read mount events")?;
                    if changes.is_empty() {
                        break;
                    }
                    any = true;
                    changes.clear();
                }
                Ok(any)
            }
            Some(Means::Poll(poll)) => poll.renew().doing("poll mountinfo"),
            Some(Means::Bare(mountinfo)) => {
                // lest it wakes the consumer for what is looked at now; that it says no means nothing: another may
                // have polled it before
                sys::poll_priority(mountinfo.as_fd()).doing("poll mountinfo")?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl Means {
    fn best() -> io::Result<Self> {
        match MountGroup::new().and_then(|group| group.listen().map(|()| group)) {
            Ok(group) => return Ok(Self::Events(group)),
            // a full house is no reason to settle for less; EMFILE of fanotify_init is its limit of groups
            Err(error) if is_shortage(&error) && error.raw_os_error() != Some(libc::EMFILE) => return Err(error),
            Err(_) => {}
        }
        match MountPoll::new() {
            Ok(poll) => return Ok(Self::Poll(poll)),
            Err(error) if is_shortage(&error) && error.raw_os_error() != Some(libc::EAGAIN) => return Err(error),
            Err(_) => {}
        }
        File::open("/proc/thread-self/mountinfo").map(Self::Bare)
    }
}
