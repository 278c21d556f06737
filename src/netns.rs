//! The identity of a network namespace: find it, open exactly that namespace, check that it is alive, run code inside.

// Every source and every binding identifies namespaces by this module only. There are two ways. From Linux 6.18 on, a
// file handle gives the identity in one system call, without opening anything. Before, or where a filter refuses
// handles, the module opens the namespace for a moment, and never anything else. Both ways give the same numbers. The
// module depends on no event and no watcher.

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

/// Identifies a network namespace: a value to keep, compare, send and use as a key.
///
/// It holds no descriptor and does not keep the namespace alive. It is valid on this host until the host reboots.
///
/// From Linux 6.18 on, two values are equal exactly if they identify the same namespace, however you obtained them.
/// Before, the kernel has no number that it never reuses: compare with [`same`](Self::same), which uses the numbers
/// that both values have.
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
    /// Makes an identity from its numbers; 0 means "none" for the cookie and the stamp.
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

    /// The cookie, a number that the kernel never reuses (`NS_GET_ID`, `SO_NETNS_COOKIE`), from Linux 6.18 on.
    pub fn cookie(&self) -> Option<u64> {
        (self.cookie != 0).then_some(self.cookie)
    }

    /// The inode's change time in nanoseconds, if there is no cookie and a mount pins the inode, as with a name. It
    /// distinguishes this namespace from a later one with the same inode number.
    pub fn stamp(&self) -> Option<u64> {
        (self.stamp != 0).then_some(self.stamp)
    }

    /// Identifies an open network namespace. An `O_PATH` descriptor suffices.
    ///
    /// # Errors
    /// - `EBADF`: the descriptor is not open.
    /// - `EINVAL`: it does not refer to a namespace.
    /// - `EPROTOTYPE`: it refers to a namespace of another kind.
    /// - `EMFILE`, `ENFILE`, `ENOMEM`: a limit is reached.
    /// - `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace.
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
            Some(libc::ENODEV) => Error::invalid(IDENTIFY, "the descriptor does not refer to a namespace"),
            _ => Error::of(&error, IDENTIFY),
        })
    }

    /// Identifies the network namespace of a process or thread in the caller's pid namespace.
    ///
    /// # Errors
    /// - `EINVAL`: `pid` is not positive.
    /// - `ESRCH`: no such process or thread exists, or it has ended (if the first thread of a process has ended and
    ///   others have not, pass the number of one of these).
    /// - `EACCES`: the caller lacks ptrace access to the process (see ptrace(2), `PTRACE_MODE_READ_FSCREDS`), which
    ///   requires its user or `CAP_SYS_PTRACE` over it.
    /// - `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace.
    /// - `EMFILE`, `ENFILE`, `ENOMEM`: a limit is reached.
    ///
    /// ```
    /// assert_eq!(nswatch::Netns::for_pid(0).unwrap_err().errno(), 22); // EINVAL
    /// ```
    pub fn for_pid(pid: i32) -> Result<Self> {
        let namespace = open_for_pid(pid).map_err(|error| of_process(error).on(format!("of process {pid}")))?;
        Self::for_fd(namespace)
    }

    /// Identifies the network namespace of the process that a pidfd refers to. Unlike a pid, a pidfd never comes to
    /// mean another process.
    ///
    /// Uses `PIDFD_GET_NET_NAMESPACE` (Linux 6.11), before that /proc.
    ///
    /// # Errors
    /// - `EBADF`: the descriptor is not a pidfd.
    /// - `ESRCH`: the process has ended.
    /// - Otherwise as [`for_pid`](Self::for_pid).
    pub fn for_pidfd(pidfd: impl AsFd) -> Result<Self> {
        Self::for_fd(open_for_pidfd(pidfd.as_fd()).map_err(of_process)?)
    }

    /// Identifies a named network namespace: `name` is a name in `/run/netns`, as `ip netns` makes them; with a `/` in
    /// it, a path.
    ///
    /// The error says why a name is not usable. This opens nothing but a namespace: it never waits for a FIFO, and
    /// never triggers a device or an automount at the end of the path.
    ///
    /// # Errors
    /// - `ENOENT`: the name does not exist, or is a dangling link.
    /// - `ENODEV`: a file on which no network namespace is mounted (yet).
    /// - `EPROTOTYPE`: a namespace of another kind.
    /// - `EINVAL`: `name` is empty, has `..` as a component or contains a NUL byte.
    /// - `EACCES`, `ELOOP`, `ENOTDIR`, `ENAMETOOLONG`: as in `open(2)`.
    /// - `EMFILE`, `ENFILE`, `ENOMEM`: a limit is reached.
    /// - `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace.
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

    /// Opens exactly this namespace. `path`: a path to it. `None`: by its cookie alone, wherever it is.
    ///
    /// The descriptor is close-on-exec and keeps the namespace alive.
    ///
    /// # Errors
    /// - `ENOENT`: the namespace is dead, or `path` does not lead to a network namespace.
    /// - `ESTALE`: the namespace is not at `path`, which leads to another one: it is dead or elsewhere.
    /// - `EACCES`: the caller may not search `path`.
    /// - `EINVAL`: `path` contains a NUL byte.
    /// - `EPERM`: opening by cookie requires `CAP_SYS_ADMIN`; to be sure that a namespace is dead requires it in the
    ///   initial user and pid namespaces.
    /// - `EOPNOTSUPP`: there is no cookie (before Linux 6.18), and a path is required.
    /// - `EMFILE`, `ENFILE`, `ENOMEM`: a limit is reached.
    ///
    /// From Linux 6.19 on, the kernel does not find a namespace by its cookie if only sockets keep it.
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

    /// Opens exactly this namespace under a name in a directory. Does not follow a link there, nor one on the way to
    /// the directory that root does not own.
    pub(crate) fn open_in(&self, dir: &CStr, name: &CStr, path: &Path) -> Result<OwnedFd> {
        let links = Links::RootsOnTheWay;
        self.check_opened(walk_to(dir, links).and_then(|dir| open_path(dir.as_fd(), name, links)), path)
    }

    /// Returns the opened descriptor if it refers to this namespace.
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
            return refused(libc::EOPNOTSUPP, "it has no cookie (before Linux 6.18): opening it requires a path");
        };
        // inode numbers of nsfs have 32 bits: no namespace has this one
        let Ok(ino) = u32::try_from(self.ino) else {
            return refused(libc::ENOENT, "no namespace has this inode number");
        };
        match sys::open_by_cookie(cookie, ino) {
            Ok(namespace) => Ok(namespace),
            Err(error) => match errno_of(&error) {
                // Linux 6.18 opens no namespace by cookie without the inode number, not even the own one
                libc::ESTALE if ino == 0 && !opens_by_cookie_alone() => {
                    refused(libc::EOPNOTSUPP, "opening by the cookie without the inode number requires Linux 6.19")
                }
                // the kernel returns this for a dead namespace and for one out of reach
                libc::ESTALE if sys::sees_all_namespaces() => refused(libc::ENOENT, "it is dead"),
                // with all rights, only a filter can refuse
                libc::EPERM if sys::sees_all_namespaces() => {
                    refused(libc::EOPNOTSUPP, "a filter forbids open_by_handle_at(2)")
                }
                libc::ESTALE | libc::EPERM => refused(
                    libc::EPERM,
                    "it is dead, or out of reach: the answer requires CAP_SYS_ADMIN in the initial user and pid namespaces",
                ),
                libc::EBADF | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS => refused(
                    libc::EOPNOTSUPP,
                    "opening by cookie requires Linux 6.18 and no filter against open_by_handle_at(2)",
                ),
                _ => Err(error).doing_on(OPEN, self.to_string()),
            },
        }
    }

    /// Whether both identify the same namespace: by cookie if both have one; else by device and inode, and by stamp if
    /// both have one.
    pub fn same(&self, other: &Self) -> bool {
        match (self.cookie(), other.cookie()) {
            (Some(cookie), Some(others)) => cookie == others,
            _ => {
                let stamps = self.stamp().zip(other.stamp());
                (self.dev, self.ino) == (other.dev, other.ino) && stamps.is_none_or(|(stamp, others)| stamp == others)
            }
        }
    }

    /// Whether the namespace is alive: a process, a mount, a descriptor or a socket keeps it. Returns `false` only if
    /// the kernel's answer is certain.
    ///
    /// # Errors
    /// `EPERM`, `EOPNOTSUPP`: the answer is not available here, as with [`open`](Self::open) by cookie. `EMFILE`,
    /// `ENFILE`, `ENOMEM`: a limit is reached.
    ///
    /// From Linux 6.19 on, a namespace that only sockets keep counts as dead.
    pub fn is_alive(&self) -> Result<bool> {
        match self.open_by_cookie() {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == libc::ENOENT => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Display for Netns {
    /// `net:[4026531840]`, as /proc and other tools print it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "net:[{}]", self.ino)
    }
}

const IDENTIFY: &str = "identify the network namespace";
const OPEN: &str = "open the network namespace";
// the same sentence as in the bindings
const ENTER_REQUIRES: &str = "CAP_SYS_ADMIN is missing, in your user namespace or in the one that owns the network \
                              namespace; or a seccomp filter refuses setns(2)";

/// Runs a closure inside an open network namespace, and returns its result.
///
/// The closure runs on a thread of its own, which blocks the same signals as the calling thread and ends before this
/// returns. The calling thread stays in its namespace. Sockets that the closure opens belong to the entered namespace,
/// as do processes that it starts. A panic of the closure propagates. /sys still shows the namespace in which it was
/// mounted.
///
/// # Errors
/// - `EPERM`: `CAP_SYS_ADMIN` is missing, in the caller's user namespace or in the one that owns the network namespace.
/// - `EINVAL`: the descriptor does not refer to a network namespace.
/// - `EAGAIN`: `RLIMIT_NPROC` prevents starting a thread.
/// - After an error the closure has not run.
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
///             // ENOENT, ESTALE: gone or replaced, an event follows
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
        // a process that the closure starts inherits the signal mask of its thread
        blocked.set();
        Ok(body())
    };
    match sys::in_own_thread(run).doing(ENTER)? {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let error = Error::of(&error, ENTER);
            let error = if error.errno() == libc::EPERM { error.because(ENTER_REQUIRES) } else { error };
            // without a namespace there is nothing to print
            Err(Netns::for_fd(namespace).map_or(error.clone(), |netns| error.on(netns.to_string())))
        }
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Opens a named network namespace: see [`Netns::for_name`].
pub(crate) fn open_name(doing: &'static str, name: &OsStr) -> Result<OwnedFd> {
    let invalid = |why| Error::invalid(doing, why).on(name);
    if name.is_empty() || Path::new(name).components().any(|part| part == Component::ParentDir) {
        return Err(invalid("a name must not be empty or have .. as a component"));
    }
    let path = match name.as_bytes().contains(&b'/') {
        true => Path::new(name).to_owned(),
        false => Path::new(DEFAULT_DIR).join(name),
    };
    let path =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid("a name must not have a NUL byte in it"))?;
    open_path(CWD, &path, Links::All).doing_on(doing, name)
}

/// Whether this kernel opens a namespace by its cookie without the inode number. Tries the own namespace.
fn opens_by_cookie_alone() -> bool {
    of_calling_thread().is_ok_and(|own| sys::open_by_cookie(own.cookie, 0).is_ok())
}
