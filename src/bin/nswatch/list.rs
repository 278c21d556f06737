//! `nswatch list`: the names now, found as every watcher finds them (the replay, added up), and why a name is not usable.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use nswatch::{DEFAULT_DIR, Event, EventKind, Name, Netns, Options, Watcher};
use rustix::io::Errno;

use crate::args::ListArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::{Record, Value, json};
use crate::text;

pub(crate) fn run(args: &ListArgs) -> Result<(), Ending> {
    let dir = args.dir.as_deref().unwrap_or(DEFAULT_DIR.as_ref());
    let names = names(args, dir)?;
    // what the library opens has no `..` in it
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut rows = Vec::with_capacity(names.len());
    for (name, event) in names {
        let reason = match event.netns() {
            Some(_) => None,
            None => match reason(&dir, &name)? {
                None => continue,
                reason => reason,
            },
        };
        rows.push((name, event, reason));
    }
    let lines =
        if args.json { rows.into_iter().map(|(_, event, reason)| line(event, reason)).collect() } else { table(&rows) };
    output::print(lines.as_bytes())
}

/// Each name with its last event: `Ready`, or `Created` if it is not usable.
fn names(args: &ListArgs, dir: &Path) -> Result<BTreeMap<Name, Event>, Ending> {
    // without /run/netns there are no namespaces, which is no error; a directory that was asked for should be there
    let options = Options::new().dir(dir)?.parent(args.dir.is_none());
    let mut names = BTreeMap::new();
    for event in Watcher::named(&options)? {
        let event = event?;
        match event.kind() {
            EventKind::Synced => break,
            EventKind::Deleted(name) => drop(names.remove(name)),
            _ => drop(event.name().cloned().map(|name| names.insert(name, event))),
        }
    }
    Ok(names)
}

/// Why a name is not usable, in a word for programs and a phrase for people.
#[derive(Debug, Clone, Copy)]
struct Reason {
    word: &'static str,
    phrase: &'static str,
}

/// Asks why a name is not usable. `None`: it has gone meanwhile.
fn reason(dir: &Path, name: &Name) -> Result<Option<Reason>, Ending> {
    let path = dir.join(name);
    let (word, phrase) = match Netns::for_name(&path) {
        // its namespace has come since
        Ok(_) => ("not_mounted", "nothing mounted (yet)"),
        Err(error) => match Errno::from_raw_os_error(error.errno()) {
            Errno::NODEV => ("not_mounted", "nothing mounted (yet)"),
            Errno::NOENT if path.symlink_metadata().is_err() => return Ok(None),
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => ("dangling_link", "dangling link"),
            Errno::PROTOTYPE => ("other_kind", "namespace of another kind"),
            Errno::ACCESS => ("no_permission", "no permission"),
            Errno::LOOP => ("link_loop", "loop of links"),
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::OPNOTSUPP => return Err(error.into()),
            // of a filesystem that is out of order, behind a link
            _ => ("error", "cannot be looked at"),
        },
    };
    Ok(Some(Reason { word, phrase }))
}

fn line(event: Event, reason: Option<Reason>) -> String {
    let record = Record::from(event);
    let mut fields = record.fields();
    fields.extend(reason.map(|Reason { word, .. }| ("reason", Value::Word(word))));
    json(&fields)
}

fn table(names: &[(Name, Event, Option<Reason>)]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let rows = names.iter().map(|(name, event, reason)| {
        let namespace = match (event.netns(), reason) {
            (Some(netns), _) => text::netns(netns),
            (None, reason) => reason.map_or("", |Reason { phrase, .. }| phrase).into(),
        };
        let cookie = event.netns().and_then(Netns::cookie);
        [text::safe(name), namespace, cookie.map_or("-".into(), |cookie| cookie.to_string())]
    });
    let rows: Vec<[String; 3]> =
        std::iter::once(["NAME", "NAMESPACE", "COOKIE"].map(String::from)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name_width, namespace_width) = (width(0), width(1));
    let mut table = String::new();
    for [name, namespace, cookie] in &rows {
        // writing to a String cannot fail
        writeln!(table, "{name:<name_width$}  {namespace:<namespace_width$}  {cookie}").ok();
    }
    table
}
