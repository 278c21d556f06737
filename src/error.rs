//! Errors: what failed, on what, why, and the remedy.
//!
//! An [`Error`] is an `errno` with its circumstances. One table, [`explain`], has the remedy for each errno. This type,
//! the C function `nsw_strerror` and the command share it.

use std::ffi::{CStr, OsStr, OsString};
use std::io;

use crate::printable::in_sentence;

/// The result of every function that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call: an error of the kernel, or an invalid argument.
///
/// ```
/// use nswatch::{Error, Options};
///
/// let error: Error = Options::new().dir("relative").unwrap_err();
/// assert_eq!(error.errno(), 22); // EINVAL
/// assert_eq!(error.to_string(), "cannot watch relative: the path must be absolute, without a NUL byte");
/// assert!(!error.is_final());
///
/// // `?` converts it
/// let error = std::io::Error::from(error);
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {}{}: {}", .0.doing, subject(&.0.on), .0.why.map_or_else(|| explain(.0.errno).to_string_lossy(), Into::into))]
pub struct Error(Box<Circumstances>);

/// Boxed, so that a `Result` stays as small as a number.
#[derive(Debug, Clone)]
struct Circumstances {
    errno: i32,
    doing: &'static str,
    on: Option<OsString>,
    /// A more exact sentence than that of the errno.
    why: Option<&'static str>,
    last: bool,
    /// No work is left because of it.
    settled: bool,
}

fn subject(on: &Option<OsString>) -> String {
    on.as_ref().map(|on| format!(" {}", in_sentence(on))).unwrap_or_default()
}

impl Error {
    pub(crate) fn new(errno: i32, doing: &'static str) -> Self {
        Self(Box::new(Circumstances { errno, doing, on: None, why: None, last: false, settled: false }))
    }

    /// A failed system call.
    #[cold]
    pub(crate) fn of(error: &io::Error, doing: &'static str) -> Self {
        let why = refusal_in(error).map(|refusal| refusal.why);
        Self(Box::new(Circumstances { errno: errno_of(error), doing, on: None, why, last: false, settled: false }))
    }

    /// An invalid argument.
    #[cold]
    pub(crate) fn invalid(doing: &'static str, why: &'static str) -> Self {
        Self::new(libc::EINVAL, doing).because(why)
    }

    pub(crate) fn because(mut self, why: &'static str) -> Self {
        self.0.why = Some(why);
        self
    }

    /// Marks the error as final: no event will come after it.
    pub(crate) fn last(mut self) -> Self {
        self.0.last = true;
        self
    }

    /// Marks the error as a notice: no work is left because of it.
    pub(crate) fn settled(mut self) -> Self {
        self.0.settled = true;
        self
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.0.settled
    }

    pub(crate) fn on(self, on: impl AsRef<OsStr>) -> Self {
        self.about(on.as_ref())
    }

    #[cold]
    fn about(mut self, on: &OsStr) -> Self {
        self.0.on = Some(on.to_owned());
        self
    }

    /// The `errno` of the failure (positive), as in `errno(3)`.
    pub fn errno(&self) -> i32 {
        self.0.errno
    }

    /// Whether this error is final: the watch has ended, and no event will come any more.
    ///
    /// After any other error, a watcher continues where it stopped. An iterator returns the final error, and then ends.
    ///
    /// ```
    /// use nswatch::{EventKind, Options, Watcher};
    ///
    /// # let dir = std::env::temp_dir().join(format!("nswatch-doc-final-{}", std::process::id()));
    /// std::fs::create_dir(&dir)?;
    /// let mut watcher = Watcher::named(&Options::new().dir(&dir)?.parent(false).replay(false))?;
    /// std::fs::remove_dir(&dir)?;
    /// assert_eq!(*watcher.next().unwrap()?.kind(), EventKind::DirDeleted);
    /// assert!(watcher.next().unwrap().unwrap_err().is_final());
    /// assert!(watcher.next().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_final(&self) -> bool {
        self.0.last
    }
}

/// A refusal of a system call for every object, by a seccomp filter, a security policy or a lost privilege.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Refusal {
    errno: i32,
    why: &'static str,
}

/// The sentence for a refused system call.
macro_rules! refusal {
    ($call:literal) => {
        concat!("a seccomp filter, a security policy or a lost privilege refuses ", $call)
    };
}
pub(crate) use refusal;

/// Marks an error as a [refusal](is_refused), with its sentence.
pub(crate) fn refused(error: &io::Error, why: &'static str) -> io::Error {
    io::Error::new(error.kind(), Refusal { errno: errno_of(error), why })
}

fn refusal_in(error: &io::Error) -> Option<&Refusal> {
    error.get_ref()?.downcast_ref()
}

/// Whether the system call is refused for every object, so that the error says nothing about this one.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    refusal_in(error).is_some()
}

/// Whether an error of a path is a refusal: the kernel returns these two for nothing else there.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    is_refused(error) || matches!(errno_of(error), libc::EPERM | libc::ENOSYS)
}

/// Whether an error says nothing about the object, only that a limit or a signal interfered, or that /proc is missing.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(
        errno_of(error),
        libc::EOPNOTSUPP
            | libc::EMFILE
            | libc::ENFILE
            | libc::ENOMEM
            | libc::EINTR
            | libc::EAGAIN
            | libc::ENOBUFS
            | libc::ENOSPC
    )
}

/// As [`is_transient`], without the case of a missing /proc: where `EOPNOTSUPP` means something else.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    is_transient(error) && errno_of(error) != libc::EOPNOTSUPP
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(io::Error::from_raw_os_error(error.errno()).kind(), error)
    }
}

/// The errno of an [`io::Error`]; `EIO` for the few that only the standard library makes.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().or_else(|| refusal_in(error).map(|refusal| refusal.errno)).unwrap_or(libc::EIO)
}

/// Adds the circumstances to an error of a system call.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
    fn doing_on(self, doing: &'static str, on: impl AsRef<OsStr>) -> Result<T>;
}

/// Outside of [`Doing`], whose functions the compiler copies into their callers.
#[cold]
fn failed(error: io::Error, doing: &'static str) -> Error {
    Error::of(&error, doing)
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|error| failed(error, doing))
    }

    fn doing_on(self, doing: &'static str, on: impl AsRef<OsStr>) -> Result<T> {
        self.map_err(|error| failed(error, doing).on(on))
    }
}

/// The meaning of an errno in nswatch, and the remedy. Never empty.
///
/// `errno` is positive; 0 is success.
///
/// ```
/// assert_eq!(nswatch::explain(0), c"success");
/// assert!(nswatch::explain(24).to_str()?.contains("fs.inotify.max_user_instances")); // EMFILE
/// # Ok::<(), std::str::Utf8Error>(())
/// ```
pub fn explain(errno: i32) -> &'static CStr {
    match errno {
        0 => c"success",
        libc::EPERM => c"operation not permitted: a seccomp filter or a security policy refuses a system call, or a capability is missing: CAP_NET_ADMIN for nsid_assign(), CAP_NET_BROADCAST for NSW_ALL_NSID, CAP_SYS_ADMIN to open a namespace by its cookie or to enter one",
        libc::ENOENT => c"no such file, name or nsid: the directory, the namespace or the nsid does not exist (any more)",
        libc::ESRCH => c"no such process: it has ended, or is not in this pid namespace",
        libc::EINTR => c"interrupted by a signal: call again",
        libc::EIO => c"input/output error: the kernel could not carry out the request",
        libc::EBADF => c"bad file descriptor: it is negative or not open",
        libc::ECHILD => c"a child of fork(2) cannot use the watcher of its parent: close it and open another one",
        libc::E2BIG => c"more names or namespaces than the watcher may keep: raise nsw_options_set_max_names(), or remove some",
        libc::EAGAIN => c"resource temporarily unavailable: call again",
        libc::ENOMEM => c"out of memory: the kernel or this process has no memory left",
        libc::EACCES => c"permission denied: the directory must be readable and all directories above it searchable; nsids of a peer require CAP_NET_ADMIN over the peer; the namespace of a process requires ptrace access to the process",
        libc::EBUSY => c"busy: another thread is in a call on this watcher, or longjmp(3) left a call on it",
        libc::EEXIST => c"already assigned: the namespace has an nsid, or another namespace has the wanted nsid",
        libc::EXDEV => c"the calling thread has another root directory or mount namespace than the thread that opened the watcher (chroot, pivot_root, unshare, setns): call again from the original place, or close the watcher",
        libc::ENODEV => c"not a network namespace: no namespace is mounted on the file (yet)",
        libc::EPROTOTYPE => c"not a network namespace: a namespace of another kind",
        libc::ENOTDIR => c"not a directory: a part of the path is another kind of file",
        libc::EINVAL => c"invalid argument: a NULL pointer, a relative path, an unknown flag, an option of another source, a value out of range, or not a network namespace",
        libc::ENFILE => c"too many open files in the system: raise fs.file-max",
        libc::EMFILE => c"inotify instance or file descriptor limit reached: raise fs.inotify.max_user_instances or RLIMIT_NOFILE",
        libc::ENOSPC => c"a limit is reached: raise the limit of watches (fs.inotify.max_user_watches, fs.fanotify.max_user_marks) or, for NSW_SOURCE_ALL, of network namespaces (user.max_net_namespaces)",
        libc::ENAMETOOLONG => c"name too long: a name has at most 255 bytes, a path at most 4095",
        libc::ENOSYS => c"not implemented by this kernel, or forbidden by a seccomp filter",
        libc::ELOOP => c"too many levels of symbolic links in the path",
        libc::ENOBUFS => c"the kernel has no memory, or the socket has no room, for the answer: see net.core.rmem_default",
        libc::EOVERFLOW => c"more nsids than this kernel lists: ask for the nsid of each namespace that you need; for a peer, ask inside the peer",
        libc::EOPNOTSUPP => c"not supported: /proc is not mounted, or belongs to another pid namespace; or this kernel lacks a required feature",
        libc::ESTALE => c"the network namespace is gone: it has died or is elsewhere, and the path leads to another network namespace",
        libc::ENOTRECOVERABLE => c"nswatch had an internal error and this watcher no longer works: close it, open another one, and report the bug",
        _ => c"unexpected error: see errno(3) for its number",
    }
}
