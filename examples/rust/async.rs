//! Waits for the watcher and standard input in one task of tokio: `async [DIR]`
//!
//! The line "resync" makes the watcher compare its state with the kernel's. The end of the input ends the program.

use std::io;
use std::process::ExitCode;

use nswatch::{DEFAULT_DIR, Event, EventKind, Options, Watcher};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_io().build().expect("cannot make a runtime");
    let done = runtime.block_on(serve());
    // a thread may still wait for a line of standard input: do not wait for the thread
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("async: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).unwrap_or(DEFAULT_DIR.into());
    let mut events = Watcher::named(&Options::new().dir(dir)?)?.into_stream()?;
    let mut input = BufReader::new(stdin()).lines();
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        // no branch loses anything when another is taken
        tokio::select! {
            event = events.next() => match event.transpose()? {
                Some(event) => report(events.get_ref(), &event),
                None => return Ok(()),
            },
            line = input.next_line() => match line?.as_deref() {
                Some("resync") => events.resync()?,
                Some(_) => {}
                None => return Ok(()),
            },
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

fn report(watcher: &Watcher, event: &Event) {
    // Display of a name escapes what could control a terminal
    let name = event.name().map_or("-".into(), |name| name.to_string());
    println!("{} {name}", event.kind().type_name());
    // an error: gone or replaced already; an event for that follows
    if matches!(event.kind(), EventKind::Ready(..)) && watcher.open_netns(event).is_ok() {
        println!("opened {name}");
    }
}
