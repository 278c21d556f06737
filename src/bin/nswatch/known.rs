//! The data about a living namespace, for `show` and for `list --all`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nswatch::{DEFAULT_DIR, Netns};

use crate::json::Object;

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) netns: Netns,
    /// The nsid here; outer `None`: the namespace has died meanwhile.
    pub(crate) nsid: Option<Option<i32>>,
    /// The names in `/run/netns`, in order.
    pub(crate) names: Vec<OsString>,
    /// The other mounts, in order.
    pub(crate) mounts: Vec<OsString>,
    /// The processes, in ascending order.
    pub(crate) pids: Vec<i32>,
    /// The command of the first process.
    pub(crate) command: Option<OsString>,
    /// A descriptor of it, if nothing else shows it.
    pub(crate) descriptor: Option<PathBuf>,
}

impl Known {
    pub(crate) fn json(&self) -> Object {
        let Self { netns, nsid, names, mounts, pids, command, descriptor } = self;
        let mut object = Object::default();
        object.number("dev", netns.dev());
        object.number("ino", netns.ino());
        netns.cookie().into_iter().for_each(|cookie| object.number("cookie", cookie));
        netns.stamp().into_iter().for_each(|stamp| object.number("stamp", stamp));
        nsid.flatten().into_iter().for_each(|nsid| object.number("nsid", nsid));
        object.names("names", names);
        object.names("mounts", mounts);
        object.number("processes", pids.len());
        pids.first().into_iter().for_each(|pid| object.number("pid", pid));
        command.iter().for_each(|command| object.name("command", command));
        object.numbers("pids", pids);
        descriptor.iter().for_each(|path| object.name("descriptor", path.as_os_str()));
        object
    }

    /// Opens the namespace by the first path that leads to it.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        let names = self.names.iter().map(|name| Path::new(DEFAULT_DIR).join(name));
        let mounts = self.mounts.iter().map(PathBuf::from);
        let processes = self.pids.iter().map(|pid| of_process(*pid));
        let mut paths = names.chain(mounts).chain(processes).chain(self.descriptor.clone());
        paths.find_map(|path| self.netns.open(Some(&path)).ok()).or_else(|| self.netns.open(None).ok())
    }
}

pub(crate) fn of_process(pid: i32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// The real path of `/run/netns`, which may be behind a link.
pub(crate) fn real_default_dir() -> PathBuf {
    Path::new(DEFAULT_DIR).canonicalize().unwrap_or_else(|_| DEFAULT_DIR.into())
}

/// The command name of a process; `None`: it has ended.
pub(crate) fn command_of(pid: i32) -> Option<OsString> {
    let mut comm = [0; 64];
    let length = File::open(format!("/proc/{pid}/comm")).and_then(|mut file| file.read(&mut comm)).ok()?;
    let comm = comm.get(..length)?;
    Some(OsStr::from_bytes(comm.strip_suffix(b"\n").unwrap_or(comm)).to_owned())
}

/// The path of a name, for error messages.
pub(crate) fn path_of(name: &OsStr) -> PathBuf {
    match name.is_empty() || name.as_bytes().contains(&b'/') {
        true => name.into(),
        false => Path::new(DEFAULT_DIR).join(name),
    }
}
