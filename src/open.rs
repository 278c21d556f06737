//! Opening a watcher: which source it gets, and whether a queue stands in front of it.
//!
//! This is the only file that knows all sources.

use std::sync::Arc;

use crate::all::All;
use crate::error::{Doing, Result};
use crate::named::Named;
use crate::nsid::Nsid;
use crate::options::{Options, Watched};
use crate::outbox::Outbox;
use crate::place::Place;
use crate::queue::Queue;
use crate::source::Source;
use crate::sys::Epoll;
use crate::watcher::Watcher;

impl Watcher {
    /// Watches the names in a directory, `/run/netns` by default.
    ///
    /// # Errors
    /// `EINVAL`: an option that only other watchers have. `ENOTDIR`: a part of the path is not a directory.
    /// `EACCES`: the directory may not be read or searched. `ENOENT`: it is missing, with [`Options::parent`]
    /// switched off. `ELOOP`: too many symbolic links on the way to it, or, with [`Options::symlinks`] switched
    /// off, one that root does not own. `ENAMETOOLONG`: as in `open(2)`. `E2BIG`: it has more names than
    /// [`Options::max_names`]. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`: a limit was reached; the error's text
    /// says which to raise. `EPERM`, `ENOSYS`, `EACCES`: a seccomp filter or a security policy refuses a system
    /// call that has no fallback; the text names it.
    pub fn named(options: &Options) -> Result<Self> {
        options.check(Watched::Names)?;
        let (epoll, mut out) = front()?;
        let source = Named::open(options, Arc::clone(&epoll), &mut out)?;
        let place = source.place();
        finish(Box::new(source), out, epoll, options, Some(place))
    }

    /// Watches the ids that the kernel assigns to peers of the network namespace that the calling thread is in.
    ///
    /// The watcher goes on about that namespace wherever the thread goes, and keeps it alive. Only by
    /// [`Options::all_nsid`] does it take privilege.
    ///
    /// ```
    /// use nswatch::{EventKind, Options, Watcher};
    ///
    /// for event in Watcher::nsid(&Options::new())? {
    ///     match event?.kind() {
    ///         EventKind::NsidNew { nsid, .. } => println!("a peer is {nsid} here"),
    ///         EventKind::NsidDel { nsid, .. } => println!("{nsid} is gone"),
    ///         EventKind::Synced => break, // all that exist have been reported
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), nswatch::Error>(())
    /// ```
    ///
    /// After an [`Overflow`](crate::EventKind::Overflow) an id that was there and is there may by now be
    /// that of another namespace, which the kernel gives no means to find out.
    ///
    /// # Errors
    /// `EINVAL`: an option that only other watchers have. `EPERM`: `CAP_NET_BROADCAST` is missing, for
    /// [`Options::all_nsid`]. `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit was reached. `EAGAIN`: the
    /// kernel was interrupted time and again.
    pub fn nsid(options: &Options) -> Result<Self> {
        options.check(Watched::Nsids)?;
        let (epoll, mut out) = front()?;
        let source = Nsid::open(options, &epoll, &mut out)?;
        finish(Box::new(source), out, epoll, options, None)
    }

    /// Watches every network namespace of the host that can be seen, with or without a name.
    ///
    /// A namespace exists as long as a process, a mount, a descriptor or a socket keeps it. One that lives too briefly to be
    /// looked at may be left out. What the watcher sees, and when, depends on privileges: see [`Feature::Births`],
    /// [`Feature::Deaths`] and [`Feature::ListNs`]. `docs/all.md` of the package has the whole table.
    ///
    /// ```
    /// use nswatch::{EventKind, Options, Watcher};
    ///
    /// for event in Watcher::all(&Options::new())? {
    ///     match event?.kind() {
    ///         EventKind::NetnsNew { netns, pid, .. } => println!("{netns} exists, {pid:?} is in it"),
    ///         EventKind::NetnsDel(netns) => println!("{netns} is gone"),
    ///         EventKind::Synced => break, // all that exist have been reported
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), nswatch::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EINVAL`: an option that only other watchers have. `EOPNOTSUPP`: /proc is not mounted, or not that of
    /// this process. `E2BIG`: there are more namespaces than [`Options::max_names`]. `EAGAIN`: `RLIMIT_NPROC`
    /// prevents starting the thread that makes the observation post, which ends before this returns. `EMFILE`,
    /// `ENFILE`, `ENOMEM`, `ENOSPC`, `ENOBUFS`: a limit was reached. `EPERM`, `ENOSYS`, `EACCES`: a seccomp
    /// filter or a security policy refuses a system call that has no fallback; the text names it.
    ///
    /// [`Feature::Births`]: crate::Feature::Births
    /// [`Feature::Deaths`]: crate::Feature::Deaths
    /// [`Feature::ListNs`]: crate::Feature::ListNs
    pub fn all(options: &Options) -> Result<Self> {
        options.check(Watched::Everything)?;
        let (epoll, mut out) = front()?;
        let source = All::open(options, &epoll, &mut out)?;
        let place = source.place();
        finish(Box::new(source), out, epoll, options, Some(place))
    }
}

/// What a watcher has besides its source.
fn front() -> Result<(Arc<Epoll>, Outbox)> {
    Ok((Arc::new(Epoll::new().doing("make an epoll descriptor")?), Outbox::default()))
}

/// Makes the watcher, and puts a reader thread and a queue in front of it if the options ask for that.
fn finish(
    source: Box<dyn Source>,
    out: Outbox,
    epoll: Arc<Epoll>,
    options: &Options,
    place: Option<Place>,
) -> Result<Watcher> {
    let dir = out.dir.clone();
    let watcher = Watcher::new(source, out, epoll, place, options.links)?;
    let Some((capacity, policy)) = options.queue else { return Ok(watcher) };
    let (epoll, mut out) = front()?;
    out.dir = dir;
    let queue = Queue::start(watcher, place, options, capacity, policy, (&epoll, &out))?;
    Watcher::new(Box::new(queue), out, epoll, place, options.links)
}
