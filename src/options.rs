//! What a watcher can be asked to do differently. Pure data: nothing is looked at before a watcher is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::walk::Links;

/// Where `ip netns` keeps its names.
pub const DEFAULT_DIR: &str = "/run/netns";

/// The most events that a queue can be asked to hold.
pub const QUEUE_MAX: u32 = 1 << 20;

/// How many names a watcher keeps unless it is asked to keep fewer, or more.
pub const MAX_NAMES: u32 = 1 << 20;

/// What a full queue does with one event more. What is dropped is counted, and made good by a resync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The reader thread waits for room; meanwhile the kernel queues, and then overflows.
    Block,
    /// The events in the queue are still told, then `Overflow` and what has changed since.
    DropNewest,
    /// The events in the queue are dropped, so that `Overflow` and what is now come first.
    DropOldest,
}

/// Whether a watcher of names listens to mounts all the time, or only while a name is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountEvents {
    /// Where a change of a mount does not cost a look at every known name.
    WhereCheap,
    Always,
    Never,
}

/// What a watcher watches, which decides what options it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Names,
    Nsids,
    Everything,
}

/// How to watch. The default watches `/run/netns`, tells what exists first, and waits for a missing directory.
///
/// ```
/// use std::time::Duration;
///
/// use nswatch::{Options, Policy, Watcher};
///
/// let options = Options::new()
///     .dir("/run/docker/netns")?
///     .dir_events(true)
///     .settle(Duration::from_millis(50))
///     .queue(1000, Policy::DropOldest)?;
/// let watcher = Watcher::named(&options)?;
/// # Ok::<(), nswatch::Error>(())
/// ```
///
/// A watcher refuses an option that it does not have (`EINVAL`). An option that has its default value counts as not set.
///
/// ```
/// use nswatch::{Options, Watcher};
///
/// let error = Watcher::nsid(&Options::new().dir_events(true)).unwrap_err();
/// assert_eq!(error.to_string(), "cannot use the option dir_events: a watcher of nsids does not have it");
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) replay: bool,
    pub(crate) parent: bool,
    pub(crate) dir_events: bool,
    pub(crate) mount_events: MountEvents,
    pub(crate) settle: Duration,
    pub(crate) queue: Option<(u32, Policy)>,
    pub(crate) all_nsid: bool,
    pub(crate) rcvbuf: u32,
    pub(crate) prepare: bool,
    pub(crate) links: Links,
    pub(crate) max_names: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: DEFAULT_DIR.into(),
            replay: true,
            parent: true,
            dir_events: false,
            mount_events: MountEvents::WhereCheap,
            settle: Duration::ZERO,
            queue: None,
            all_nsid: false,
            rcvbuf: 0,
            prepare: false,
            links: Links::All,
            max_names: MAX_NAMES as usize,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The directory whose entries are the names. It need not exist.
    ///
    /// Whoever may write to the directory decides what the watcher reports and how long its calls take: a name that is a
    /// symbolic link has the watcher look at whatever it leads to, and call it ready if that is a network namespace, be it
    /// the own one. For a directory that others may write to, set [`symlinks(false)`](Self::symlinks) and
    /// [`max_names`](Self::max_names).
    ///
    /// # Errors
    /// `EINVAL`: `dir` is not absolute or contains a NUL byte.
    ///
    /// ```
    /// assert!(nswatch::Options::new().dir("run/netns").is_err());
    /// ```
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        if !dir.is_absolute() || dir.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(Error::invalid("watch", "the path must be absolute, without a NUL byte").on(dir));
        }
        self.dir = dir.to_owned();
        Ok(self)
    }

    /// Whether to tell what exists when the watcher is opened (default: yes).
    ///
    /// Without it, a name is first told when it changes, or by a resync.
    pub fn replay(mut self, replay: bool) -> Self {
        self.replay = replay;
        self
    }

    /// Whether to wait for a missing directory by watching its nearest ancestor (default: yes).
    ///
    /// Without it a missing directory is `ENOENT`, and its removal ends the watch: [`crate::EventKind::DirDeleted`]
    /// is told whatever [`dir_events`](Self::dir_events) says, and after it each request for an event fails with
    /// `ENOENT`.
    pub fn parent(mut self, parent: bool) -> Self {
        self.parent = parent;
        self
    }

    /// Whether to tell when the directory itself comes and goes (default: no).
    pub fn dir_events(mut self, dir_events: bool) -> Self {
        self.dir_events = dir_events;
        self
    }

    /// Whether to report unmounts and re-binds of known names, mounts over the directory or the way to it, and the end of
    /// a process that a name is a link to, as they happen and not only at a resync.
    ///
    /// The default: yes, where one change of a mount does not cost a look at every known name. That is so with
    /// `CAP_SYS_ADMIN` over the mount namespace from Linux 6.15 on, and for everybody from Linux 6.8 on. `true`: yes, in
    /// any case. `false`: no.
    pub fn mount_events(mut self, mount_events: bool) -> Self {
        self.mount_events = if mount_events { MountEvents::Always } else { MountEvents::Never };
        self
    }

    /// How long a name may change before the outcome is told (default: zero, every change is told at once).
    ///
    /// The first change of a name starts the time; when it is over, the difference is told. So a name that comes and
    /// goes within it is never told, and one that keeps changing is told once in each such time. What is replayed
    /// does not wait.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Asks for a reader thread with a queue of `capacity` events (default: no thread).
    ///
    /// The thread takes events from the kernel as they come, however rarely the consumer asks. It ends with the
    /// watcher and has all signals blocked. The price: a process with a second thread can no longer
    /// `unshare(CLONE_NEWUSER)`, or `setns` to a user or mount namespace.
    ///
    /// # Errors
    /// `EINVAL`: `capacity` is 0 or more than [`QUEUE_MAX`].
    ///
    /// ```
    /// use nswatch::{Options, Policy};
    ///
    /// assert!(Options::new().queue(0, Policy::Block).is_err());
    /// ```
    pub fn queue(mut self, capacity: u32, policy: Policy) -> Result<Self> {
        if capacity == 0 || capacity > QUEUE_MAX {
            return Err(Error::invalid("make a queue", "the capacity must be 1 to 1048576 events"));
        }
        self.queue = Some((capacity, policy));
        Ok(self)
    }

    /// For [`Watcher::nsid`](crate::Watcher::nsid): whether to tell what happens in peer namespaces too, those that
    /// have an id here (default: no). Needs `CAP_NET_BROADCAST`, and over each peer that is to be heard of.
    pub fn all_nsid(mut self, all_nsid: bool) -> Self {
        self.all_nsid = all_nsid;
        self
    }

    /// For [`Watcher::nsid`](crate::Watcher::nsid): the size of the socket's receive buffer in bytes, which the kernel
    /// doubles; a notification takes some 800 of them. 0, the default, is the library's choice, 2 MiB.
    ///
    /// Without `CAP_NET_ADMIN` no more than `net.core.rmem_max` is given.
    pub fn rcvbuf(mut self, bytes: u32) -> Self {
        self.rcvbuf = bytes;
        self
    }

    /// Whether to follow symbolic links (default: yes). `false` is for a directory that others may write to.
    ///
    /// Without it a name that is a symbolic link stays pending: it is [`Created`](crate::EventKind::Created) and never
    /// [`Ready`](crate::EventKind::Ready), and changes of mounts cost it nothing. On the way to the directory only links that
    /// root owns are followed, root of the caller's user namespace: another one is `ELOOP` at open, and later the directory
    /// counts as gone until the link goes. [`Watcher::open_netns`](crate::Watcher::open_netns) follows no other links either.
    pub fn symlinks(mut self, symlinks: bool) -> Self {
        self.links = if symlinks { Links::All } else { Links::RootsOnTheWay };
        self
    }

    /// The most names, or with [`Watcher::all`](crate::Watcher::all) namespaces, that the watcher keeps; 0, the default, is
    /// [`MAX_NAMES`]. Directories do not count.
    ///
    /// It bounds the memory: a name takes up to 400 bytes. Opening a watcher where there are more is `E2BIG`. Later, one
    /// request for an event fails with `E2BIG` each time that the limit is crossed; the watcher goes on with those that
    /// it knows, and reports those that it left out when others have gone.
    pub fn max_names(mut self, names: u32) -> Self {
        self.set_max_names(names);
        self
    }

    pub(crate) fn set_max_names(&mut self, names: u32) {
        self.max_names = if names == 0 { MAX_NAMES } else { names } as usize;
    }

    /// Whether to make at open all that could be needed later, such as descriptors of fallbacks (default: no, when they
    /// are first needed). The watcher then listens to mounts all the time.
    ///
    /// Set it if the program gives up privileges or installs a seccomp filter after it has opened the watcher.
    /// `docs/syscalls.md` lists the system calls that the watcher goes on to make.
    pub fn prepare(mut self, prepare: bool) -> Self {
        self.prepare = prepare;
        self
    }

    /// Refuses an option that this kind of watcher does not have.
    pub(crate) fn check(&self, watched: Watched) -> Result<()> {
        use Watched::{Everything, Names, Nsids};

        let options: [(_, _, &[Watched]); 9] = [
            ("dir", self.dir != Path::new(DEFAULT_DIR), &[Names]),
            ("parent", !self.parent, &[Names]),
            ("dir_events", self.dir_events, &[Names]),
            ("mount_events", self.mount_events != MountEvents::WhereCheap, &[Names]),
            ("symlinks", self.links != Links::All, &[Names]),
            ("settle", !self.settle.is_zero(), &[Names]),
            ("max_names", self.max_names != MAX_NAMES as usize, &[Names, Everything]),
            ("all_nsid", self.all_nsid, &[Nsids]),
            ("rcvbuf", self.rcvbuf != 0, &[Nsids]),
        ];
        let why = match watched {
            Names => "a watcher of names does not have it",
            Nsids => "a watcher of nsids does not have it",
            Everything => "a watcher of every namespace does not have it",
        };
        match options.iter().find(|(_, is_set, owners)| *is_set && !owners.contains(&watched)) {
            Some((name, ..)) => Err(Error::invalid("use the option", why).on(name)),
            None => Ok(()),
        }
    }
}
