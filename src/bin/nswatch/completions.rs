//! `nswatch completions`: a script for a shell. clap's script has the options and fixed values. The shell finds names,
//! the next type of a list and the words after `--` when it completes a line.

use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::ending::Ending;
use crate::output;
use crate::record::Kind;

pub(crate) fn run(shell: Shell) -> Result<(), Ending> {
    // clap_complete panics if it cannot write to stdout
    let mut script = Vec::new();
    generate(shell, &mut offered(), "nswatch", &mut script);
    let script = String::from_utf8_lossy(&script);
    output::print(amended(shell, &script).as_bytes())
}

/// The command line without what clap_complete offers and nobody types.
fn offered() -> Command {
    let cli = Cli::command();
    let shown: Vec<_> = cli.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned().collect();
    Command::new("nswatch").version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}

fn amended(shell: Shell, script: &str) -> String {
    let names: Vec<_> = kinds().map(|(name, _)| name).collect();
    let ours = |text: &str| text.replace("@EVENTS@", &names.join(" "));
    match shell {
        Shell::Bash => script.to_owned() + &ours(include_str!("completions/nswatch.bash")),
        Shell::Fish => script.to_owned() + &ours(include_str!("completions/nswatch.fish")),
        Shell::Zsh => zsh(script),
        _ => script.to_owned(),
    }
}

/// Replaces the actions of clap's own specifications.
fn zsh(script: &str) -> String {
    let mut amended = String::new();
    let mut rest = script;
    while let Some((before, after)) = rest.split_once(":EVENT:((") {
        amended += before;
        amended += ":EVENT:_nswatch_events";
        rest = after.split_once("))").map_or("", |(_, after)| after);
    }
    amended += rest;
    for (value, action) in [(":GLOB:", "_default"), (":NAME:", "_files")] {
        amended = amended.replace(&format!("{value}{action}'"), &format!("{value}_nswatch_names'"));
    }
    let lines = amended.lines().map(|line| match line.strip_suffix(":_files' \\") {
        Some(line) if line.starts_with("':") => format!("{line}:_nswatch_names' \\\n"),
        _ => format!("{line}\n"),
    });
    let amended: String = lines.collect();
    let values: Vec<_> = kinds().map(|(name, help)| format!("        '{name}[{help}]'")).collect();
    let ours = include_str!("completions/nswatch.zsh").replace("@EVENTS@", &values.join(" \\\n"));
    // before the end, which runs the definitions
    match amended.rsplit_once("\nif [ \"$funcstack") {
        Some((before, end)) => format!("{before}\n{ours}if [ \"$funcstack{end}"),
        None => amended,
    }
}

/// Each event type and its description.
fn kinds() -> impl Iterator<Item = (String, String)> {
    let values = Kind::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    values.map(|value| (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default()))
}
