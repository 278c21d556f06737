//! Lists the names in a directory and the network namespaces that they refer to: `list [DIR]`

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use nswatch::{DEFAULT_DIR, EventKind, Name, Options, Watcher};

fn main() -> ExitCode {
    match list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("list: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> io::Result<()> {
    for (name, netns) in names()? {
        // names are bytes to the kernel: those that are not UTF-8 are written as they are
        io::stdout().write_all(&[name.as_bytes(), b" ", netns.as_bytes(), b"\n"].concat())?;
    }
    Ok(())
}

/// Adds up what is told until all that exists has been told; a program that goes on watching does the same.
fn names() -> nswatch::Result<BTreeMap<Name, String>> {
    let dir = std::env::args_os().nth(1).unwrap_or(DEFAULT_DIR.into());
    let mut names = BTreeMap::new();
    for event in Watcher::named(&Options::new().dir(dir)?)? {
        match event?.kind() {
            EventKind::Created(name) | EventKind::Detached(name) => _ = names.insert(name.clone(), "-".to_owned()),
            EventKind::Ready(name, netns) => _ = names.insert(name.clone(), format!("net:[{}]", netns.ino())),
            EventKind::Deleted(name) => _ = names.remove(name),
            EventKind::Synced => break,
            _ => {}
        }
    }
    Ok(names)
}
