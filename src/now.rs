//! Lists, and waiting for one name: each by a watcher that lives for one call.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::{Event, EventKind};
use crate::netns::Netns;
use crate::options::{DEFAULT_DIR, Options};
use crate::watcher::Watcher;

const WAIT: &str = "wait for the network namespace";

/// Waits until a named network namespace can be opened, and identifies it. `name` is a name in `/run/netns`; with a `/`
/// in it, a path. A `timeout` of `None` waits without limit. Returns `None` when the time is over.
///
/// It waits for events and does not poll. The file, its directory, or the whole path may be missing at first. On a
/// filesystem that reports no changes, such as /proc, it notices only what exists at the start.
///
/// # Errors
/// - `EINVAL`: `name` is empty, has `..` as a component or contains a NUL byte.
/// - `EINTR`: a signal handler ran.
/// - `EACCES`, `ELOOP`, `ENOTDIR`, `ENAMETOOLONG`, `E2BIG` and others: as [`Watcher::named`].
///
/// ```
/// use std::time::Duration;
///
/// assert!(nswatch::wait_ready("/proc/self/ns/net", None)?.is_some());
/// assert_eq!(nswatch::wait_ready("/run/no/such/name", Some(Duration::from_millis(1)))?, None);
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn wait_ready(name: impl AsRef<OsStr>, timeout: Option<Duration>) -> Result<Option<Netns>> {
    wait_for(name.as_ref(), timeout)
}

fn wait_for(name: &OsStr, timeout: Option<Duration>) -> Result<Option<Netns>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    match Netns::for_name(name) {
        Err(error) if matches!(error.errno(), libc::ENOENT | libc::ENODEV | libc::EPROTOTYPE) => {}
        known => return known.map(Some),
    }
    let path = match name.as_bytes().contains(&b'/') {
        true => std::path::absolute(name).map_err(|error| Error::of(&error, WAIT).on(name))?,
        false => Path::new(DEFAULT_DIR).join(name),
    };
    let (Some(dir), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(Error::invalid(WAIT, "the path does not end in a name").on(name));
    };
    if timeout == Some(Duration::ZERO) {
        return Ok(None);
    }
    let mut watcher = Watcher::named(&Options::new().dir(dir)?)?;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match watcher.wait(left)?.as_ref().map(Event::kind) {
            Some(EventKind::Ready(ready, netns)) if ready.as_os_str() == last => return Ok(Some(*netns)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// Lists the names in a directory, as the events that [`Watcher::named`] emits first: a [`Created`](EventKind::Created)
/// for each, followed by a [`Ready`](EventKind::Ready) if it can be opened. A missing directory has no names.
///
/// # Errors
/// As [`Watcher::named`].
///
/// ```
/// use nswatch::{DEFAULT_DIR, EventKind};
///
/// for event in nswatch::list_named(DEFAULT_DIR)? {
///     if let EventKind::Ready(name, netns) = event.kind() {
///         println!("{name} is {netns}");
///     }
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn list_named(dir: impl AsRef<Path>) -> Result<Vec<Event>> {
    until_synced(Watcher::named(&Options::new().dir(dir)?)?)
}

/// Lists every network namespace of the host that the caller can see, as the [`NetnsNew`](EventKind::NetnsNew) events
/// that [`Watcher::all`] emits first. [`census`](crate::census()) returns all places of each.
///
/// # Errors
/// As [`Watcher::all`].
///
/// ```
/// for event in nswatch::list_all()? {
///     println!("{event}");
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn list_all() -> Result<Vec<Event>> {
    until_synced(Watcher::all(&Options::new())?)
}

fn until_synced(mut watcher: Watcher) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    while let Some(event) = watcher.wait(None)? {
        if *event.kind() == EventKind::Synced {
            break;
        }
        events.push(event);
    }
    Ok(events)
}
