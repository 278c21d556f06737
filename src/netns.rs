//! Which network namespace is this? The identity of a namespace, how to open exactly that one, whether it lives, and how
//! to run something inside.

// Every source and every binding identifies namespaces by this module and by nothing else. Two ways lead to an
// identity. Since Linux 6.18 a file handle gives all of it in one system call, without opening anything. Before, or
// where a filter refuses handles, the namespace is opened for a moment, and nothing but a namespace is ever opened.
// Both ways give the same numbers. The module knows no event and no watcher.

mod probe;
mod process;

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{Doing, Error, Result, errno_of, is_refused, is_transient};
use crate::options::DEFAULT_DIR;
use crate::sys::{self, CWD};
use crate::walk::{Links, walk_to};
use probe::identify;
pub(crate) use probe::{Found, Probe, identify_open, of_calling_thread, open_path, try_own};
use process::open_for_pid;
pub(crate) use process::{of_process, open_for_pidfd};

/// Which network namespace: a value to keep, compare, send and use as a key.
///
/// It holds no descriptor and keeps nothing alive. It means something on this host until the host reboots.
///
/// From Linux 6.18 on, two values are equal exactly if they are the same namespace, however they were obtained. Before,
/// the kernel has no number for a namespace that it never reuses: compare with [`same`](Self::same), which uses what
/// both values have.
///
/// ```
/// use nswatch::Netns;
///
/// let own = Netns::for_pid(std::process::id() as i32)?;
/// assert!(own.same(&Netns::for_name("/proc/self/ns/net")?));
/// assert!(own.same(&Netns::new(own.dev(), own.ino(), own.cookie().unwrap_or(0), own.stamp().unwrap_or(0))));
/// # Ok::<(), nswatch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Netns {
    dev: u64,
    ino: u64,
    cookie: u64,
    stamp: u64,
}

impl Netns {
    /// Puts an identity together again from its numbers; 0 is "none" for the cookie and the stamp.
    pub const fn new(dev: u64, ino: u64, cookie: u64, stamp: u64) -> Self {
        Self { dev, ino, cookie, stamp }
    }

    /// The device number of the namespace's file (`st_dev`).
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// The inode number of the namespace's file (`st_ino`), the one in `net:[…]`. The kernel recycles these numbers.
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// The number that the kernel never reuses (`NS_GET_ID`, `SO_NETNS_COOKIE`), on Linux 6.18 and later.
    pub fn cookie(&self) -> Option<u64> {
        (self.cookie != 0).then_some(self.cookie)
    }

    /// Where there is no cookie and a mount pins the inode, as with a name: the inode's change time in nanoseconds, which
    /// distinguishes this namespace from a later one with the same inode number.
    pub fn stamp(&self) -> Option<u64> {
        (self.stamp != 0).then_some(self.stamp)
    }

    /// Identifies an open network namespace. An `O_PATH` descriptor will do.
    ///
    /// # Errors
    /// `EBADF`: it is not open. `EINVAL`: it is no namespace. `EPROTOTYPE`: it is a namespace of another kind. `EMFILE`,
    /// `ENFILE`, `ENOMEM`: a limit was reached. `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace.
    ///
    /// ```
    /// use nswatch::Netns;
    ///
    /// let own = std::fs::File::open("/proc/self/ns/net")?;
    /// assert_eq!(Netns::for_fd(&own)?, Netns::for_pid(std::process::id() as i32)?);
    /// assert!(Netns::for_fd(std::io::stdin()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_fd(fd: impl AsFd) -> Result<Self> {
        identify(fd.as_fd()).map(|found| found.netns).map_err(|error| match error.raw_os_error() {
            Some(libc::ENODEV) => Error::invalid(IDENTIFY, "the descriptor is not that of a namespace"),
            _ => Error::of(&error, IDENTIFY),
        })
    }

    /// Identifies the network namespace of a process, or of a thread, of the caller's pid namespace.
    ///
    /// # Errors
    /// `EINVAL`: `pid` is not positive. `ESRCH`: no such process or thread, or it has ended. (Where the first thread has
    /// ended and others have not, ask by the number of one of these.) `EACCES`: no ptrace access to the process, see
    /// ptrace(2), `PTRACE_MODE_READ_FSCREDS`: that takes its user, or `CAP_SYS_PTRACE` over it.
    /// `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace. `EMFILE`, `ENFILE`, `ENOMEM`: a limit was
    /// reached.
    ///
    /// ```
    /// assert_eq!(nswatch::Netns::for_pid(0).unwrap_err().errno(), 22); // EINVAL
    /// ```
    pub fn for_pid(pid: i32) -> Result<Self> {
        let namespace = open_for_pid(pid).map_err(|error| of_process(error).on(format!("of process {pid}")))?;
        Self::for_fd(namespace)
    }

    /// Identifies the network namespace of the process that a pidfd refers to: unlike a pid, it is never reused.
    ///
    /// By `PIDFD_GET_NET_NAMESPACE` (Linux 6.11), before that by /proc.
    ///
    /// # Errors
    /// `EBADF`: it is no pidfd. `ESRCH`: the process has ended. Otherwise as [`for_pid`](Self::for_pid).
    pub fn for_pidfd(pidfd: impl AsFd) -> Result<Self> {
        Self::for_fd(open_for_pidfd(pidfd.as_fd()).map_err(of_process)?)
    }

    /// Identifies a named network namespace: `name` is a name in `/run/netns`, as `ip netns` makes them; if it has a `/`
    /// in it, a path.
    ///
    /// The error also says why a name is not usable. Nothing but a namespace is opened, so this neither waits for a FIFO
    /// nor sets off a device or an automount at the end of the path.
    ///
    /// # Errors
    /// `ENOENT`: nothing is there, or a dangling link. `ENODEV`: a file on which no network namespace is mounted (yet).
    /// `EPROTOTYPE`: a namespace of another kind. `EINVAL`: `name` is empty, has `..` as a component or a NUL byte in it.
    /// `EACCES`, `ELOOP`, `ENOTDIR`, `ENAMETOOLONG`: as in `open(2)`. `EMFILE`, `ENFILE`, `ENOMEM`: a limit was reached.
    /// `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace.
    ///
    /// ```
    /// use nswatch::Netns;
    ///
    /// assert!(Netns::for_name("/proc/self/ns/net").is_ok());
    /// assert_eq!(Netns::for_name("/dev/null").unwrap_err().errno(), 19); // ENODEV
    /// assert_eq!(Netns::for_name("/proc/self/ns/uts").unwrap_err().errno(), 91); // EPROTOTYPE
    /// ```
    pub fn for_name(name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        let namespace = open_name(IDENTIFY, name)?;
        Self::for_fd(namespace).map_err(|error| error.on(name))
    }

    /// Opens exactly this namespace. `path`: where it may be found; `None`: by its cookie alone, wherever it is.
    ///
    /// The descriptor is close-on-exec, and keeps the namespace alive.
    ///
    /// # Errors
    /// `ENOENT`: it is dead, or `path` does not lead to a network namespace. `ESTALE`: `path` leads to another one.
    /// `EACCES`: `path` may not be searched. `EINVAL`: `path` has a NUL byte in it. `EPERM`: to open it by its cookie
    /// takes `CAP_SYS_ADMIN`, in the initial user and pid namespaces to be sure that it is dead. `EOPNOTSUPP`: it has no
    /// cookie (before Linux 6.18), so that a path is needed. `EMFILE`, `ENFILE`, `ENOMEM`: a limit was reached.
    ///
    /// From Linux 7.0 on, a namespace that only sockets keep is not found by its cookie.
    pub fn open(&self, path: Option<&Path>) -> Result<OwnedFd> {
        match path {
            Some(path) => {
                let terminated = CString::new(path.as_os_str().as_bytes())
                    .map_err(|_| Error::invalid(OPEN, "the path has a NUL byte in it").on(path))?;
                self.check_opened(open_path(CWD, &terminated, Links::All), path)
            }
            None => self.open_by_cookie(),
        }
    }

    /// Opens exactly this namespace under a name in a directory, without following a link there, or one on the way to the
    /// directory that is not root's.
    pub(crate) fn open_in(&self, dir: &CStr, name: &CStr, path: &Path) -> Result<OwnedFd> {
        let links = Links::RootsOnTheWay;
        self.check_opened(walk_to(dir, links).and_then(|dir| open_path(dir.as_fd(), name, links)), path)
    }

    /// Passes on what was opened at a path if it is this namespace.
    fn check_opened(&self, opened: io::Result<OwnedFd>, path: &Path) -> Result<OwnedFd> {
        match opened.and_then(|fd| Ok((identify_open(fd.as_fd())?.netns, fd))) {
            Ok((netns, namespace)) if self.same(&netns) => Ok(namespace),
            Ok(_) => Err(Error::new(libc::ESTALE, OPEN).on(path)),
            Err(error)
                if is_transient(&error) || is_refused(&error) || error.kind() == io::ErrorKind::PermissionDenied =>
            {
                Err(error).doing_on(OPEN, path)
            }
            Err(_) => Err(Error::new(libc::ENOENT, OPEN).on(path)),
        }
    }

    fn open_by_cookie(&self) -> Result<OwnedFd> {
        let refused = |errno, why| Err(Error::new(errno, OPEN).because(why).on(self.to_string()));
        let Some(cookie) = self.cookie() else {
            return refused(libc::EOPNOTSUPP, "it has no cookie (before Linux 6.18): a path to it is needed");
        };
        // an inode number of nsfs has 32 bits: no namespace has this one
        let Ok(ino) = u32::try_from(self.ino) else {
            return refused(libc::ENOENT, "no namespace has this inode number");
        };
        match sys::open_by_cookie(cookie, ino) {
            Ok(namespace) => Ok(namespace),
            Err(error) => match errno_of(&error) {
                // Linux 6.18 takes no cookie without the inode number, not even that of the own namespace
                libc::ESTALE if ino == 0 && !opens_by_cookie_alone() => {
                    refused(libc::EOPNOTSUPP, "opening by the cookie without the inode number needs Linux 6.19")
                }
                // the kernel says so of a dead one, and of one that is out of our reach
                libc::ESTALE if sys::sees_all_namespaces() => refused(libc::ENOENT, "it is dead"),
                // with all rights it is a filter that refuses
                libc::EPERM if sys::sees_all_namespaces() => {
                    refused(libc::EOPNOTSUPP, "a filter forbids open_by_handle_at(2)")
                }
                libc::ESTALE | libc::EPERM => refused(
                    libc::EPERM,
                    "it is dead, or out of reach: to know takes CAP_SYS_ADMIN in the initial user and pid namespaces",
                ),
                libc::EBADF | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS => {
                    refused(libc::EOPNOTSUPP, "opening by cookie needs Linux 6.18, and a filter that permits it")
                }
                _ => Err(error).doing_on(OPEN, self.to_string()),
            },
        }
    }

    /// Whether two identities are of the same namespace: by cookie where both have one; else by device and inode, and by
    /// the stamps where both have one.
    pub fn same(&self, other: &Self) -> bool {
        match (self.cookie(), other.cookie()) {
            (Some(cookie), Some(others)) => cookie == others,
            _ => {
                let stamps = self.stamp().zip(other.stamp());
                (self.dev, self.ino) == (other.dev, other.ino) && stamps.is_none_or(|(stamp, others)| stamp == others)
            }
        }
    }

    /// Whether the namespace lives: a process, a mount, a descriptor or a socket keeps it. The answer is `false` only
    /// where the kernel's answer is certain.
    ///
    /// # Errors
    /// `EPERM`, `EOPNOTSUPP`: it cannot be known here, as with [`open`](Self::open) by cookie. `EMFILE`, `ENFILE`,
    /// `ENOMEM`: a limit was reached.
    ///
    /// From Linux 7.0 on, a namespace that only sockets keep counts as dead.
    pub fn is_alive(&self) -> Result<bool> {
        match self.open_by_cookie() {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == libc::ENOENT => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Display for Netns {
    /// As /proc and other tools write it: `net:[4026531840]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "net:[{}]", self.ino)
    }
}

const IDENTIFY: &str = "identify the network namespace";
const OPEN: &str = "open the network namespace";
// the bindings have the same sentence
const ENTERING_TAKES: &str = "setns(2) requires CAP_SYS_ADMIN in the caller's user namespace and in the one that owns the \
                              network namespace, and no filter against it";

/// Runs a closure inside an open network namespace, and returns what it returns.
///
/// It runs on a thread of its own, which blocks the signals that the calling one blocks, and ends before this returns: the
/// calling thread stays where it is. Sockets that the closure opens stay in the namespace, and processes that it starts are
/// in it. If it panics, so does this. /sys keeps showing the namespace that it was mounted in.
///
/// # Errors
/// `EPERM`: `CAP_SYS_ADMIN` is missing, in the caller's user namespace or in the one that owns the namespace. `EINVAL`: it
/// is not a network namespace. `EAGAIN`: `RLIMIT_NPROC` prevents starting a thread. Then the closure has not run.
///
/// ```no_run
/// use nswatch::{EventKind, Options, Watcher, netns};
///
/// let mut watcher = Watcher::named(&Options::new())?;
/// while let Some(event) = watcher.wait(None)? {
///     if let EventKind::Ready(name, _) = event.kind() {
///         let inside = |namespace| netns::enter(namespace, || std::net::UdpSocket::bind("127.0.0.1:53"));
///         match watcher.open_netns(&event).and_then(inside) {
///             Ok(socket) => println!("{name}: {socket:?}"),
///             // ENOENT, ESTALE: it is gone or replaced already, and the next event says so
///             Err(error) => eprintln!("{name}: {error}"),
///         }
///     }
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn enter<T: Send>(namespace: impl AsFd, body: impl FnOnce() -> T + Send) -> Result<T> {
    const ENTER: &str = "enter the network namespace";
    let namespace = namespace.as_fd();
    let blocked = sys::Blocked::of_calling_thread();
    let run = || {
        sys::enter_net_namespace(namespace)?;
        // a process that the closure starts keeps what its thread blocks
        blocked.set();
        Ok(body())
    };
    match sys::in_own_thread(run).doing(ENTER)? {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let error = Error::of(&error, ENTER);
            let error = if error.errno() == libc::EPERM { error.because(ENTERING_TAKES) } else { error };
            // what is no namespace has no name
            Err(Netns::for_fd(namespace).map_or(error.clone(), |netns| error.on(netns.to_string())))
        }
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Opens a named network namespace: see [`Netns::for_name`].
pub(crate) fn open_name(doing: &'static str, name: &OsStr) -> Result<OwnedFd> {
    let invalid = |why| Error::invalid(doing, why).on(name);
    if name.is_empty() || Path::new(name).components().any(|part| part == Component::ParentDir) {
        return Err(invalid("a name must not be empty, nor have .. as a component"));
    }
    let path = match name.as_bytes().contains(&b'/') {
        true => Path::new(name).to_owned(),
        false => Path::new(DEFAULT_DIR).join(name),
    };
    let path =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid("a name must not have a NUL byte in it"))?;
    open_path(CWD, &path, Links::All).doing_on(doing, name)
}

/// Whether this kernel opens a namespace by its cookie without the inode number, tried with the own one.
fn opens_by_cookie_alone() -> bool {
    of_calling_thread().is_ok_and(|own| sys::open_by_cookie(own.cookie, 0).is_ok())
}
