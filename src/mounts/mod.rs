//! Learning that mounts have changed, by the best means that kernel and privileges allow.
//!
//! It is armed while somebody cares for mounts, and silent otherwise. It says what it can: which mount came or went,
//! or only that some did. What that means for a name is for others to find out.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::error::{Doing, Result, is_shortage};
use crate::sys::{self, CWD, Epoll, MountChange, MountGroup, MountPoll};

/// Beyond so many changes, a look at all that matters is cheaper than one at each of them.
const MANY: usize = 1000;

/// How many reads empty a queue of the default length: some hundred events each.
const READS_OF_A_QUEUE: usize = 256;

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

/// What was heard of mounts since it was last asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// These changes; perhaps none.
    Changes(Vec<MountChange>),
    /// Something may have changed, and it is not known what.
    Anything,
    /// The kernel has lost changes.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Mounts {
    epoll: Arc<Epoll>,
    /// Made when first needed, then kept, unless it is the last of them: there may be a better one by now.
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
        if matches!(self.means, None | Some(Means::Bare(_))) {
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

    /// What has changed since it was armed or last asked.
    pub(crate) fn hear(&mut self) -> Result<Heard> {
        let nothing = Heard::Changes(Vec::new());
        match &mut self.means {
            _ if !self.armed => Ok(nothing),
            None => Ok(nothing),
            Some(Means::Events(group)) => {
                let mut changes = Vec::new();
                let (mut many, mut lost) = (false, false);
                for _ in 0..READS_OF_A_QUEUE {
                    let before = changes.len();
                    match group.read(&mut changes) {
                        Ok(()) if changes.len() == before => break,
                        Ok(()) => {}
                        Err(error) if before == 0 && !many => return Err(error).doing("read mount events"),
                        // it comes again; what was read before it must not be lost
                        Err(_) => break,
                    }
                    lost |= changes.contains(&MountChange::Overflow);
                    if changes.len() > MANY {
                        changes.clear();
                        many = true;
                    }
                }
                Ok(match (lost, many) {
                    (true, _) => Heard::Lost,
                    (_, true) => Heard::Anything,
                    _ => Heard::Changes(changes),
                })
            }
            Some(Means::Poll(poll)) => match poll.renew().doing("poll mountinfo")? {
                true => Ok(Heard::Anything),
                false => Ok(nothing),
            },
            Some(Means::Bare(mountinfo)) => {
                // lest it wakes the consumer for what is looked at now; that it says no means nothing: another may
                // have polled it before
                sys::poll_priority(mountinfo.as_fd()).doing("poll mountinfo")?;
                Ok(Heard::Anything)
            }
        }
    }
}

/// Whether mount events can be had.
pub(crate) fn try_events() -> io::Result<bool> {
    Means::events().map(|_| true)
}

/// Whether an AIO poll can be had.
pub(crate) fn try_poll() -> io::Result<bool> {
    Means::poll().map(|_| true)
}

/// Whether a mount says what it is mounted on: that of /proc, which is within reach wherever this process is rooted.
pub(crate) fn try_statmount() -> io::Result<bool> {
    let proc = sys::stat(CWD, c"/proc/thread-self", 0).map_err(sys::proc_error)?;
    Ok(matches!(proc.mount_id.map(sys::parent_mount).transpose()?, Some(Some(_))))
}

impl Means {
    fn events() -> io::Result<Self> {
        MountGroup::new().and_then(|group| group.listen().map(|()| Self::Events(group)))
    }

    fn poll() -> io::Result<Self> {
        MountPoll::new().map(Self::Poll)
    }

    fn best() -> io::Result<Self> {
        let bare = || File::open("/proc/thread-self/mountinfo").map_err(sys::proc_error).map(Self::Bare);
        Self::events().or_else(|_| Self::poll()).or_else(|error| match error.raw_os_error() {
            // all there may be are taken, which can last
            Some(libc::EAGAIN) => bare(),
            // the last means is not as good as the others: not to be taken for good because of a moment's shortage
            _ if is_shortage(&error) => Err(error),
            _ => bare(),
        })
    }
}
