//! Opens a watcher: chooses the source, and puts a queue in front of it on request.
//!
//! Only this file knows all sources.

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
    /// - `EINVAL`: an option is set that only other watchers have.
    /// - `ENOTDIR`: a part of the path is not a directory.
    /// - `EACCES`: the caller may not read or search the directory.
    /// - `ENOENT`: the directory is missing, and [`Options::parent`] is off.
    /// - `ELOOP`: too many symbolic links on the way to it, or, with [`Options::symlinks`] off, one that root does not
    ///   own.
    /// - `ENAMETOOLONG`: as in `open(2)`.
    /// - `E2BIG`: the directory has more names than [`Options::max_names`].
    /// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`: a limit is reached; the error's text names the limit to raise.
    /// - `EPERM`, `ENOSYS`, `EACCES`: a seccomp filter or a security policy refuses a system call that has no fallback;
    ///   the text names it.
    pub fn named(options: &Options) -> Result<Self> {
        options.check(Watched::Names)?;
        let (epoll, mut out) = front()?;
        let source = Named::open(options, Arc::clone(&epoll), &mut out)?;
        let place = source.place();
        finish(Box::new(source), out, epoll, options, Some(place))
    }

    /// Watches the nsids that the kernel assigns to peers of the network namespace of the calling thread.
    ///
    /// The watcher stays with that namespace wherever the thread goes, and keeps it alive. It requires no privilege,
    /// except with [`Options::all_nsid`].
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
    /// After an [`Overflow`](crate::EventKind::Overflow), an nsid that existed before and still exists may belong to
    /// another namespace. The kernel does not show that.
    ///
    /// # Errors
    /// - `EINVAL`: an option is set that only other watchers have.
    /// - `EPERM`: [`Options::all_nsid`] requires `CAP_NET_BROADCAST`.
    /// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`: a limit is reached.
    /// - `EAGAIN`: changes kept interrupting the kernel's answer.
    pub fn nsid(options: &Options) -> Result<Self> {
        options.check(Watched::Nsids)?;
        let (epoll, mut out) = front()?;
        let source = Nsid::open(options, &epoll, &mut out)?;
        finish(Box::new(source), out, epoll, options, None)
    }

    /// Watches every network namespace of the host that the caller can see, with or without a name.
    ///
    /// A namespace exists as long as a process, a mount, a descriptor or a socket keeps it. The watcher may miss one
    /// that dies before the watcher can identify it. What the watcher sees, and when, depends on privileges: see
    /// [`Feature::Births`], [`Feature::Deaths`] and [`Feature::ListNs`]. `docs/all.md` of the package has the complete
    /// table.
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
    /// - `EINVAL`: an option is set that only other watchers have.
    /// - `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace.
    /// - `E2BIG`: there are more namespaces than [`Options::max_names`].
    /// - `EAGAIN`: `RLIMIT_NPROC` prevents starting the thread that makes the observation post, and that ends before
    ///   this returns.
    /// - `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`, `ENOBUFS`: a limit is reached.
    /// - `EPERM`, `ENOSYS`, `EACCES`: a seccomp filter or a security policy refuses a system call that has no fallback;
    ///   the text names it.
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

/// The parts of a watcher besides its source.
fn front() -> Result<(Arc<Epoll>, Outbox)> {
    Ok((Arc::new(Epoll::new().doing("make an epoll descriptor")?), Outbox::default()))
}

/// Makes the watcher, with a reader thread and a queue in front if the options ask for them.
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
