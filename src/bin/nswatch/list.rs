//! `nswatch list`: what there is now, found as every watcher finds it: the replay, added up.

use std::collections::BTreeMap;
use std::fmt::Write;

use nswatch::{DEFAULT_DIR, Event, EventKind, Name, Options, Watcher};

use crate::args::ListArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::Record;
use crate::text;

pub(crate) fn run(args: &ListArgs) -> Result<(), Ending> {
    let names = names(args)?;
    let lines =
        if args.json { names.into_values().map(|event| Record::from(event).json()).collect() } else { table(&names) };
    output::print(lines.as_bytes())
}

/// Each name with the event that tells its state: `Ready`, or `Created` for what is not a namespace.
fn names(args: &ListArgs) -> Result<BTreeMap<Name, Event>, Ending> {
    // without /run/netns there are no namespaces, which is no error; a directory that was asked for should be there
    let options = Options::new().dir(args.dir.as_deref().unwrap_or(DEFAULT_DIR.as_ref()))?.parent(args.dir.is_none());
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

fn table(names: &BTreeMap<Name, Event>) -> String {
    let rows = names.iter().map(|(name, event)| {
        let (namespace, id) = match event.netns() {
            Some(netns) => (text::netns(netns), netns.cookie().map_or("-".into(), |id| id.to_string())),
            None => ("not a namespace".into(), "-".into()),
        };
        [text::safe(name), namespace, id]
    });
    let mut rows: Vec<[String; 3]> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.insert(0, ["NAME", "NAMESPACE", "COOKIE"].map(String::from));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name_width, namespace_width) = (width(0), width(1));
    let mut table = String::new();
    for [name, namespace, id] in &rows {
        // writing to a String cannot fail
        writeln!(table, "{name:<name_width$}  {namespace:<namespace_width$}  {id}").ok();
    }
    table
}
