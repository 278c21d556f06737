//! Prints what happens to the names in a directory: `monitor [DIR]`
//!
//! `println!("{event}")` does the same, but for names that are not UTF-8: these are written here as they are.

use std::io::{self, Write};
use std::process::ExitCode;

use nswatch::{DEFAULT_DIR, Event, Options, Watcher};
use signal_hook::{consts::SIGINT, flag};

fn main() -> ExitCode {
    match monitor() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("monitor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn monitor() -> io::Result<()> {
    // Ctrl-C is how one ends it: no failure
    flag::register_conditional_shutdown(SIGINT, 0, std::sync::Arc::new(true.into()))?;
    let dir = std::env::args_os().nth(1).unwrap_or(DEFAULT_DIR.into());
    for event in Watcher::named(&Options::new().dir(dir)?)? {
        io::stdout().write_all(&describe(&event?))?;
    }
    Ok(())
}

fn describe(event: &Event) -> Vec<u8> {
    let mut line = event.kind().type_name().as_bytes().to_vec();
    if let Some(name) = event.name() {
        line.push(b' ');
        line.extend(name.as_bytes());
    }
    if let Some(netns) = event.netns() {
        line.extend(format!(" net:[{}]", netns.ino()).as_bytes());
    }
    if event.is_replayed() {
        line.extend(b" (existing)");
    }
    line.push(b'\n');
    line
}
