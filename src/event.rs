//! Events, and the names and namespaces in them.
//!
//! Events are plain values, independent of the watcher that emitted them.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::netns::Netns;
use crate::printable::printable;

/// The name of a namespace in the watched directory: 1 to 255 bytes without `/` and NUL, possibly not UTF-8.
///
/// Cloning shares the bytes.
///
/// ```
/// use nswatch::{Options, Watcher};
///
/// # let dir = std::env::temp_dir().join(format!("nswatch-doc-name-{}", std::process::id()));
/// # std::fs::create_dir(&dir)?;
/// # std::fs::write(dir.join("blue"), "")?;
/// let event = Watcher::named(&Options::new().dir(&dir)?)?.next().unwrap()?;
/// let name = event.name().unwrap();
/// assert!(*name == *"blue");
/// assert_eq!(name.as_os_str(), "blue");
/// assert_eq!(name.as_bytes(), b"blue");
/// assert_eq!(name.as_c_str(), c"blue");
/// assert_eq!(name.to_string(), "blue"); // with `\u{1b}` in place of an escape: see `printable`
/// assert!(dir.join(name).exists()); // usable as a path
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<CStr>);

impl Name {
    pub(crate) fn new(name: &CStr) -> Self {
        Self(name.into())
    }

    /// The name as an `OsStr`.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(self.0.to_bytes())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.to_bytes()
    }

    /// The bytes with a NUL at the end, for C.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

impl AsRef<Path> for Name {
    fn as_ref(&self) -> &Path {
        Path::new(self.as_os_str())
    }
}

impl AsRef<OsStr> for Name {
    fn as_ref(&self) -> &OsStr {
        self.as_os_str()
    }
}

impl std::borrow::Borrow<CStr> for Name {
    fn borrow(&self) -> &CStr {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0.to_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_os_str().fmt(f)
    }
}

impl fmt::Display for Name {
    /// The [`printable`] form, for people and logs. [`Name::as_bytes`] returns the name itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&printable(self))
    }
}

/// The type of an event. [The grammar](crate#the-grammar) defines the order of events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A name appeared; it may be pending, not a namespace yet.
    Created(Name),
    /// The name now refers to this network namespace, which can be opened. After another `Ready` of the name: a
    /// replacement.
    Ready(Name, Netns),
    /// The name still exists and no longer refers to a network namespace.
    Detached(Name),
    /// The name is gone.
    Deleted(Name),
    /// The watched directory appeared.
    DirCreated,
    /// The watched directory is gone, after a `Deleted` for each name in it.
    DirDeleted,
    /// The kernel assigned an nsid to a peer namespace.
    NsidNew {
        /// The nsid, as seen in `origin`.
        nsid: i32,
        /// The nsid of the namespace in which the event happened; `None`: the watcher's own.
        origin: Option<i32>,
        /// The netlink port of the requester, after an explicit request; else 0.
        portid: u32,
    },
    /// The namespace that had the nsid died.
    NsidDel {
        /// The nsid, as seen in `origin`.
        nsid: i32,
        /// The nsid of the namespace in which the event happened; `None`: the watcher's own.
        origin: Option<i32>,
    },
    /// A network namespace exists, with or without a name. Only [`Watcher::all`](crate::Watcher::all) reports it.
    NetnsNew {
        /// The namespace.
        netns: Netns,
        /// A path that led to the namespace when the watcher found it. It may lead elsewhere by now:
        /// [`Watcher::open_netns`](crate::Watcher::open_netns) opens exactly this namespace or fails.
        path: Option<Arc<Path>>,
        /// A process or thread that was in the namespace when the watcher found it, and may have ended; `None`: none
        /// known.
        pid: Option<i32>,
    },
    /// The network namespace is gone: nothing keeps it alive. Only [`Watcher::all`](crate::Watcher::all) reports it.
    NetnsDel(Netns),
    /// The replay, at open or of a resync, is complete.
    Synced,
    /// The kernel or a full queue lost events. Replayed events follow for all that changed, then `Synced`. For nsids
    /// also: the kernel does not list all, and some may be missing even after that.
    Overflow {
        /// How many; 0: unknown, or nsids may be missing.
        dropped: u64,
    },
}

impl EventKind {
    /// The name of this type, the same in every language and in the `nswatch` command: `"created"`, `"dir_deleted"`,
    /// `"nsid_new"`.
    pub fn type_name(&self) -> &'static str {
        type_name(self.number()).to_str().unwrap_or_default()
    }

    /// The number of this type in C.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Created(_) => 1,
            Self::Ready(..) => 2,
            Self::Detached(_) => 3,
            Self::Deleted(_) => 4,
            Self::DirCreated => 5,
            Self::DirDeleted => 6,
            Self::NsidNew { .. } => 7,
            Self::NsidDel { .. } => 8,
            Self::Synced => 9,
            Self::Overflow { .. } => 10,
            Self::NetnsNew { .. } => 11,
            Self::NetnsDel(_) => 12,
        }
    }
}

/// The name of a type by its number in C. Tests check the constants of the header and the values of the command against
/// it.
pub(crate) fn type_name(number: u32) -> &'static CStr {
    match number {
        1 => c"created",
        2 => c"ready",
        3 => c"detached",
        4 => c"deleted",
        5 => c"dir_created",
        6 => c"dir_deleted",
        7 => c"nsid_new",
        8 => c"nsid_del",
        9 => c"synced",
        10 => c"overflow",
        11 => c"netns_new",
        12 => c"netns_del",
        _ => c"unknown",
    }
}

/// A change, when the library noticed it, and whether it is replayed.
///
/// A plain value: clone it, keep it, send it. It outlives its watcher.
///
/// ```
/// use std::time::Duration;
///
/// use nswatch::{Event, EventKind, Options, Watcher};
///
/// let event: Event = Watcher::named(&Options::new().dir("/run/nowhere")?)?.next().unwrap()?;
/// assert_eq!(*event.kind(), EventKind::Synced);
/// assert_eq!(event.kind().type_name(), "synced");
/// assert!(!event.is_replayed());
/// assert_eq!((event.name(), event.netns()), (None, None));
/// assert!(event.time() > Duration::ZERO);
/// assert_eq!(event.to_string(), "synced");
/// # Ok::<(), nswatch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(crate) kind: EventKind,
    pub(crate) replayed: bool,
    pub(crate) time: Duration,
    /// The directory of the name.
    pub(crate) dir: Option<Arc<CStr>>,
}

impl Event {
    /// The type, with its data.
    pub fn kind(&self) -> &EventKind {
        &self.kind
    }

    /// Whether this is a replayed event: a replay at open or a resync found it, not the change itself.
    pub fn is_replayed(&self) -> bool {
        self.replayed
    }

    /// When the library noticed the change, by `CLOCK_MONOTONIC`.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// The name, if this type has one.
    pub fn name(&self) -> Option<&Name> {
        match &self.kind {
            EventKind::Created(name)
            | EventKind::Ready(name, _)
            | EventKind::Detached(name)
            | EventKind::Deleted(name) => Some(name),
            _ => None,
        }
    }

    /// Of a name: the watched directory and the name. Of a [`NetnsNew`](EventKind::NetnsNew): a path that led to the
    /// namespace when the watcher found it.
    ///
    /// ```
    /// use nswatch::{Options, Watcher};
    ///
    /// # let dir = std::env::temp_dir().join(format!("nswatch-doc-path-{}", std::process::id()));
    /// # std::fs::create_dir(&dir)?;
    /// # std::fs::write(dir.join("blue"), "")?;
    /// let event = Watcher::named(&Options::new().dir(&dir)?)?.next().unwrap()?;
    /// assert_eq!(event.path(), Some(dir.join("blue")));
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> Option<PathBuf> {
        if let EventKind::NetnsNew { path, .. } = &self.kind {
            return path.as_deref().map(Path::to_owned);
        }
        let dir = self.dir.as_ref()?;
        Some(Path::new(OsStr::from_bytes(dir.to_bytes())).join(self.name()?))
    }

    /// The namespace of a `Ready`, `NetnsNew` or `NetnsDel`.
    pub fn netns(&self) -> Option<&Netns> {
        match &self.kind {
            EventKind::Ready(_, netns) | EventKind::NetnsNew { netns, .. } | EventKind::NetnsDel(netns) => Some(netns),
            _ => None,
        }
    }

    /// A process or thread that was in the namespace of a `NetnsNew` when the watcher found it.
    pub fn pid(&self) -> Option<i32> {
        match self.kind {
            EventKind::NetnsNew { pid, .. } => pid,
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    /// One line for people: `ready blue net:[4026532177]`, `nsid_new 3 in 7 (replayed)`, `netns_new net:[4026532177]
    /// /run/netns/blue`. Names and paths are [`printable`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.type_name())?;
        if let Some(name) = self.name() {
            write!(f, " {name}")?;
        }
        if let Some(netns) = self.netns() {
            write!(f, " {netns}")?;
        }
        if let EventKind::NetnsNew { path: Some(path), .. } = &self.kind {
            write!(f, " {}", printable(path.as_os_str()))?;
        }
        if let EventKind::NsidNew { nsid, origin, .. } | EventKind::NsidDel { nsid, origin } = self.kind {
            write!(f, " {nsid}")?;
            if let Some(origin) = origin {
                write!(f, " in {origin}")?;
            }
        }
        match self.replayed {
            true => f.write_str(" (replayed)"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_words_that_a_terminal_does_not_obey() {
        let name = Name::new(c"\x1b[2Jready\nblue\xff (replayed)");
        assert_eq!(name.to_string(), r"\u{1b}[2Jready\nblue\xff\x20(replayed)");
        assert_eq!(format!("{:<6}|", Name::new(c"blue")), "blue  |");
        let event = Event { kind: EventKind::Detached(name), replayed: true, time: Duration::ZERO, dir: None };
        assert_eq!(event.to_string(), r"detached \u{1b}[2Jready\nblue\xff\x20(replayed) (replayed)");
    }
}
