//! Network namespace ids: ask for them, assign them, translate them. [`Watcher::nsid`](crate::Watcher::nsid) watches them.
//!
//! The kernel can give a network namespace an id in another one, its peer: the number names the one in the other, and
//! nowhere else. Each function opens a socket, asks, and closes it. A socket belongs to the namespace of the thread that
//! made it, so all functions ask and assign in the namespace that the *calling thread* is in.
//!
//! All require Linux 4.0, unless a function says otherwise.

// source → kernel → listing, listener → request → wire; the state is pure and knows none of them
mod kernel;
pub(crate) mod listener;
mod listing;
pub(crate) mod request;
mod source;
mod state;
pub(crate) mod wire;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::census::census_alone;
use crate::error::{Doing, Error, Result};
use crate::netns::{self, Netns};
use crate::sys;
use request::{Listed, Listing, NetlinkError, RequestSocket};
pub(crate) use source::Nsid;
pub(crate) use state::Id;
use wire::Attributes;

const ASK: &str = "ask for an nsid";
const ASK_OF: &str = "ask for the nsid of the namespace";
const ASSIGN: &str = "assign an nsid";
const TRANSLATE: &str = "translate an nsid";
const LIST: &str = "list the nsids";

fn request_socket(doing: &'static str) -> Result<RequestSocket> {
    RequestSocket::open().doing(doing)
}

/// The id that the network namespace of a process has here; `None` if it has none.
///
/// `pid` is a process, or a thread, of the caller's pid namespace.
///
/// # Errors
/// `EINVAL`: `pid` is not positive. `ESRCH`: there is no such process. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a
/// limit was reached.
///
/// ```
/// match nswatch::nsid::get_for_pid(std::process::id() as i32)? {
///     Some(nsid) => println!("the own namespace is {nsid} to itself"),
///     None => println!("the own namespace has no id, as usual"),
/// }
/// assert!(nswatch::nsid::get_for_pid(0).is_err());
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn get_for_pid(pid: i32) -> Result<Option<i32>> {
    let refused = |error: Error| error.on(format!("of process {pid}"));
    let number = u32::try_from(pid).ok().filter(|pid| *pid > 0);
    let number = number.ok_or_else(|| refused(Error::invalid(ASK_OF, "a pid is a positive number")))?;
    let whose = Attributes { pid: Some(number), ..Attributes::default() };
    request_socket(ASK_OF)?.get(whose).map_err(|error| refused(error.doing(ASK_OF)))
}

/// The id that an open network namespace has here; `None` if it has none.
///
/// # Errors
/// `EINVAL`: `namespace` is something else. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit was reached.
///
/// ```
/// use nswatch::nsid;
///
/// let own = nsid::open("/proc/self/ns/net")?;
/// assert_eq!(nsid::get_for_fd(&own)?, nsid::get_for_pid(std::process::id() as i32)?);
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn get_for_fd(namespace: impl AsFd) -> Result<Option<i32>> {
    let fd = Some(namespace.as_fd().as_raw_fd().unsigned_abs());
    request_socket(ASK)?.get(Attributes { fd, ..Attributes::default() }).map_err(|error| error.doing(ASK))
}

/// The id that a named network namespace has here; `None` if it has none.
///
/// The name is as in [`open`].
///
/// # Errors
/// As [`open`]; and `ENOBUFS`: a limit was reached.
///
/// ```
/// use nswatch::nsid;
///
/// assert_eq!(nsid::get_for_name("/proc/self/ns/net")?, nsid::get_for_pid(std::process::id() as i32)?);
/// assert!(nsid::get_for_name("../blue").is_err());
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn get_for_name(name: impl AsRef<OsStr>) -> Result<Option<i32>> {
    let name = name.as_ref();
    get_for_fd(netns::open_name(ASK_OF, name)?).map_err(|error| error.on(name))
}

/// The id that the network namespace of the process behind a pidfd has here; `None` if it has none.
///
/// # Errors
/// As [`Netns::for_pidfd`]; and `ENOBUFS`: a limit was reached.
pub fn get_for_pidfd(pidfd: impl AsFd) -> Result<Option<i32>> {
    get_for_fd(netns::open_for_pidfd(pidfd.as_fd()).map_err(netns::of_process)?)
}

/// The id that the network namespace `namespace` has in the namespace `place`, whatever namespace the calling thread is
/// in; `None` if it has none there.
///
/// Where `place` is that of the calling thread, this takes no privilege. Else the kernel is asked by the id that `place`
/// has here, which takes `CAP_NET_ADMIN` over it (Linux 5.0); where it has none, or that is refused, a thread that lives
/// for this call goes there, which takes `CAP_SYS_ADMIN` here and over `place`.
///
/// # Errors
/// `EINVAL`: a descriptor is not that of a network namespace. `EPERM`: the privileges above are missing. `EAGAIN`:
/// `RLIMIT_NPROC` prevents starting the thread. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit was reached.
///
/// ```
/// use nswatch::nsid;
///
/// let own = nsid::open("/proc/thread-self/ns/net")?;
/// assert_eq!(nsid::get_as_seen_from(&own, &own)?, nsid::get_for_fd(&own)?);
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn get_as_seen_from(place: impl AsFd, namespace: impl AsFd) -> Result<Option<i32>> {
    let (place, namespace) = (place.as_fd(), namespace.as_fd());
    // which also refuses what is not open, or not a namespace, before anybody asks elsewhere
    let here = get_for_fd(namespace)?;
    if Netns::for_fd(place)?.same(&netns::of_calling_thread().doing(ASK)?) {
        return Ok(here);
    }
    if let Some(target) = get_for_fd(place)? {
        let fd = Some(namespace.as_raw_fd().unsigned_abs());
        let question = Attributes { fd, target: Some(target), ..Attributes::default() };
        let answer = request_socket(ASK)?.checked().get(question);
        let errno = answer.as_ref().err().and_then(NetlinkError::answer);
        // it may not be asked, or has died and its nsid is another's by now: the descriptor still leads there
        if !matches!(errno, Some(libc::EACCES | libc::EPERM | libc::EINVAL | libc::EOPNOTSUPP)) {
            return answer.map_err(|error| error.doing(ASK));
        }
    }
    let ask = || {
        sys::enter_net_namespace(place).doing("enter the network namespace to ask in")?;
        get_for_fd(namespace)
    };
    let panicked = |_| Err(Error::new(libc::ENOTRECOVERABLE, ASK));
    sys::in_own_thread(ask).doing("start a thread")?.unwrap_or_else(panicked)
}

impl Netns {
    /// Identifies the network namespace that has an id in the namespace of the calling thread, by going through
    /// [all that can be seen](crate::census).
    ///
    /// # Errors
    /// `EINVAL`: `nsid` is negative. `ENOENT`: no namespace has the id, or the one that has it cannot be seen. `ENOBUFS`:
    /// a limit was reached; and as [`census`](crate::census).
    pub fn for_nsid(nsid: i32) -> Result<Self> {
        const FIND: &str = "find the network namespace with the nsid";
        let refused = |errno, why| Error::new(errno, FIND).on(nsid.to_string()).because(why);
        if nsid < 0 {
            return Err(refused(libc::EINVAL, "an nsid is not negative"));
        }
        let mut socket = request_socket(FIND)?.checked();
        if !socket.exists(nsid).map_err(|error| error.doing(FIND))? {
            return Err(refused(libc::ENOENT, "no network namespace has this nsid here"));
        }
        for sighting in census_alone()? {
            // what has died meanwhile is not the one
            let Some(namespace) = sighting.open()? else { continue };
            let fd = Some(namespace.as_raw_fd().unsigned_abs());
            let found = socket.get(Attributes { fd, ..Attributes::default() });
            if found.map_err(|error| error.doing(FIND))? == Some(nsid) {
                return Ok(sighting.netns);
            }
        }
        Err(refused(libc::ENOENT, "its namespace is out of sight: no mount, process or descriptor here shows it"))
    }
}

/// Opens a named network namespace, to [`assign`] it an id.
///
/// `name` is a name in `/run/netns`, as `ip netns` makes them; if it has a `/` in it, a path. Nothing but a namespace
/// is ever opened, so it does not wait for a FIFO. Needs /proc.
///
/// # Errors
/// As [`Netns::for_name`](crate::Netns::for_name).
///
/// ```
/// // nothing but a network namespace is opened
/// assert!(nswatch::nsid::open("/proc/self/ns/net").is_ok());
/// assert!(nswatch::nsid::open("/proc/self/ns/uts").is_err());
/// assert!(nswatch::nsid::open("/dev/null").is_err());
/// ```
pub fn open(name: impl AsRef<OsStr>) -> Result<OwnedFd> {
    netns::open_name("open the network namespace", name.as_ref())
}

/// Gives an open network namespace an id here, for as long as it lives; `None`: the lowest that is free. The id.
///
/// When the namespace dies its id becomes free at once and a [watcher](crate::Watcher::nsid) reports it: an id is also
/// a notice of death for a namespace that has no name.
///
/// # Errors
/// `EINVAL`: `wanted` is negative, or `namespace` is something else. `EEXIST`: it has an id already, or another has
/// the wanted one. `EPERM`: `CAP_NET_ADMIN` over the namespace that the calling thread is in is missing. `EMFILE`,
/// `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit was reached.
///
/// ```no_run
/// use nswatch::nsid;
///
/// // who has no name: the process 4711
/// let namespace = nsid::open("/proc/4711/ns/net")?;
/// let id = nsid::assign(&namespace, None)?;
/// println!("it is {id} here, and a watcher reports when it dies");
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn assign(namespace: impl AsFd, wanted: Option<i32>) -> Result<i32> {
    if wanted.is_some_and(|nsid| nsid < 0) {
        return Err(Error::new(libc::EINVAL, ASSIGN));
    }
    let fd = namespace.as_fd().as_raw_fd().unsigned_abs();
    let mut socket = request_socket(ASSIGN)?.checked();
    socket.assign(fd, wanted.unwrap_or(-1)).map_err(|error| error.doing(ASSIGN))?;
    // the kernel does not say which it took
    let given = socket.get(Attributes { fd: Some(fd), ..Attributes::default() });
    given.map_err(|error| error.doing(ASSIGN))?.ok_or_else(|| Error::new(libc::EIO, ASSIGN))
}

/// The id here of the namespace that has the id `nsid` in the peer `from`; `None` if it has none here.
///
/// # Errors
/// `EINVAL`: an id is negative, or no peer has the id `from` here. `ENOENT`: `from` has no such `nsid`. `EACCES`:
/// `CAP_NET_ADMIN` over `from` is missing. `EOPNOTSUPP`: before Linux 5.0. `EOVERFLOW`: `from` has more ids than the
/// kernel lists, 900 on Linux 6.18, and `nsid` comes after them. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`:
/// a limit was reached.
///
/// ```no_run
/// use nswatch::{EventKind, Options, Watcher, nsid};
///
/// for event in Watcher::nsid(&Options::new().all_nsid(true))? {
///     if let EventKind::NsidNew { nsid, origin: Some(peer), .. } = *event?.kind() {
///         println!("{nsid} in {peer} is {:?} here", nsid::translate(nsid, peer)?);
///     }
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn translate(nsid: i32, from: i32) -> Result<Option<i32>> {
    if nsid < 0 || from < 0 {
        return Err(Error::new(libc::EINVAL, TRANSLATE));
    }
    // The kernel answers the question in the other direction only; but it lists `from` with the ids that they have here.
    let Listing { ids, until } =
        request_socket(TRANSLATE)?.checked().list(Some(from)).map_err(|error| error.doing(TRANSLATE))?;
    match ids.binary_search_by_key(&nsid, |listed| listed.nsid).ok().and_then(|at| ids.get(at)) {
        Some(Listed { here, .. }) => Ok(*here),
        None if nsid > until => Err(Error::new(libc::EOVERFLOW, TRANSLATE)),
        None => Err(Error::new(libc::ENOENT, TRANSLATE)),
    }
}

/// All ids that are assigned here, in ascending order.
///
/// A list is one moment's only where nothing changes: to know of all changes, [watch](crate::Watcher::nsid). Linux 6.18
/// itself lists the first 1158 only. For those after them this asks about number after number, and about the namespaces
/// that [can be seen](crate::census), as far as a budget goes; `docs/nsid.md` says what can escape it.
///
/// # Errors
/// `EOVERFLOW`: there are more ids than the kernel lists, and the budget was spent before there was an end of them, as
/// where they are far apart. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit was reached. `EAGAIN`: the kernel was
/// interrupted time and again. `EOPNOTSUPP`: before Linux 4.2.
///
/// ```
/// let ids = nswatch::nsid::list()?;
/// assert!(ids.is_sorted());
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn list() -> Result<Vec<i32>> {
    let mut socket = request_socket(LIST)?.checked();
    let here = listing::list_here(&mut socket, &|_| BTreeSet::new(), true)?;
    match here.complete {
        true => Ok(here.ids),
        false => Err(Error::new(libc::EOVERFLOW, LIST)),
    }
}
