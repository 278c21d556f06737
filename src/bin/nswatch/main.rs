//! The `nswatch` command: the library's events as text, as `--json`, and for commands by `exec`.
//!
//! This file defines how the program ends and its exit status. Each subcommand has a module of its own. The command
//! uses only the public Rust API of the library.

#![forbid(unsafe_code)]

mod args;
mod clock;
mod colour;
mod commands;
mod completions;
mod ending;
mod everything;
mod exec;
mod features;
mod glob;
mod help;
mod id;
mod json;
mod known;
mod list;
mod names;
mod numbers;
mod output;
mod record;
mod serve;
mod session;
mod show;
mod signals;
mod source;
mod text;
mod wait;
mod watch;
mod watches;

use std::process::ExitCode;

use args::{Cli, Command};
use ending::Ending;

fn main() -> ExitCode {
    let done = match Cli::read().command {
        Command::Watch(args) => watch::run(&args),
        Command::List(args) => list::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Id(args) => id::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Completions { shell } => completions::run(shell),
    };
    match done {
        Ok(()) | Err(Ending::Asked | Ending::NobodyReads) => ExitCode::SUCCESS,
        Err(Ending::TimeIsOver) => ExitCode::from(3),
        Err(Ending::Failed(why)) => {
            output::complain(why);
            ExitCode::FAILURE
        }
    }
}
