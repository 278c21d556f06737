//! Prints the events of the names in a directory: `monitor [DIR]`

use std::io;
use std::process::ExitCode;

use nswatch::{DEFAULT_DIR, Options, Watcher};
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
    // Ctrl-C ends the program normally
    flag::register_conditional_shutdown(SIGINT, 0, std::sync::Arc::new(true.into()))?;
    let dir = std::env::args_os().nth(1).unwrap_or(DEFAULT_DIR.into());
    for event in Watcher::named(&Options::new().dir(dir)?)? {
        // Display of an event escapes what could control a terminal
        println!("{}", event?);
    }
    Ok(())
}
