//! Nsids: get, assign and translate the numbers of network namespaces in others.
//! [`Watcher::nsid`](crate::Watcher::nsid) watches them.
//!
//! An nsid is the number that the kernel gives to one network namespace, a peer, inside another one. It is valid only
//! there. Each function opens a socket, asks, and closes it. A socket belongs to the namespace of the thread that made
//! it, so these functions work in the namespace of the *calling thread*.
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

use crate::census::{Reach, reach_each};
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

/// Gets the nsid that the network namespace of a process has here; `None`: no nsid assigned.
///
/// `pid` is a process or thread in the caller's pid namespace.
///
/// # Errors
/// - `EINVAL`: `pid` is not positive.
/// - `ESRCH`: no such process exists.
/// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is reached.
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

/// Gets the nsid that an open network namespace has here; `None`: no nsid assigned.
///
/// # Errors
/// `EINVAL`: `namespace` does not refer to a network namespace. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is
/// reached.
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

/// Gets the nsid that a named network namespace has here; `None`: no nsid assigned.
///
/// The name is as in [`open`].
///
/// # Errors
/// As [`open`]; and `ENOBUFS`: a limit is reached.
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

/// Gets the nsid that the network namespace of the process behind a pidfd has here; `None`: no nsid assigned.
///
/// # Errors
/// As [`Netns::for_pidfd`]; and `ENOBUFS`: a limit is reached.
pub fn get_for_pidfd(pidfd: impl AsFd) -> Result<Option<i32>> {
    get_for_fd(netns::open_for_pidfd(pidfd.as_fd()).map_err(netns::of_process)?)
}

/// Gets the nsid that the network namespace `namespace` has in the namespace `place`, whatever the namespace of the
/// calling thread; `None`: no nsid assigned there.
///
/// It requires no privilege if `place` is the namespace of the calling thread. Else, if `place` has an nsid here,
/// `CAP_NET_ADMIN` over `place` suffices (Linux 5.0). Otherwise a short-lived thread enters `place`, which requires
/// `CAP_SYS_ADMIN` here and over `place`.
///
/// # Errors
/// - `EINVAL`: a descriptor does not refer to a network namespace.
/// - `EPERM`: the privileges above are missing.
/// - `EAGAIN`: `RLIMIT_NPROC` prevents starting the thread.
/// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is reached.
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
    // this refuses a closed descriptor or another kind of file, before asking elsewhere
    let here = get_for_fd(namespace)?;
    if Netns::for_fd(place)?.same(&netns::of_calling_thread().doing(ASK)?) {
        return Ok(here);
    }
    if let Some(target) = get_for_fd(place)? {
        let fd = Some(namespace.as_raw_fd().unsigned_abs());
        let question = Attributes { fd, target: Some(target), ..Attributes::default() };
        let answer = request_socket(ASK)?.checked().get(question);
        let errno = answer.as_ref().err().and_then(NetlinkError::answer);
        // not permitted, or dead and its nsid reused by now: the descriptor still leads there
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
    /// Identifies the network namespace that has an nsid in the namespace of the calling thread, by a
    /// [census](crate::census).
    ///
    /// # Errors
    /// - `EINVAL`: `nsid` is negative.
    /// - `ENOENT`: no namespace has the nsid, or the caller cannot see the namespace that has it.
    /// - `EAGAIN`: a namespace kept leaving the places where it was found.
    /// - `ENOBUFS`: a limit is reached; and as [`census`](crate::census).
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
        let mut found = None;
        let all = reach_each(&mut |sighting| {
            let namespace = match sighting.open()? {
                Ok(namespace) => namespace,
                Err(missed) => return Ok(missed),
            };
            let fd = Some(namespace.as_raw_fd().unsigned_abs());
            let its = socket.get(Attributes { fd, ..Attributes::default() }).map_err(|error| error.doing(FIND))?;
            found = (its == Some(nsid)).then_some(sighting.netns);
            Ok(if found.is_some() { Reach::Enough } else { Reach::Done })
        })?;
        found.ok_or_else(|| match all {
            true => {
                refused(libc::ENOENT, "its namespace is out of sight: no mount, process or descriptor here shows it")
            }
            false => refused(libc::EAGAIN, "a namespace kept leaving the places where it was found: try again"),
        })
    }
}

/// Opens a named network namespace, for instance to [`assign`] an nsid to it.
///
/// `name` is a name in `/run/netns`, as `ip netns` makes them; with a `/` in it, a path. It opens nothing but a
/// namespace, so it never waits for a FIFO. Requires /proc.
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

/// Assigns an nsid here to an open network namespace, for as long as that namespace lives. `None`: the lowest free one.
/// Returns the nsid.
///
/// When the namespace dies, its nsid becomes free at once, and a [watcher](crate::Watcher::nsid) reports it: so you can
/// watch for the death of a namespace that has no name.
///
/// # Errors
/// - `EINVAL`: `wanted` is negative, or `namespace` does not refer to a network namespace.
/// - `EEXIST`: it has an nsid already, or another namespace has the wanted one.
/// - `EPERM`: requires `CAP_NET_ADMIN` over the namespace of the calling thread.
/// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is reached.
///
/// ```no_run
/// use nswatch::nsid;
///
/// // a namespace without a name: that of process 4711
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
    // the kernel does not return the nsid that it took
    let given = socket.get(Attributes { fd: Some(fd), ..Attributes::default() });
    given.map_err(|error| error.doing(ASSIGN))?.ok_or_else(|| Error::new(libc::EIO, ASSIGN))
}

/// Gets the nsid here of the namespace that has the nsid `nsid` in the peer `from`; `None`: no nsid assigned here.
///
/// # Errors
/// - `EINVAL`: an nsid is negative, or no peer has the nsid `from` here.
/// - `ENOENT`: `from` has no such `nsid`.
/// - `EACCES`: requires `CAP_NET_ADMIN` over `from`.
/// - `EOPNOTSUPP`: before Linux 5.0.
/// - `EOVERFLOW`: `from` has more nsids than the kernel lists, 900 on Linux 6.18, and `nsid` comes after them.
/// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is reached.
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
    // The kernel translates in the other direction only; but it lists `from` with the nsids that they have here.
    let Listing { ids, until } =
        request_socket(TRANSLATE)?.checked().list(Some(from)).map_err(|error| error.doing(TRANSLATE))?;
    match ids.binary_search_by_key(&nsid, |listed| listed.nsid).ok().and_then(|at| ids.get(at)) {
        Some(Listed { here, .. }) => Ok(*here),
        None if nsid > until => Err(Error::new(libc::EOVERFLOW, TRANSLATE)),
        None => Err(Error::new(libc::ENOENT, TRANSLATE)),
    }
}

/// Lists the nsids assigned here, in ascending order.
///
/// The list can be outdated if nsids change meanwhile: to get all changes, [watch](crate::Watcher::nsid). Linux 6.18
/// itself lists the first 1158 only. To find the others, this asks about number after number, and about the namespaces
/// [in sight](crate::census), up to a budget; `docs/nsid.md` describes what it can miss.
///
/// # Errors
/// - `EOVERFLOW`: there are more nsids than the kernel lists, and the budget was spent before their end, for instance
///   because they are far apart.
/// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is reached.
/// - `EAGAIN`: changes kept interrupting the kernel's answer.
/// - `EOPNOTSUPP`: before Linux 4.2.
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
