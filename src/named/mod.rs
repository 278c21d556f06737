//! The source that watches the names in a directory.
//!
//! It owns an inotify instance and wires the parts together: notices about the way go to the [`Location`], notices
//! about names to the [`Ledger`], which tells them, and new names to [`Readiness`]. There is one way to
//! find out the whole truth, [`Named::look`], and it serves the replay at open, the recovery from an overflow, a
//! directory that came, and `resync` alike.

mod debounce;
pub(crate) mod inotify;
mod mounted;
mod names;
mod path;
mod pending;

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use ::inotify::{EventMask, Inotify};

use self::inotify::Notice;
use crate::error::{Doing, Error, Result, is_shortage};
use crate::event::{EventKind, Name};
use crate::netns::Probe;
use crate::options::Options;
use crate::outbox::Outbox;
use crate::source::{Drained, Source};
use crate::sys::{self, Epoll};
use debounce::Ledger;
pub(crate) use names::{Roster, State, Transition};
use path::{Arrival, Location};
use pending::{Readiness, Tidings};

/// Room for what one read returns: some 500 notices of short names.
const BUFFER: usize = 16 * 1024;

/// How many reads without an event one drain makes before it yields.
const READS: usize = 16;

/// How many reads fetch all that an inotify queue of the default length can hold.
const READS_OF_A_QUEUE: usize = 16384 * 272 / BUFFER;

#[derive(Debug)]
pub(crate) struct Named {
    inotify: Inotify,
    buffer: Box<[u8]>,
    location: Location,
    /// The directory is there, as far as it is known.
    present: bool,
    /// That it is has been told.
    told: bool,
    ledger: Ledger,
    readiness: Readiness,
    probe: Probe,
    due: Due,
    dir_events: bool,
    /// Without it the watch ends with its directory.
    parent: bool,
    ended: bool,
}

/// Work that is left to do. It stays due until it is done: an error on the way loses nothing.
#[derive(Debug, Default)]
struct Due {
    /// The way may have changed.
    walk: bool,
    /// The names are to be compared with the directory, and the differences told in this manner.
    look: Option<Telling>,
    /// When all that is done, `Synced` is to be told.
    synced: bool,
    /// Until the queue has been read to its end, that a name went may be the half of it.
    doubt: bool,
    /// Names that something was moved away from. Whether something else is there now is to be seen: when two names
    /// change places, each is told as the target of one move and then as the source of the other.
    vacated: BTreeSet<Name>,
}

/// How what a look finds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// As existing state.
    Replayed,
    /// As news: the directory has just come.
    News,
    /// As news, and only what has changed: what was not to be told is not told now.
    Changes,
    /// Not at all.
    Silent,
}

impl Named {
    pub(crate) fn open(options: &Options, epoll: Arc<Epoll>, out: &mut Outbox) -> Result<Self> {
        let inotify = Inotify::init().doing("make an inotify instance")?;
        epoll.add(inotify.as_fd()).doing("listen to an inotify instance")?;
        let mut this = Self {
            inotify,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            location: Location::new(&options.dir)?,
            present: false,
            told: false,
            ledger: Ledger::new(options.settle, &epoll)?,
            readiness: Readiness::new(epoll, options.mount_events),
            probe: Probe::detect(),
            due: Due { synced: options.replay, ..Due::default() },
            dir_events: options.dir_events,
            parent: options.parent,
            ended: false,
        };
        out.dir = Some(this.location.shared_path());
        this.readiness.start()?;
        out.learned_now();
        let telling = if options.replay { Telling::Replayed } else { Telling::Silent };
        match this.location.walk(&this.inotify)? {
            Arrival::Nowhere(why) if !this.parent || why.kind() != io::ErrorKind::NotFound => {
                return Err(why).doing_on("watch", &options.dir);
            }
            arrival => this.arrive(arrival, telling, out)?,
        }
        this.catch_up(out)?;
        Ok(this)
    }

    /// Reads until there is nothing more, something to tell, or enough was done; `false` if there may be more.
    fn read(&mut self, out: &mut Outbox) -> Result<bool> {
        for reads in 1.. {
            let n = match sys::read(self.inotify.as_fd(), &mut self.buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.due.doubt = false;
                    return Ok(true);
                }
                Err(error) => return Err(error).doing("read inotify events"),
            };
            out.learned_now();
            let buffer = std::mem::take(&mut self.buffer);
            self.take_in(buffer.get(..n).unwrap_or_default(), out);
            self.buffer = buffer;
            let enough = match self.due.look {
                // what is in the queue now is older than the look to come
                Some(_) => READS_OF_A_QUEUE,
                None if out.is_empty() => READS,
                None => break,
            };
            if reads >= enough {
                break;
            }
        }
        Ok(false)
    }

    /// Takes in what one read returned.
    fn take_in(&mut self, bytes: &[u8], out: &mut Outbox) {
        for notice in self::inotify::notices(bytes) {
            self.notice(&notice, out);
        }
    }

    /// What a read of these bytes would do, whatever they are: for the fuzzer.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn pretend(&mut self, bytes: &[u8], out: &mut Outbox) -> Result<()> {
        self.take_in(bytes, out);
        self.catch_up(out)
    }

    fn notice(&mut self, notice: &Notice<'_>, out: &mut Outbox) {
        let mask = EventMask::from_bits_truncate(notice.mask);
        if mask.contains(EventMask::Q_OVERFLOW) {
            return self.lost(out);
        }
        #[cfg(feature = "panic-on-demand")]
        assert!(notice.name != c"nswatch-panic", "on demand");
        self.due.walk |= self.location.is_way(notice);
        if !self.location.is_name(notice) || mask.contains(EventMask::ISDIR) {
            return;
        }
        if mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) {
            self.ledger.appear(notice.name, out);
            self.readiness.consider(notice.name);
        } else if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
            self.ledger.observe(notice.name, State::Absent, out);
            self.readiness.forget(notice.name);
            if mask.contains(EventMask::MOVED_FROM) || self.due.doubt {
                self.due.vacated.insert(Name::new(notice.name));
            }
        }
    }

    /// The kernel has lost notices, nobody knows how many: a look is due.
    fn lost(&mut self, out: &mut Outbox) {
        self.ledger.flush(out);
        out.push(EventKind::Overflow { dropped: 0 }, false);
        let vacated = std::mem::take(&mut self.due.vacated);
        self.due = Due { walk: true, look: Some(Telling::Replayed), synced: true, vacated, doubt: self.due.doubt };
    }

    /// Does what is due.
    fn catch_up(&mut self, out: &mut Outbox) -> Result<()> {
        // it may be a mount or the clock that woke us, of which nothing was read
        out.learned_now();
        // first, as what follows can fail
        self.ledger.tell_settled(out)?;
        let tidings = self.readiness.hear(&self.location).inspect_err(|_| {
            // that it was the way may have been in what could not be told
            self.due.walk = true;
        })?;
        match tidings {
            Tidings::Lost => self.lost(out),
            Tidings::Way => self.due.walk = true,
            Tidings::Names => {}
        }
        if self.is_to_walk() {
            let arrival = self.location.walk(&self.inotify)?;
            self.due.walk = false;
            // what a comparison finds out about the directory is no more news than what it finds out about the names
            self.arrive(arrival, self.due.look.unwrap_or(Telling::News), out)?;
        }
        self.catch_up_with_names(out)
    }

    /// Whether it is to be found out where the path leads, or what is there.
    fn is_to_walk(&self) -> bool {
        self.due.walk || self.due.look.is_some()
    }

    /// Does what is due but for that.
    fn catch_up_with_names(&mut self, out: &mut Outbox) -> Result<()> {
        while let Some(name) = self.due.vacated.first() {
            if self.ledger.roster().state(name.as_c_str()) == State::Absent && self.location.has(name)? {
                self.ledger.observe(name.as_c_str(), State::Placeholder, out);
                self.readiness.consider(name.as_c_str());
            }
            self.due.vacated.pop_first();
        }
        self.readiness.check(&mut self.ledger, self.probe, &self.location, out)?;
        self.ledger.tell_settled(out)?;
        if self.due.synced {
            self.due.synced = false;
            out.push(EventKind::Synced, false);
        }
        Ok(())
    }

    /// Takes note of where the path leads now. `coming`: how to tell of a directory that was not there before.
    fn arrive(&mut self, arrival: Arrival, coming: Telling, out: &mut Outbox) -> Result<()> {
        self.due.doubt |= matches!(arrival, Arrival::Directory { for_less: true, .. });
        let directory = match arrival {
            Arrival::Directory { opened, same: true, .. } => {
                // it may have been away, and names were looked up in what was in its place; or it is a step on its own
                // way too, by a link or `..`, and was watched for less while it was walked through
                if *self.due.look.get_or_insert(Telling::Changes) == Telling::Replayed {
                    self.tell_directory(true, out);
                }
                Some(opened)
            }
            other => {
                self.leave(coming == Telling::Replayed, out);
                match other {
                    Arrival::Directory { opened, .. } if !self.ended => {
                        self.present = true;
                        self.due.look = Some(coming);
                        if coming != Telling::Silent {
                            self.tell_directory(coming == Telling::Replayed, out);
                        }
                        Some(opened)
                    }
                    _ => None,
                }
            }
        };
        if let (Some(directory), Some(telling)) = (directory, self.due.look) {
            self.look(&directory, telling, out)?;
        }
        self.due.look = None;
        Ok(())
    }

    /// Tells that the directory is there, unless that has been told, or is not to be.
    fn tell_directory(&mut self, replayed: bool, out: &mut Outbox) {
        if self.dir_events && !std::mem::replace(&mut self.told, true) {
            out.push(EventKind::DirCreated, replayed);
        }
    }

    /// Tells that the directory is gone, if it was there.
    fn leave(&mut self, replayed: bool, out: &mut Outbox) {
        if !self.present {
            return;
        }
        (self.present, self.told) = (false, false);
        // names of a directory that is gone: a look covers whatever comes next
        self.due.vacated.clear();
        self.ledger.begin_look(out);
        self.ledger.end_look(replayed, out);
        self.readiness.forget_all();
        self.ended = !self.parent;
        if self.dir_events || self.ended {
            out.push(EventKind::DirDeleted, replayed);
        }
        if self.ended && std::mem::take(&mut self.due.synced) {
            // nothing will be caught up with after this
            out.push(EventKind::Synced, false);
        }
    }

    /// Compares the roster with the directory.
    fn look(&mut self, directory: &OwnedFd, telling: Telling, out: &mut Outbox) -> Result<()> {
        let doing = "read the directory";
        let replayed = telling == Telling::Replayed;
        self.ledger.begin_look(out);
        let entries = std::fs::read_dir(sys::proc_path(directory.as_fd())).map_err(sys::proc_error);
        for entry in entries.doing_on(doing, self.location.as_os_str())? {
            let entry = match entry {
                Ok(entry) if entry.file_type().is_ok_and(|kind| kind.is_dir()) => continue,
                Ok(entry) => entry,
                Err(error) if is_shortage(&error) => return Err(error).doing_on(doing, self.location.as_os_str()),
                // what was removed while it is read, or cannot be read at all, holds no names
                Err(_) => break,
            };
            let Ok(name) = CString::new(entry.file_name().into_vec()) else { continue };
            let found = self.probe.look(directory.as_fd(), &name);
            let found = found.doing_on("look at", OsStr::from_bytes(name.to_bytes()))?;
            let state = found.map_or(State::Placeholder, |found| State::Namespace(found.netns));
            match telling {
                Telling::Silent => self.ledger.assume(&name, state),
                Telling::Changes => self.ledger.review(&name, state, out),
                _ => self.ledger.look_saw(&name, state, replayed, out),
            }
            self.readiness.note(&name, found);
        }
        self.ledger.end_look(replayed, out);
        Ok(())
    }
}

impl Source for Named {
    fn drain(&mut self, out: &mut Outbox) -> Result<Drained> {
        self.check_ended()?;
        let mut all = self.read(out)?;
        let walks = self.is_to_walk();
        self.catch_up(out)?;
        if all && walks && out.is_empty() {
            // the watches that a walk gives up say so in the queue, and would wake the consumer for nothing
            all = self.read(out)?;
            if self.is_to_walk() {
                // one comparison is enough for one call
                return Ok(Drained::More);
            }
            self.catch_up_with_names(out)?;
        }
        Ok(if all || !out.is_empty() { Drained::All } else { Drained::More })
    }

    fn resync(&mut self, out: &mut Outbox) -> Result<()> {
        self.check_ended()?;
        self.due.look = Some(Telling::Replayed);
        self.due.synced = true;
        self.read(out)?;
        self.catch_up(out)
    }

    fn known(&self) -> u64 {
        self.ledger.roster().len() as u64
    }

    fn pending(&self) -> u64 {
        self.ledger.roster().waiting().len() as u64
    }
}

impl Named {
    fn check_ended(&self) -> Result<()> {
        match self.ended {
            true => Err(Error::new(libc::ENOENT, "go on watching").on(self.location.as_os_str()).last()),
            false => Ok(()),
        }
    }
}
