//! `nswatch wait`: waits until a name can be opened, or is gone, by events of its directory.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nswatch::{DEFAULT_DIR, EventKind, Netns, Options, Watcher};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::args::WaitArgs;
use crate::ending::Ending;
use crate::output;
use crate::signals;
use crate::watches::is_passing;

/// The maximum length of a name, `NAME_MAX`.
const NAME_MAX: usize = 255;

/// The name of the watching process, which writes the answer to standard output.
const CHILD: &str = "nswatch: watcher";

/// The name to wait for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `None`: a name in the directory of names.
    parent: Option<PathBuf>,
    name: OsString,
}

impl Target {
    pub(crate) fn read(text: OsString) -> Result<Self, String> {
        let is_path = text.as_bytes().contains(&b'/');
        let path = Path::new(&text);
        // a path that ends in a slash, or in a dot after one, is a directory
        let name = path.file_name().filter(|name| text.as_bytes().ends_with(name.as_bytes()));
        let name = name.ok_or("it must end in a name, not in '/', '.' or '..'")?.to_owned();
        if name.len() > NAME_MAX {
            return Err(format!("a name has at most {NAME_MAX} bytes"));
        }
        let parent = is_path.then(|| path.parent().unwrap_or(path));
        let parent = parent.map(std::path::absolute).transpose().map_err(|error| error.to_string())?;
        Ok(Self { parent, name })
    }

    pub(crate) fn is_path(&self) -> bool {
        self.parent.is_some()
    }
}

impl WaitArgs {
    /// The directory of the name, which may not exist yet.
    fn directory(&self) -> &Path {
        self.target.parent.as_deref().or(self.dir.as_deref()).unwrap_or(Path::new(DEFAULT_DIR))
    }
}

pub(crate) fn run(args: &WaitArgs) -> Result<(), Ending> {
    // exit status 0 after a signal would be a wrong answer
    signals::die_of(&signals::that_end()).map_err(|error| Ending::failed("catch signals", error))?;
    if std::env::args_os().next().is_some_and(|name| name == CHILD) {
        let mut watcher = None;
        let answer = watch(args, &mut watcher, Some(stdout().as_fd()));
        // before closing the watcher
        return output::print(&to_line(&answer));
    }
    if is_so(&args.directory().join(&args.target.name), args.deleted) {
        return Ok(());
    }
    match start_child() {
        Ok(child) => from_child(child),
        // the answer takes a little longer then
        Err(_) => watch(args, &mut None, None),
    }
}

/// Starts the watching process. Closing an inotify instance takes some ten milliseconds in the kernel; with a process
/// of its own, the user need not wait for that.
fn start_child() -> io::Result<Child> {
    let mut child = Command::new("/proc/self/exe");
    child.arg0(CHILD).args(std::env::args_os().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
}

fn from_child(child: Child) -> Result<(), Ending> {
    let mut line = String::new();
    let read = child.stdout.map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
    read.map_err(|error| Ending::failed("read the answer", error))?;
    match line.trim_end().split_at_checked(1) {
        Some((SATISFIED, _)) => Ok(()),
        Some((TIME_IS_OVER, _)) => Err(Ending::TimeIsOver),
        Some((FAILED, why)) => Err(Ending::Failed(why.into())),
        _ => Err(Ending::Failed("cannot wait any longer: the watching process was killed".into())),
    }
}

const SATISFIED: &str = "+";
const TIME_IS_OVER: &str = "-";
const FAILED: &str = "!";

fn to_line(answer: &Result<(), Ending>) -> Vec<u8> {
    let (word, why) = match answer {
        Err(Ending::TimeIsOver) => (TIME_IS_OVER, ""),
        Err(Ending::Failed(why)) => (FAILED, why.as_str()),
        _ => (SATISFIED, ""),
    };
    format!("{word}{why}\n").into_bytes()
}

/// Waits, until the reader of the answer is gone. The caller closes the watcher.
fn watch(args: &WaitArgs, watcher: &mut Option<Watcher>, reader: Option<BorrowedFd<'_>>) -> Result<(), Ending> {
    let deadline = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let WaitArgs { target: Target { name, .. }, deleted, .. } = args;
    let watcher = watcher.insert(Watcher::named(&Options::new().dir(args.directory())?)?);
    let mut exists = false;
    loop {
        match watcher.next_event() {
            Ok(Some(event)) => {
                let is_it = event.name().is_some_and(|other| other.as_os_str() == name);
                match event.kind() {
                    EventKind::Ready(..) if is_it && !deleted => return Ok(()),
                    EventKind::Deleted(_) if is_it && *deleted => return Ok(()),
                    EventKind::Synced if !exists && *deleted => return Ok(()),
                    EventKind::Created(_) if is_it => exists = true,
                    _ => {}
                }
            }
            Ok(None) => {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                wait_for(watcher, left, reader)?;
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Ending::TimeIsOver);
        }
    }
}

/// Waits until there may be an event.
fn wait_for(watcher: &Watcher, left: Option<Duration>, reader: Option<BorrowedFd<'_>>) -> Result<(), Ending> {
    // with no events requested, poll still reports a closed pipe
    let reader = reader.map(|reader| PollFd::from_borrowed_fd(reader, PollFlags::empty()));
    let mut fds: Vec<_> = std::iter::once(PollFd::new(watcher, PollFlags::IN)).chain(reader).collect();
    let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
    match poll(&mut fds, left.as_ref()) {
        Ok(_) if fds.get(1).is_some_and(|reader| !reader.revents().is_empty()) => Err(Ending::NobodyReads),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(Ending::failed("wait for events", error.into())),
    }
}

/// Whether the condition already holds, so that no scan of the other names is necessary.
fn is_so(path: &Path, deleted: bool) -> bool {
    match deleted {
        false => Netns::for_name(path).is_ok(),
        true => path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound),
    }
}
