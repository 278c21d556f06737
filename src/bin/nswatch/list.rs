//! `nswatch list`: the names as a watcher finds them (the applied replay), and why a name is not usable.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nswatch::{Event, EventKind, Name, Netns, Options, Watcher, nsid};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::args::{ListArgs, directories};
use crate::colour::{Brush, Colour};
use crate::ending::Ending;
use crate::everything;
use crate::output;
use crate::record::{Record, Value, json};
use crate::text;
use crate::watches::failure;

/// A name with its last event, its nsid, and the reason why it is not usable.
type Row = (Record, Option<i32>, Option<Reason>);

pub(crate) fn run(args: &ListArgs) -> Result<(), Ending> {
    if args.all {
        return everything::run(args.json);
    }
    let several = args.dirs.len() > 1;
    let mut rows = Vec::new();
    for dir in directories(&args.dirs) {
        rows.extend(rows_of(args, dir).map_err(|error| failure(error, Some(dir).filter(|_| several)))?);
    }
    let lines = if args.json {
        rows.iter().map(|row| line(row, several)).collect()
    } else {
        table(&rows, several, Brush::new(args.color))
    };
    output::print(lines.as_bytes())
}

fn rows_of(args: &ListArgs, dir: &Path) -> nswatch::Result<Vec<Row>> {
    let (names, watcher) = names(args, dir)?;
    // most hosts have no nsids, and then this asks for none
    let any = nsid::list().map_or(true, |nsids| !nsids.is_empty());
    // a path that the library opens has no `..`
    let real = match args.limits.no_symlinks {
        // the library has followed the permitted links
        true => dir.to_owned(),
        false => dir.canonicalize().unwrap_or_else(|_| dir.to_owned()),
    };
    let dir = Arc::from(dir);
    let mut rows = Vec::with_capacity(names.len());
    for (name, event) in names {
        let reason = match event.netns() {
            Some(_) => None,
            None => match reason(&real, &name, args.limits.no_symlinks)? {
                None => continue,
                reason => reason,
            },
        };
        // none for a namespace that has died meanwhile
        let opened = event.netns().filter(|_| any).and_then(|_| watcher.open_netns(&event).ok());
        let nsid = opened.and_then(|namespace| nsid::get_for_fd(namespace).ok().flatten());
        rows.push((Record { dir: Some(Arc::clone(&dir)), ..event.into() }, nsid, reason));
    }
    Ok(rows)
}

/// Each name with its last event: `Ready`, or `Created` if it is not usable.
fn names(args: &ListArgs, dir: &Path) -> nswatch::Result<(BTreeMap<Name, Event>, Watcher)> {
    // a missing /run/netns means no namespaces, but a directory given by the user must exist
    let options = args.limits.apply(Options::new().dir(dir)?.parent(args.dirs.is_empty()));
    let mut names = BTreeMap::new();
    let mut watcher = Watcher::named(&options)?;
    for event in watcher.by_ref() {
        let event = event?;
        match event.kind() {
            EventKind::Synced => break,
            EventKind::Deleted(name) => drop(names.remove(name)),
            _ => drop(event.name().cloned().map(|name| names.insert(name, event))),
        }
    }
    Ok((names, watcher))
}

/// Why a name is not usable: a word for programs and a phrase for people.
#[derive(Debug, Clone, Copy)]
struct Reason {
    word: &'static str,
    phrase: &'static str,
}

/// Finds why a name is not usable. `None`: it has gone meanwhile.
fn reason(dir: &Path, name: &Name, no_symlinks: bool) -> nswatch::Result<Option<Reason>> {
    let mut path = dir.join(name);
    // keeps the file open for the probes below
    let mut itself = None;
    if no_symlinks {
        match rustix::fs::open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(opened) if is_symlink(&opened) => {
                return Ok(Some(Reason { word: "symlink", phrase: "symbolic link, not followed" }));
            }
            Ok(opened) => {
                path = format!("/proc/self/fd/{}", opened.as_raw_fd()).into();
                itself = Some(opened);
            }
            Err(Errno::NOENT) => return Ok(None),
            Err(_) => return Ok(Some(Reason { word: "error", phrase: "cannot be probed" })),
        }
    }
    let (word, phrase) = match Netns::for_name(&path) {
        // its namespace has appeared since
        Ok(_) => ("not_mounted", "nothing mounted (yet)"),
        Err(error) => match Errno::from_raw_os_error(error.errno()) {
            Errno::NODEV => ("not_mounted", "nothing mounted (yet)"),
            Errno::NOENT if path.symlink_metadata().is_err() => return Ok(None),
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => ("dangling_link", "dangling link"),
            Errno::PROTOTYPE => ("other_kind", "namespace of another kind"),
            Errno::ACCESS => ("no_permission", "no permission"),
            Errno::LOOP => ("link_loop", "loop of links"),
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::OPNOTSUPP => return Err(error),
            // a link into a broken filesystem
            _ => ("error", "cannot be probed"),
        },
    };
    drop(itself);
    Ok(Some(Reason { word, phrase }))
}

fn is_symlink(opened: &OwnedFd) -> bool {
    rustix::fs::fstat(opened).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn line((record, nsid, reason): &Row, several_dirs: bool) -> String {
    let mut fields = record.fields(several_dirs);
    fields.extend(nsid.map(|nsid| ("nsid", nsid.into())));
    fields.extend(reason.map(|Reason { word, .. }| ("reason", Value::Word(word))));
    json(&fields)
}

fn table(rows: &[Row], several_dirs: bool, brush: Brush) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heading = [if several_dirs { "PATH" } else { "NAME" }, "NAMESPACE", "COOKIE", "NSID"];
    let cells = rows.iter().map(|(record, nsid, reason)| {
        let netns = record.event.netns();
        let namespace = netns.map(text::netns).or(reason.map(|Reason { phrase, .. }| phrase.into()));
        let cookie = netns.and_then(Netns::cookie).map(|cookie| cookie.to_string());
        let nsid = nsid.map(|nsid| nsid.to_string());
        let [cookie, nsid] = [cookie, nsid].map(|number| number.unwrap_or("-".into()));
        [record.subject(several_dirs), namespace.unwrap_or_default(), cookie, nsid]
    });
    let usable = std::iter::once(true).chain(rows.iter().map(|(_, _, reason)| reason.is_none()));
    let rows: Vec<[String; 4]> = std::iter::once(heading.map(String::from)).chain(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [a, b, c] = [0, 1, 2].map(width);
    let mut table = String::new();
    for ([name, namespace, cookie, nsid], usable) in rows.iter().zip(usable) {
        let namespace = format!("{namespace:<b$}");
        let namespace = if usable { namespace } else { brush.paint(Colour::Yellow, &namespace) };
        // writing to a String cannot fail
        writeln!(table, "{name:<a$}  {namespace}  {cookie:<c$}  {nsid}").ok();
    }
    table
}
