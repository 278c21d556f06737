//! Prints the births and deaths of all network namespaces, with or without a name, and a process in each: `all`
//!
//! Try it on `unshare --net sleep 10`. Without root it misses namespaces of other users' processes, and
//! reports new ones later.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use nswatch::{Event, EventKind, Options, Watcher, printable};
use signal_hook::{consts::SIGINT, flag};

fn main() -> ExitCode {
    match all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("all: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> io::Result<()> {
    // Ctrl-C ends the program normally
    flag::register_conditional_shutdown(SIGINT, 0, std::sync::Arc::new(true.into()))?;
    // the identity is the key: names and pids may pass to others
    let mut who = HashMap::new();
    for event in Watcher::all(&Options::new())? {
        let event = event?;
        let about = match event.kind() {
            EventKind::NetnsNew { netns, .. } => {
                let known_by = known_by(&event);
                let about = format!(" {netns}{known_by}");
                who.insert(*netns, known_by);
                about
            }
            EventKind::NetnsDel(netns) => format!(" {netns}{}", who.remove(netns).unwrap_or_default()),
            _ => String::new(),
        };
        let replayed = if event.is_replayed() { " (replayed)" } else { "" };
        println!("{}{about}{replayed}", event.kind().type_name());
    }
    Ok(())
}

/// Describes a new namespace: a process in it, or a path to it.
fn known_by(event: &Event) -> String {
    match (event.pid(), event.path()) {
        (Some(pid), _) => {
            // the process chooses its command, and may have ended
            let command = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or(b"?".to_vec());
            let command = OsStr::from_bytes(command.strip_suffix(b"\n").unwrap_or(&command));
            format!(" {pid} {}", printable(command))
        }
        (None, Some(path)) => format!(" {}", printable(path.as_os_str())),
        (None, None) => String::new(),
    }
}
