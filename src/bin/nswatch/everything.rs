//! `nswatch list --all`: every network namespace in sight.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::thread::Builder;

use nswatch::{DEFAULT_DIR, Netns, Sighting, census, nsid, printable};

use crate::ending::Ending;
use crate::known::{Known, command_of, real_default_dir};
use crate::output;

pub(crate) fn run(json: bool) -> Result<(), Ending> {
    let dir = real_default_dir();
    let mut all: Vec<Known> = census()?.into_iter().map(|seen| known(seen, &dir)).collect();
    add_commands(&mut all);
    add_links(&mut all);
    add_nsids(&mut all)?;
    all.sort_unstable_by_key(|known| (known.netns.cookie(), known.netns.ino()));
    let lines = if json { all.iter().map(|known| known.json().line()).collect() } else { table(&all) };
    output::print(lines.as_bytes())
}

/// The census result for a namespace, without nsid and command yet.
fn known(seen: Sighting, dir: &Path) -> Known {
    let Sighting { netns, mounts, mut pids, descriptor, .. } = seen;
    // several mounts over one path are one way to it
    let (names, mounts): (BTreeSet<_>, BTreeSet<_>) = mounts.into_iter().partition(|path| path.parent() == Some(dir));
    let names = names.iter().filter_map(|path| path.file_name().map(OsString::from)).collect();
    let mounts = mounts.into_iter().map(OsString::from).collect();
    pids.sort_unstable();
    Known { netns, nsid: Some(None), names, mounts, pids, command: None, descriptor }
}

/// Adds the commands of the first processes. A second thread helps, if it can start.
fn add_commands(all: &mut [Known]) {
    let left = Mutex::new(all.iter_mut());
    let next = || left.lock().ok()?.next();
    let work = || {
        while let Some(known) = next() {
            known.command = known.pids.first().and_then(|pid| command_of(*pid));
        }
    };
    std::thread::scope(|scope| {
        Builder::new().spawn_scoped(scope, work).ok();
        work();
    });
}

/// Adds names that are symbolic links, which are not mounts.
fn add_links(all: &mut [Known]) {
    for entry in std::fs::read_dir(DEFAULT_DIR).into_iter().flatten().map_while(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            let name = entry.file_name();
            let there = Netns::for_name(&name).ok();
            let known = there.and_then(|there| all.iter_mut().find(|known| known.netns.same(&there)));
            if let Some(Known { names, .. }) = known {
                let at = names.partition_point(|other| *other < name);
                names.insert(at, name);
            }
        }
    }
}

/// Adds the nsids; stops when all assigned ones are found.
fn add_nsids(all: &mut [Known]) -> Result<(), Ending> {
    let mut left = nsid::list()?.len();
    for known in all {
        if left == 0 {
            break;
        }
        known.nsid = known.open().map(nsid::get_for_fd).transpose()?;
        left -= usize::from(known.nsid.flatten().is_some());
    }
    Ok(())
}

const HEADING: [&str; 7] = ["COOKIE", "INODE", "NSID", "PROCESSES", "PID", "COMMAND", "NAMES AND PATHS"];

fn table(all: &[Known]) -> String {
    let rows: Vec<_> = std::iter::once(HEADING.map(String::from)).chain(all.iter().map(row)).collect();
    let mut widths = [0; HEADING.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for [cookie, inode, nsid, processes, pid, command, paths] in &rows {
        let [a, b, c, d, e, f, _] = widths;
        // writing to a String cannot fail
        writeln!(table, "{cookie:>a$}  {inode:>b$}  {nsid:>c$}  {processes:>d$}  {pid:>e$}  {command:<f$}  {paths}")
            .ok();
    }
    table
}

fn row(known: &Known) -> [String; HEADING.len()] {
    let Known { netns, nsid, names, mounts, pids, command, descriptor } = known;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let descriptor = descriptor.iter().map(|path| printable(path.as_os_str()));
    let paths: Vec<_> = names.iter().chain(mounts).map(printable).chain(descriptor).collect();
    [
        or_none(netns.cookie().map(|cookie| cookie.to_string())),
        netns.ino().to_string(),
        or_none(nsid.flatten().map(|nsid| nsid.to_string())),
        pids.len().to_string(),
        or_none(pids.first().map(|pid| pid.to_string())),
        or_none(command.as_ref().map(printable)),
        or_none(Some(paths.join(" ")).filter(|paths| !paths.is_empty())),
    ]
}
