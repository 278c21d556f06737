//! A directory that is reached through a process, such as `/proc/PID/root/run/netns`: its mounts are those of that
//! process.
//!
//! The path ends with the process. /proc does not report that; a pidfd does. It keeps neither the process nor its
//! mounts alive.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::path::WatchedPath;
use crate::error::{Doing, Error, Result, errno_of, is_refusal, is_transient};
use crate::sys::{self, Epoll};
use crate::walk::{MAX_LINKS, open_step, walk};

/// The process on the path.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    /// `None`: it has ended.
    pidfd: Option<OwnedFd>,
    /// `/proc/PID`
    pub(crate) process: PathBuf,
}

impl Elsewhere {
    /// `None`: the path leads through no other process.
    pub(crate) fn on_the_way(path: &WatchedPath, epoll: &Epoll) -> Result<Option<Self>> {
        // probe nothing behind a link that must not be followed
        if !path.links().are_followed() && !passes_proc(path).doing_on("watch", path.as_os_str())? {
            return Ok(None);
        }
        let path = Path::new(path.as_os_str());
        let Some((pid, process)) = process_on(path) else { return Ok(None) };
        let doing = "watch through a process";
        if !sys::is_proc_ours() {
            let why = "/proc belongs to another pid namespace, so the watcher would miss the end of the process";
            return Err(Error::new(libc::EOPNOTSUPP, doing).because(why).on(path));
        }
        let pidfd = sys::pidfd_open(pid, false).doing_on(doing, path)?;
        epoll.add(pidfd.as_fd()).doing_on(doing, path)?;
        Ok(Some(Self { pidfd: Some(pidfd), process }))
    }

    /// Whether the process has ended since the last call. After that it wakes nobody.
    pub(crate) fn take_end(&mut self, epoll: &Epoll) -> io::Result<bool> {
        let Some(pidfd) = &self.pidfd else { return Ok(false) };
        if !sys::poll_readable(pidfd.as_fd(), Some(Duration::ZERO))? {
            return Ok(false);
        }
        epoll.remove(pidfd.as_fd())?;
        self.pidfd = None;
        Ok(true)
    }
}

/// Whether the path leads through /proc, as far as it leads anywhere. `ELOOP`: by a link that must not be followed.
fn passes_proc(path: &WatchedPath) -> io::Result<bool> {
    let mut passes = false;
    let walked = walk(path.as_c_str(), path.links(), &mut |here, next| {
        passes |= sys::filesystem_of(here)? == sys::PROC;
        open_step(here, next)
    });
    match walked {
        Err(error) if errno_of(&error) == libc::ELOOP || is_transient(&error) || is_refusal(&error) => Err(error),
        _ => Ok(passes),
    }
}

/// The process whose link in /proc the path takes, possibly by way of other links.
fn process_on(path: &Path) -> Option<(i32, PathBuf)> {
    let mut here = PathBuf::from("/");
    let mut rest: Vec<_> = components(path);
    let mut links = 0;
    while let Some(next) = rest.pop() {
        if next.as_os_str() == ".." {
            here.pop();
            continue;
        }
        let parent = here.clone();
        here.push(next);
        let target = std::fs::read_link(&here);
        // the caller finds out if the process does not exist
        if let Some(pid) = process_at(&parent).filter(|_| target.is_ok() || here.ends_with("root")) {
            return Some((pid, Path::new("/proc").join(pid.to_string())));
        }
        let Ok(target) = target else { continue };
        links += 1;
        if links > MAX_LINKS || here.starts_with("/proc") && parent != Path::new("/proc") {
            // the text of other links in /proc is not where they lead
            return None;
        }
        here = if target.is_absolute() { PathBuf::from("/") } else { parent };
        rest.extend(components(&target));
    }
    None
}

/// The components of a path, the last one first.
fn components(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().map(|part| Path::new(part.as_os_str()).to_owned()).collect()
}

/// The process whose directory in /proc this is.
fn process_at(path: &Path) -> Option<i32> {
    path.strip_prefix("/proc").ok()?.components().next()?.as_os_str().to_str()?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_on_the_way_or_is_not() {
        let own = std::process::id() as i32;
        let by_link = std::env::temp_dir().join(format!("nswatch-elsewhere-{own}"));
        std::os::unix::fs::symlink(format!("/proc/{own}/root"), &by_link).unwrap();
        let expected = Some((own, PathBuf::from(format!("/proc/{own}"))));
        for path in ["root/run/netns", "cwd", "root", "task/../root/run"] {
            assert_eq!(process_on(Path::new(&format!("/proc/{own}/{path}"))), expected, "{path}");
        }
        assert_eq!(process_on(&by_link.join("run/netns")), expected);
        assert!(process_on(Path::new("/proc/2147483647/root/run/netns")).is_some());
        for path in ["/run/netns", "/proc", "/proc/sys/net", "/"] {
            assert_eq!(process_on(Path::new(path)), None, "{path}");
        }
        std::fs::remove_file(by_link).unwrap();
    }
}
