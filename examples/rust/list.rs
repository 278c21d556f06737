//! Lists the names in a directory and the network namespaces that they refer to: `list [DIR]`

use std::collections::BTreeMap;
use std::process::ExitCode;

use nswatch::{DEFAULT_DIR, EventKind, Name, Netns, Options, Watcher};

fn main() -> ExitCode {
    match list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("list: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> nswatch::Result<()> {
    for (name, netns) in names()? {
        let netns = netns.map_or("-".into(), |netns| netns.to_string());
        // Display of a name escapes what could control a terminal
        println!("{name} {netns}");
    }
    Ok(())
}

/// Applies the replayed events until Synced. A program that keeps watching does the same, and can compare
/// identities and open one later.
fn names() -> nswatch::Result<BTreeMap<Name, Option<Netns>>> {
    let dir = std::env::args_os().nth(1).unwrap_or(DEFAULT_DIR.into());
    let mut names = BTreeMap::new();
    for event in Watcher::named(&Options::new().dir(dir)?)? {
        match event?.kind() {
            EventKind::Created(name) | EventKind::Detached(name) => _ = names.insert(name.clone(), None),
            EventKind::Ready(name, netns) => _ = names.insert(name.clone(), Some(*netns)),
            EventKind::Deleted(name) => _ = names.remove(name),
            EventKind::Synced => break,
            _ => {}
        }
    }
    Ok(names)
}
