//! Runs a command inside each network namespace that has a name, and in each new one: `enter COMMAND [ARGUMENT…]`
//!
//! Try `enter ip -brief link`; it requires CAP_SYS_ADMIN.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode};

use nswatch::{EventKind, Options, Watcher, netns};
use signal_hook::{consts::SIGINT, flag};

fn main() -> ExitCode {
    let command: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((program, arguments)) = command.split_first() else {
        eprintln!("usage: enter COMMAND [ARGUMENT…]");
        return ExitCode::from(2);
    };
    match enter(Command::new(program).args(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("enter: {error}");
            ExitCode::FAILURE
        }
    }
}

fn enter(command: &mut Command) -> io::Result<()> {
    // Ctrl-C ends the program normally
    flag::register_conditional_shutdown(SIGINT, 0, std::sync::Arc::new(true.into()))?;
    let mut watcher = Watcher::named(&Options::new())?;
    while let Some(event) = watcher.next().transpose()? {
        let EventKind::Ready(name, _) = event.kind() else { continue };
        println!("in {name}:");
        let done =
            watcher.open_netns(&event).map_err(io::Error::from).and_then(|namespace| run_inside(namespace, command));
        // if one namespace is gone or one command fails, continue with the others
        if let Err(error) = done {
            eprintln!("enter: {name}: {error}");
        }
    }
    Ok(())
}

/// Runs a command in a namespace. The closure runs in a thread of its own, so this thread stays in its namespace.
fn run_inside(namespace: OwnedFd, command: &mut Command) -> io::Result<()> {
    match netns::enter(namespace, || command.status())?? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(status.to_string())),
    }
}
