//! The present target of the watched path, and the inotify watches that report when it leads elsewhere.
//!
//! This resolves the path one component at a time, as the kernel does. It watches each directory *before* it opens the
//! next component in it, so it misses no change. The path ends at the directory itself, or at its nearest ancestor if a
//! component is missing. It keeps only watches: an open directory would keep its filesystem busy. It does not know what
//! the names in the directory mean.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::inotify::{Inotify, Notice, ReadFlags, WatchFlags};
use crate::error::{Doing, Error, Result, is_refusal, is_transient, refusal, refused};
use crate::event::Name;
use crate::place::Place;
use crate::sys::{self, CWD};
use crate::walk::{Links, open_step, walk, walk_to};

/// The narrow mask, of a step: events that can remove a component, or make it lead elsewhere. Not creation: a directory
/// above the watched one may be busy with other files.
const WAY: WatchFlags =
    WatchFlags::DELETE.union(WatchFlags::MOVE).union(WatchFlags::ATTRIB).union(WatchFlags::MOVE_SELF);

/// The mask of the end: changes in the directory itself, or the creation of a missing component.
const END: WatchFlags = WAY.union(WatchFlags::CREATE).union(WatchFlags::DELETE_SELF);

/// The watched object itself was moved, removed or unmounted, or its watch ended.
const SELF: ReadFlags =
    ReadFlags::MOVE_SELF.union(ReadFlags::DELETE_SELF).union(ReadFlags::UNMOUNT).union(ReadFlags::IGNORED);

/// Readable or not.
const ANY: [bool; 2] = [true, false];

const GIVEN_UP: &str =
    "the calling thread has given up its right to the directory, whose permissions and owner have not changed";

/// The maximum length of a path to a directory whose names are all in reach: with `/`, a name of 255 bytes and a NUL.
const LONGEST: usize = libc::PATH_MAX as usize - 257;

/// A directory on the path, and the next component in it.
#[derive(Debug)]
struct Step {
    watch: i32,
    /// `None` at the end of the path.
    next: Option<CString>,
}

/// The result of resolving the path.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// A directory, opened for reading. `same`: it is the one watched before. `narrow_mask`: queued notices may be from
    /// the time when it was watched as a step only, so that the queue reports that a name went, but not that it
    /// appeared again.
    Directory { opened: OwnedFd, same: bool, narrow_mask: bool },
    /// No directory, for this reason.
    Nowhere(io::Error),
}

#[derive(Debug)]
pub(crate) struct WatchedPath {
    path: CString,
    links: Links,
    /// The place where the path is resolved.
    place: Place,
    /// The place has been checked in this call.
    checked: Cell<bool>,
    steps: Vec<Step>,
    /// The directories on the path as they were when this process could pass them.
    passed: Vec<Passed>,
    /// The watch of the directory itself, if the path leads to one.
    directory: Option<i32>,
    /// The directory and its mount, to notice changed mounts on the path.
    end: Option<End>,
}

/// Device, inode, mount.
type End = (u64, u64, Option<u64>);

/// Device, inode, permissions, and whether it was readable, not only searchable.
type Passed = (u64, u64, sys::Access, bool);

impl WatchedPath {
    pub(crate) fn new(path: &Path, links: Links) -> Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::invalid("watch", "the path has a NUL byte in it").on(path))?;
        if path.count_bytes() > LONGEST {
            return Err(Error::new(libc::ENAMETOOLONG, "watch").on(OsStr::from_bytes(path.to_bytes())));
        }
        Ok(Self {
            path,
            links,
            place: Place::of_caller()?,
            checked: Cell::new(true),
            steps: Vec::new(),
            passed: Vec::new(),
            directory: None,
            end: None,
        })
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.path
    }

    pub(crate) fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(self.path.to_bytes())
    }

    pub(crate) fn shared_path(&self) -> Arc<CStr> {
        Arc::from(self.path.as_c_str())
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Starts a call, whose thread may be in any place.
    pub(crate) fn begin_call(&self) {
        self.checked.set(false);
    }

    /// Call this before probing paths: fails with `EXDEV` if they would lead elsewhere. Costs a system call per call of
    /// the API.
    pub(crate) fn require_place(&self) -> Result<()> {
        if !self.checked.get() {
            self.place.check()?;
            self.checked.set(true);
        }
        Ok(())
    }

    /// Call this before using a result: another thread may have changed the root of this one meanwhile.
    pub(crate) fn confirm_place(&self) -> Result<()> {
        self.place.check()
    }

    pub(crate) fn links(&self) -> Links {
        self.links
    }

    /// The path of a name in the directory.
    pub(crate) fn path_of(&self, name: &CStr) -> CString {
        // neither part contains a NUL
        CString::from_vec_with_nul([self.path.to_bytes(), b"/", name.to_bytes_with_nul()].concat()).unwrap_or_default()
    }

    /// The base for probing names. If links must not be followed, this is the present directory: so a link that appears
    /// on the path in this moment is not followed either.
    pub(crate) fn base(&self) -> io::Result<Base<'_>> {
        let directory = if self.links.are_followed() { None } else { Some(self.open()?) };
        Ok(Base { path: self, directory })
    }

    /// Opens the present directory of the path.
    fn open(&self) -> io::Result<OwnedFd> {
        match self.links {
            Links::All => sys::open(CWD, &self.path, libc::O_PATH | libc::O_DIRECTORY),
            links => walk_to(&self.path, links),
        }
    }

    fn stat(&self) -> io::Result<sys::Stat> {
        match self.base()?.directory {
            None => sys::stat(CWD, &self.path, 0),
            Some(directory) => sys::stat(directory.as_fd(), c"", 0),
        }
    }

    /// Probes whether the directory has a file of this name that is not a directory. `None`: the path leads elsewhere
    /// at this moment.
    pub(crate) fn has(&self, name: &Name) -> Result<Option<bool>> {
        self.require_place()?;
        let has = self.look(name)?.map(|found| found.is_ok_and(|stat| !stat.is_directory));
        self.confirm_place().map(|()| has)
    }

    /// Whether no file of this name exists. An unreadable file exists. `None`: the path leads elsewhere at this moment.
    /// The caller confirms the place.
    pub(crate) fn is_missing(&self, name: &Name) -> Result<Option<bool>> {
        let missing = |found: io::Result<_>| found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        Ok(self.look(name)?.map(missing))
    }

    /// The file under a name in the directory, or the kernel's error about it. Fails if the kernel gives no answer.
    /// `None`: a mount hides the directory at this moment, possibly only briefly.
    fn look(&self, name: &Name) -> Result<Option<io::Result<sys::Stat>>> {
        let looked = self.open().and_then(|directory| {
            let is_watched = end(sys::stat(directory.as_fd(), c"", 0)?) == self.end;
            Ok(is_watched.then(|| sys::stat(directory.as_fd(), name.as_c_str(), libc::AT_SYMLINK_NOFOLLOW)))
        });
        match looked {
            Err(error) | Ok(Some(Err(error))) if is_transient(&error) || is_refusal(&error) || is_denied(&error) => {
                Err(error).doing_on("probe", name)
            }
            Err(_) => Ok(None),
            Ok(answer) => Ok(answer),
        }
    }

    /// Whether a notice is about a name in the directory.
    pub(crate) fn is_name(&self, notice: &Notice<'_>) -> bool {
        !notice.name.is_empty() && self.directory == Some(notice.watch)
    }

    /// Whether a notice is about the path to the directory, which may lead elsewhere now. A name can be a part of the
    /// path too, if it is a symbolic link that leads back.
    pub(crate) fn is_way(&self, notice: &Notice<'_>) -> bool {
        self.steps.iter().filter(|step| step.watch == notice.watch).any(|step| match &step.next {
            _ if notice.name.is_empty() => notice.mask.intersects(SELF.union(ReadFlags::ATTRIB)),
            Some(next) => next.as_c_str() == notice.name,
            None => false,
        })
    }

    /// Resolves the path and replaces the watches by those of the new path. After an error the old watches stay, and
    /// possibly some new ones; the next call corrects that.
    pub(crate) fn resolve(&mut self, inotify: &Inotify) -> Result<Resolution> {
        self.require_place()?;
        let mut walk = Walk { inotify, before: &self.passed, steps: Vec::new(), passed: Vec::new() };
        let walked = match walk.walk_on(&self.path, self.links) {
            Err(error) if is_transient(&error) || is_refusal(&error) => {
                Err(error).doing_on("watch the path to", self.as_os_str())
            }
            walked => self.confirm_place().map(|()| walked),
        };
        let resolution = match walked {
            Ok(resolution) => resolution,
            Err(error) => {
                // keeps the new watches, for the next call to remove what it does not need
                for step in walk.steps {
                    if !self.steps.iter().any(|known| known.watch == step.watch && known.next == step.next) {
                        self.steps.push(step);
                    }
                }
                return Err(error);
            }
        };
        let (steps, passed) = (walk.steps, walk.passed);
        let narrow_mask = steps.split_last().is_some_and(|(end, way)| {
            let is_end = |step: &Step| step.watch == end.watch;
            way.iter().any(is_end) || (self.directory != Some(end.watch) && self.steps.iter().any(is_end))
        });
        for old in std::mem::take(&mut self.steps) {
            if !steps.iter().any(|step| step.watch == old.watch) {
                inotify.unwatch(old.watch);
            }
        }
        let before = self.directory.take();
        (self.steps, self.passed) = (steps, passed);
        match resolution {
            Ok(opened) => {
                self.directory = self.steps.last().map(|step| step.watch);
                self.end = sys::stat(opened.as_fd(), c"", 0).ok().and_then(end);
                Ok(Resolution::Directory { opened, same: before == self.directory, narrow_mask })
            }
            Err(why) => {
                self.end = None;
                Ok(Resolution::Nowhere(why))
            }
        }
    }

    /// The never-reused id of the present mount at the end of the path (Linux 6.8), and whether the path leads where it
    /// last did, as far as mounts are concerned. A path that leads nowhere may have other ancestors than before, which
    /// must be watched.
    pub(crate) fn mount(&self) -> (Option<u64>, bool) {
        let stat = self.stat().ok();
        let is_unmoved = self.end.is_some() && stat.and_then(end) == self.end;
        (stat.and_then(|stat| stat.mount_id), is_unmoved)
    }
}

/// The base for looking up names.
#[derive(Debug)]
pub(crate) struct Base<'a> {
    path: &'a WatchedPath,
    /// `None`: by the path, through all links.
    directory: Option<OwnedFd>,
}

impl Base<'_> {
    pub(crate) fn at(&self) -> BorrowedFd<'_> {
        self.directory.as_ref().map_or(CWD, AsFd::as_fd)
    }

    /// The name, or its path, relative to the base.
    pub(crate) fn name(&self, name: &CStr) -> CString {
        if self.directory.is_some() { name.to_owned() } else { self.path.path_of(name) }
    }
}

fn end(stat: sys::Stat) -> Option<End> {
    // if a filter refuses both ways, the mount is unknown
    let is_known = stat.mount_id.is_some() || stat.is_mount_root.is_some();
    is_known.then_some((stat.dev, stat.ino, stat.mount_id))
}

fn passed(directory: BorrowedFd<'_>, is_readable: bool) -> io::Result<Passed> {
    let stat = sys::stat(directory, c"", 0)?;
    Ok((stat.dev, stat.ino, stat.access, is_readable))
}

/// A resolution in progress.
struct Walk<'a> {
    inotify: &'a Inotify,
    /// The directories that this process could pass before.
    before: &'a [Passed],
    steps: Vec<Step>,
    passed: Vec<Passed>,
}

impl Walk<'_> {
    /// The directory, opened for reading.
    fn walk_on(&mut self, path: &CStr, links: Links) -> io::Result<OwnedFd> {
        let end = walk(path, links, &mut |here, next| self.step(here, next))?;
        self.arrive(end.as_fd())
    }

    /// Watches the end of the path and opens it for reading.
    fn arrive(&mut self, end: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        // opening "." requires both read and search permission
        let open = |flags| sys::open(end, c".", flags | libc::O_DIRECTORY);
        match (self.watch(end, END, None), open(libc::O_RDONLY)) {
            // reading permits watching; watching and searching together permit reading
            (Err(error), Ok(_)) if is_denied(&error) => Err(refused(&error, refusal!("inotify_add_watch(2)"))),
            (Ok(()), Err(error)) if is_denied(&error) && open(libc::O_PATH).is_ok() => {
                Err(refused(&error, refusal!("openat(2) of the directory")))
            }
            (Err(error), _) | (_, Err(error)) => Err(self.why_denied(end, &[true], error)),
            (_, Ok(opened)) => {
                self.pass(end, true)?;
                Ok(opened)
            }
        }
    }

    /// Notes that this process could pass this directory.
    fn pass(&mut self, directory: BorrowedFd<'_>, is_readable: bool) -> io::Result<()> {
        self.passed.push(passed(directory, is_readable)?);
        Ok(())
    }

    /// Makes a refusal of a missing permission if the directory has not changed since this process could pass it, with
    /// this readability: then the process has changed, which says nothing about the contents.
    fn why_denied(&self, directory: BorrowedFd<'_>, readable: &[bool], error: io::Error) -> io::Error {
        let had = |is_readable: &bool| passed(directory, *is_readable).is_ok_and(|now| self.before.contains(&now));
        if is_denied(&error) && readable.iter().any(had) { refused(&error, GIVEN_UP) } else { error }
    }

    /// Watches the directory `here`, then opens `next` in it.
    fn step(&mut self, here: BorrowedFd<'_>, next: &CStr) -> io::Result<OwnedFd> {
        let open = || open_step(here, next);
        match self.watch(here, WAY, Some(next)) {
            // an unreadable directory cannot be watched, but perhaps passed
            Err(error) if is_denied(&error) => {
                let found = open();
                let found =
                    found.map_err(|why| if is_denied(&why) { self.why_denied(here, &ANY, why) } else { error })?;
                self.pass(here, false)?;
                return Ok(found);
            }
            result => result?,
        }
        let found = open().or_else(|_| {
            // missing, or not a directory: watch for its creation too, and try again
            self.steps.pop();
            self.watch(here, END, Some(next))?;
            open()
        });
        if !found.as_ref().is_err_and(is_denied) {
            self.pass(here, true)?;
        }
        found.map_err(|error| self.why_denied(here, &ANY, error))
    }

    fn watch(&mut self, directory: BorrowedFd<'_>, mask: WatchFlags, next: Option<&CStr>) -> io::Result<()> {
        let watch = self.inotify.watch(directory, mask)?;
        self.steps.push(Step { watch, next: next.map(CStr::to_owned) });
        Ok(())
    }
}

pub(super) fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
