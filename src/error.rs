//! What can go wrong, told so that the reader knows what to do next.
//!
//! An [`Error`] is an `errno` with its circumstances: what was being done, on what. The remedy for an errno
//! is one table, [`explain`], which serves this type, the C function `nsw_strerror` and the command alike.

use std::ffi::{CStr, OsStr, OsString};
use std::io;

use crate::printable::in_sentence;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed request to the kernel, or a refused argument.
///
/// ```
/// use nswatch::{Error, Options};
///
/// let error: Error = Options::new().dir("relative").unwrap_err();
/// assert_eq!(error.errno(), 22); // EINVAL
/// assert_eq!(error.to_string(), "cannot watch relative: the path must be absolute, without a NUL byte");
/// assert!(!error.is_final());
///
/// // where `?` makes one of it
/// let error = std::io::Error::from(error);
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {}{}: {}", .0.doing, subject(&.0.on), .0.why.map_or_else(|| explain(.0.errno).to_string_lossy(), Into::into))]
pub struct Error(Box<Circumstances>);

/// In a box of their own: what can fail seldom does, and is to be handed on as cheaply as a number.
#[derive(Debug, Clone)]
struct Circumstances {
    errno: i32,
    doing: &'static str,
    on: Option<OsString>,
    /// More exact than what can be said of the errno in general.
    why: Option<&'static str>,
    last: bool,
    /// Nothing is left to do about it.
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
    pub(crate) fn of(error: &io::Error, doing: &'static str) -> Self {
        let why = refusal_in(error).map(|refusal| refusal.why);
        Self(Box::new(Circumstances { errno: errno_of(error), doing, on: None, why, last: false, settled: false }))
    }

    /// An argument that cannot be right.
    pub(crate) fn invalid(doing: &'static str, why: &'static str) -> Self {
        Self::new(libc::EINVAL, doing).because(why)
    }

    pub(crate) fn because(mut self, why: &'static str) -> Self {
        self.0.why = Some(why);
        self
    }

    /// States that no event will come after it.
    pub(crate) fn last(mut self) -> Self {
        self.0.last = true;
        self
    }

    /// States that it is a notice: no work is left because of it.
    pub(crate) fn settled(mut self) -> Self {
        self.0.settled = true;
        self
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.0.settled
    }

    pub(crate) fn on(mut self, on: impl AsRef<OsStr>) -> Self {
        self.0.on = Some(on.as_ref().to_owned());
        self
    }

    /// The `errno` of the failure (positive), as in `errno(3)`.
    pub fn errno(&self) -> i32 {
        self.0.errno
    }

    /// Whether it is the end of the watcher: no event will come any more, however often it is asked.
    ///
    /// After any other error a watcher goes on where it stopped. This one ends what iterates: it is told, and then
    /// there is nothing more.
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

/// A refusal of a system call, whatever it is about: by a seccomp filter, a security policy, or a lost privilege.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Refusal {
    errno: i32,
    why: &'static str,
}

/// The sentence for a system call that is refused.
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

/// Whether an error was found to say nothing about the object asked for: the system call is refused for every object.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    refusal_in(error).is_some()
}

/// Whether an error of a path is a refusal: the kernel has no other use for these two there.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    is_refused(error) || matches!(errno_of(error), libc::EPERM | libc::ENOSYS)
}

/// Whether an error says nothing about the object asked for, only that a limit or a signal was in the way just now, or
/// that /proc is not there.
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

/// The same, without the case that /proc is not there: where `EOPNOTSUPP` means something else.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    is_transient(error) && errno_of(error) != libc::EOPNOTSUPP
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(io::Error::from_raw_os_error(error.errno()).kind(), error)
    }
}

/// The errno of an [`io::Error`]; `EIO` for the few that the standard library makes up itself.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().or_else(|| refusal_in(error).map(|refusal| refusal.errno)).unwrap_or(libc::EIO)
}

/// Adds the circumstances to a bare system call error.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
    fn doing_on(self, doing: &'static str, on: impl AsRef<OsStr>) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|error| Error::of(&error, doing))
    }

    fn doing_on(self, doing: &'static str, on: impl AsRef<OsStr>) -> Result<T> {
        self.doing(doing).map_err(|error| error.on(on))
    }
}

/// What an errno means when nswatch reports it, and what can be done about it. Never empty.
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
        libc::EPERM => c"operation not permitted: a seccomp filter or a security policy refuses a system call; or nsid_assign() requires CAP_NET_ADMIN, NSW_ALL_NSID CAP_NET_BROADCAST, finding a namespace by its cookie or entering one CAP_SYS_ADMIN",
        libc::ENOENT => c"no such file, name or id: the directory, the namespace or the nsid is not there (any more)",
        libc::ESRCH => c"no such process: it has ended, or is not in this pid namespace",
        libc::EINTR => c"interrupted by a signal: call again",
        libc::EIO => c"input/output error: the kernel could not carry out the request",
        libc::EBADF => c"bad file descriptor: it is negative or not open",
        libc::ECHILD => c"a child of fork(2) cannot use the watcher of its parent: close it and open another",
        libc::E2BIG => c"more names or namespaces than the watcher may keep: raise nsw_options_set_max_names(), or remove some",
        libc::EAGAIN => c"resource temporarily unavailable: call again",
        libc::ENOMEM => c"out of memory: the kernel or this process has none to spare",
        libc::EACCES => c"permission denied: a directory must be readable and all above it searchable; nsids of a peer require CAP_NET_ADMIN over it, the namespace of a process ptrace access to it",
        libc::EBUSY => c"busy: another thread is in a call on this watcher, or a call on it was left by longjmp(3)",
        libc::EEXIST => c"already there: the namespace has an nsid, or the wanted nsid belongs to another namespace",
        libc::EXDEV => c"another root directory or mount namespace than where the watcher was opened (chroot, pivot_root, unshare, setns): call again from there, or close the watcher",
        libc::ENODEV => c"not a network namespace: a file on which none is mounted (yet)",
        libc::EPROTOTYPE => c"not a network namespace: a namespace of another kind",
        libc::ENOTDIR => c"not a directory: a part of the path is something else",
        libc::EINVAL => c"invalid argument: a NULL, a relative path, an unknown flag, an option of another source, a value out of range, or not a network namespace",
        libc::ENFILE => c"too many open files in the system: raise fs.file-max",
        libc::EMFILE => c"inotify instance or file descriptor limit reached: raise fs.inotify.max_user_instances or RLIMIT_NOFILE",
        libc::ENOSPC => c"a limit is reached: raise that of watches (fs.inotify.max_user_watches, fs.fanotify.max_user_marks) or, for NSW_SOURCE_ALL, that of network namespaces (user.max_net_namespaces)",
        libc::ENAMETOOLONG => c"name too long: a name has at most 255 bytes, a path at most 4095",
        libc::ENOSYS => c"not implemented by this kernel, or forbidden by a seccomp filter",
        libc::ELOOP => c"too many levels of symbolic links in the path",
        libc::ENOBUFS => c"the kernel has no memory, or the socket no room, for the answer: see net.core.rmem_default",
        libc::EOVERFLOW => c"more nsids than this kernel lists: ask for each that matters; those of a peer, in the peer itself",
        libc::EOPNOTSUPP => c"not supported: /proc is not mounted, or belongs to another pid namespace; or this kernel lacks what the request needs",
        libc::ESTALE => c"the path leads to another network namespace than the wanted one",
        libc::ENOTRECOVERABLE => c"nswatch had an internal error and this watcher is of no more use: close it, open another, report the bug",
        _ => c"unexpected error: see errno(3) for its number",
    }
}
