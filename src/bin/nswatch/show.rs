//! `nswatch show`: everything known about one namespace.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;

use nswatch::{DEFAULT_DIR, Feature, Netns, Sighting, census, nsid, printable};

use crate::args::ShowArgs;
use crate::ending::Ending;
use crate::json::Object;
use crate::known::{Known, command_of, of_process, path_of, real_default_dir};
use crate::numbers::whole;
use crate::output;
use crate::text;

/// The namespace to show.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// A name in `/run/netns`; with a `/` in it, a path.
    Name(OsString),
    Pid(i32),
    Nsid(i32),
    Cookie(u64),
    Ino(u64),
}

impl Wanted {
    pub(crate) fn read(text: OsString) -> Result<Self, String> {
        let parts = text.to_str().filter(|text| !text.contains('/')).and_then(|text| text.split_once(':'));
        let wanted = match parts {
            Some(("pid", number)) => whole("N of pid:N is a process", 1..=i32::MAX)(number).map(Self::Pid),
            Some(("nsid", number)) => whole("N of nsid:N is an nsid", 0..=i32::MAX)(number).map(Self::Nsid),
            Some(("cookie", number)) => whole("N of cookie:N is a cookie", 1..=u64::MAX)(number).map(Self::Cookie),
            Some(("ino", number)) => whole("N of ino:N is an inode number", 1..=u64::MAX)(number).map(Self::Ino),
            _ => return Ok(Self::Name(text)),
        };
        wanted.map_err(|why| format!("{why}; give a name with a colon as a path"))
    }
}

pub(crate) fn run(args: &ShowArgs) -> Result<(), Ending> {
    let lines = match find(&args.what)? {
        Some(netns) => {
            let known = known(netns, &args.what)?;
            if args.json { line(&known, &args.what) } else { lines(&known, &args.what) }
        }
        None => dead(&args.what, args.json),
    };
    output::print(lines.as_bytes())
}

/// Finds the namespace. `None`: it is dead, for certain.
fn find(what: &Wanted) -> Result<Option<Netns>, Ending> {
    match what {
        Wanted::Name(name) => Ok(Some(Netns::for_name(path_of(name))?)),
        Wanted::Pid(pid) => Ok(Some(Netns::for_pid(*pid)?)),
        Wanted::Nsid(nsid) => Ok(Some(Netns::for_nsid(*nsid)?)),
        Wanted::Ino(ino) => match seen(|netns| netns.ino() == *ino)? {
            Some(netns) => Ok(Some(netns)),
            None => Err(out_of_sight(format!("inode number {ino}"))),
        },
        Wanted::Cookie(cookie) => by_cookie(*cookie),
    }
}

fn seen(is_wanted: impl Fn(&Netns) -> bool) -> Result<Option<Netns>, Ending> {
    Ok(census()?.into_iter().map(|sighting| sighting.netns).find(is_wanted))
}

fn by_cookie(cookie: u64) -> Result<Option<Netns>, Ending> {
    if let Some(netns) = seen(|netns| netns.cookie() == Some(cookie))? {
        return Ok(Some(netns));
    }
    if !Feature::Cookie.is_available()? {
        return Err(Ending::Failed(format!(
            "cannot find the network namespace with the cookie {cookie}: cookies require Linux 6.18"
        )));
    }
    match by_cookie_alone(cookie) {
        Ok(namespace) => Ok(Some(Netns::for_fd(namespace)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && opens_by_cookie_alone()? => Ok(None),
        Err(_) => Err(out_of_sight(format!("cookie {cookie}"))),
    }
}

/// Opens a namespace without its inode number, which requires Linux 6.19.
fn by_cookie_alone(cookie: u64) -> std::io::Result<OwnedFd> {
    Ok(Netns::new(0, 0, cookie, 0).open(None)?)
}

/// Whether the kernel does that. Before Linux 6.19 it takes every such namespace for dead, even the own one.
fn opens_by_cookie_alone() -> Result<bool, Ending> {
    let own = Netns::for_name("/proc/thread-self/ns/net")?;
    Ok(own.cookie().is_some_and(|cookie| by_cookie_alone(cookie).is_ok()))
}

fn out_of_sight(whose: String) -> Ending {
    Ending::Failed(format!(
        "cannot find the network namespace with the {whose}: it is dead, or no mount, process or descriptor here shows it; \
         processes of other users require CAP_SYS_PTRACE; mounts in other mount namespaces require Linux 6.19 and \
         CAP_SYS_ADMIN"
    ))
}

fn known(netns: Netns, what: &Wanted) -> Result<Known, Ending> {
    let sighting = census()?.into_iter().find(|sighting| sighting.netns.same(&netns));
    let (paths, mut pids, descriptor) = match sighting {
        Some(Sighting { mounts, pids, descriptor, .. }) => (mounts, pids, descriptor),
        None => Default::default(),
    };
    pids.sort_unstable();
    let names = names_of(&netns);
    let dir = real_default_dir();
    // a name may be a link to a mount
    let is_name = |path: &Path| {
        path.parent() == Some(&dir) && path.file_name().is_some_and(|name| names.iter().any(|n| n == name))
    };
    // several mounts over one path are one way to it
    let mounts: BTreeSet<_> = paths.into_iter().filter(|path| !is_name(path)).map(OsString::from).collect();
    let command = pids.first().and_then(|pid| command_of(*pid));
    let mounts = mounts.into_iter().collect();
    let mut known = Known { netns, nsid: None, names, mounts, pids, command, descriptor };
    let given = match what {
        Wanted::Name(name) => Some(path_of(name)),
        Wanted::Pid(pid) => Some(of_process(*pid)),
        _ => None,
    };
    let namespace = given.and_then(|path| netns.open(Some(&path)).ok()).or_else(|| known.open());
    known.nsid = namespace.map(nsid::get_for_fd).transpose()?;
    Ok(known)
}

/// Whether the output says that the namespace is alive: only for a cookie.
fn says_alive(what: &Wanted) -> bool {
    matches!(what, Wanted::Cookie(_))
}

fn line(known: &Known, what: &Wanted) -> String {
    let mut object = known.json();
    if says_alive(what) {
        object.flag("alive", true);
    }
    object.line()
}

fn lines(known: &Known, what: &Wanted) -> String {
    let Known { netns, nsid, names, mounts, pids, command, descriptor } = known;
    let mut rows = vec![("namespace", text::netns(netns)), ("device", netns.dev().to_string())];
    rows.extend(netns.cookie().map(|cookie| ("cookie", cookie.to_string())));
    rows.extend(netns.stamp().map(|stamp| ("stamp", stamp.to_string())));
    rows.extend(nsid.map(|nsid| ("nsid", nsid.map_or("not assigned".into(), |nsid| nsid.to_string()))));
    rows.extend(names.iter().map(|name| ("name", printable(name))));
    rows.extend(mounts.iter().map(|path| ("mount", printable(path))));
    rows.push(("processes", pids.len().to_string()));
    rows.extend(pids.first().map(|pid| ("first pid", pid.to_string())));
    rows.extend(command.iter().map(|command| ("command", printable(command))));
    rows.extend(descriptor.iter().map(|path| ("open by", printable(path))));
    rows.extend(says_alive(what).then(|| ("alive", "yes".into())));
    rows.iter().map(|row| labelled(row.0, &row.1)).collect()
}

fn labelled(label: &str, value: &str) -> String {
    format!("{label:<9}  {value}\n")
}

/// The names in `/run/netns` that lead to the namespace, in order.
fn names_of(netns: &Netns) -> Vec<OsString> {
    let entries = std::fs::read_dir(DEFAULT_DIR).into_iter().flatten().map_while(Result::ok);
    let leads_there = |name: &OsString| Netns::for_name(name).is_ok_and(|other| other.same(netns));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).filter(leads_there).collect();
    names.sort_unstable();
    names
}

/// The output for a dead namespace.
fn dead(what: &Wanted, json: bool) -> String {
    let Wanted::Cookie(cookie) = what else { return String::new() };
    if !json {
        return labelled("cookie", &cookie.to_string()) + &labelled("alive", "no");
    }
    let mut object = Object::default();
    object.number("cookie", cookie);
    object.flag("alive", false);
    object.line()
}
