//! Options of a watcher. Pure data: opening a watcher checks them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::walk::Links;

/// The directory in which `ip netns` keeps names.
pub const DEFAULT_DIR: &str = "/run/netns";

/// The maximum capacity of a queue.
pub const QUEUE_MAX: u32 = 1 << 20;

/// The default maximum number of names.
pub const MAX_NAMES: u32 = 1 << 20;

/// The policy of a full queue. The watcher counts dropped events and recovers by a resync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The reader thread waits for room. Meanwhile the kernel queues, and then overflows.
    Block,
    /// The watcher still emits the queued events, then `Overflow` and the changes since then.
    DropNewest,
    /// The watcher drops the queued events, so that `Overflow` and the present state come first.
    DropOldest,
}

/// Whether a watcher of names watches mounts all the time, or only while a name is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountEvents {
    /// If one change of a mount does not require a probe of every known name.
    WhereCheap,
    Always,
    Never,
}

/// The subject of a watcher, which determines the options that apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Names,
    Nsids,
    Everything,
}

/// Options of a watcher. The default watches `/run/netns`, emits what exists first, and waits for a missing directory.
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
/// A watcher refuses an option that it does not have (`EINVAL`). An option with its default value counts as not set.
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
    /// Options with the default values.
    pub fn new() -> Self {
        Self::default()
    }

    /// The directory whose entries are the names. It need not exist.
    ///
    /// Everybody who may write to the directory controls what the watcher reports and how long its calls take. For a
    /// name that is a symbolic link, the watcher probes the target, and emits `Ready` if that is a network namespace,
    /// even the caller's own. For a directory that others may write to, set [`symlinks(false)`](Self::symlinks) and
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

    /// Whether to emit what exists at open, as replayed events (default: yes).
    ///
    /// If not, the watcher first reports a name when it changes, or at a resync.
    pub fn replay(mut self, replay: bool) -> Self {
        self.replay = replay;
        self
    }

    /// Whether to wait for a missing directory by watching its nearest ancestor (default: yes).
    ///
    /// If not, opening a watcher of a missing directory fails with `ENOENT`. If the directory goes later, the watch
    /// ends: the watcher emits [`crate::EventKind::DirDeleted`], even without [`dir_events`](Self::dir_events), and
    /// afterwards each call for an event fails with `ENOENT`.
    pub fn parent(mut self, parent: bool) -> Self {
        self.parent = parent;
        self
    }

    /// Whether to report when the directory itself appears and disappears (default: no).
    pub fn dir_events(mut self, dir_events: bool) -> Self {
        self.dir_events = dir_events;
        self
    }

    /// Whether to report these changes as they happen, not only at a resync: unmounts and re-binds of known names,
    /// mounts over the directory or the way to it, and the end of a process that a name links to.
    ///
    /// The default is yes where one change of a mount does not require a probe of every known name: from Linux 6.15 on
    /// with `CAP_SYS_ADMIN` over the mount namespace, from Linux 6.8 on for everybody. `true`: always. `false`: never.
    pub fn mount_events(mut self, mount_events: bool) -> Self {
        self.mount_events = if mount_events { MountEvents::Always } else { MountEvents::Never };
        self
    }

    /// Debounces names: the watcher reports the net change of a name this long after its first change (default: zero,
    /// each change at once).
    ///
    /// It never reports a name that appears and disappears within that time. A name that keeps changing gets one report
    /// per period. Replayed events do not wait.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Starts a reader thread with a queue of `capacity` events (default: no thread).
    ///
    /// The thread takes events from the kernel as they come, however rarely the program calls the watcher. It has all
    /// signals blocked, and ends with the watcher. The price: a process with a second thread can no longer call
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

    /// For [`Watcher::nsid`](crate::Watcher::nsid): whether to report also what happens in peer namespaces that have an
    /// nsid here (default: no). Requires `CAP_NET_BROADCAST`, also over each peer to be reported.
    pub fn all_nsid(mut self, all_nsid: bool) -> Self {
        self.all_nsid = all_nsid;
        self
    }

    /// For [`Watcher::nsid`](crate::Watcher::nsid): the size of the socket's receive buffer in bytes. The kernel
    /// doubles it; a notification takes some 800 bytes of the result. 0, the default: 2 MiB.
    ///
    /// Without `CAP_NET_ADMIN`, `net.core.rmem_max` limits the size.
    pub fn rcvbuf(mut self, bytes: u32) -> Self {
        self.rcvbuf = bytes;
        self
    }

    /// Whether to follow symbolic links (default: yes). Set `false` for a directory that others may write to.
    ///
    /// With `false`, a name that is a symbolic link stays pending: it gets [`Created`](crate::EventKind::Created) and
    /// never [`Ready`](crate::EventKind::Ready), and a change of a mount does not probe it. On the way to the
    /// directory, the watcher follows only links owned by root of the caller's user namespace. Another link is `ELOOP`
    /// at open; if it appears later, the directory counts as gone until the link goes.
    /// [`Watcher::open_netns`](crate::Watcher::open_netns) follows the same links.
    pub fn symlinks(mut self, symlinks: bool) -> Self {
        self.links = if symlinks { Links::All } else { Links::RootsOnTheWay };
        self
    }

    /// The maximum number of names that the watcher keeps, or with [`Watcher::all`](crate::Watcher::all) of namespaces;
    /// 0, the default, is [`MAX_NAMES`]. Directories do not count.
    ///
    /// This bounds the memory: a name takes up to 500 bytes. Opening a watcher fails with `E2BIG` if there are more.
    /// Later, one call for an event fails with `E2BIG` each time that the number crosses the limit. The watcher keeps
    /// reporting the names that it knows, and reports the others when there is room.
    pub fn max_names(mut self, names: u32) -> Self {
        self.set_max_names(names);
        self
    }

    pub(crate) fn set_max_names(&mut self, names: u32) {
        self.max_names = if names == 0 { MAX_NAMES } else { names } as usize;
    }

    /// Whether to make at open all that the watcher could need later, such as descriptors of fallbacks (default: no,
    /// when first needed). The watcher then watches mounts all the time.
    ///
    /// Set it if the program gives up privileges or installs a seccomp filter after opening the watcher.
    /// `docs/syscalls.md` lists the system calls that the watcher makes afterwards.
    pub fn prepare(mut self, prepare: bool) -> Self {
        self.prepare = prepare;
        self
    }

    /// Fails if an option is set that this kind of watcher does not have.
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
