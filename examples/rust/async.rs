//! Has the watcher as one of several things that a task of tokio waits for: `async [DIR]`
//!
//! The other one is standard input, where "resync" makes the watcher compare what it told with what the kernel has,
//! and the end of the input ends the program.

use std::io;
use std::process::ExitCode;

use nswatch::{DEFAULT_DIR, Event, EventKind, Options, Watcher};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_io().build().expect("cannot make a runtime");
    let done = runtime.block_on(serve());
    // standard input is read by a thread that may wait for a line: the program does not wait for it
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
        // none loses anything when another comes first
        tokio::select! {
            event = events.next() => match event.transpose()? {
                Some(event) => tell(events.get_ref(), &event),
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

fn tell(watcher: &Watcher, event: &Event) {
    // a name as text is harmless on a terminal, whatever bytes it has
    let name = event.name().map_or("-".into(), |name| name.to_string());
    println!("{} {name}", event.kind().type_name());
    // an error: it is gone or replaced already, and the next event says so
    if matches!(event.kind(), EventKind::Ready(..)) && watcher.open_netns(event).is_ok() {
        println!("opened {name}");
    }
}
