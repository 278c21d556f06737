//! `nswatch exec`: a command for each event, one at a time and in order, never by a shell.
//!
//! Others choose the bytes of a name: it reaches the command as one argument or in the environment, and nothing
//! interprets it. While a command runs, events wait in the kernel; after an overflow the library reports the
//! difference.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use nswatch::printable;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::args::ExecArgs;
use crate::clock;
use crate::commands::{Commands, Outcome};
use crate::ending::Ending;
use crate::output::complain;
use crate::record::{Kind, Record, Value};
use crate::session::Session;
use crate::watches::Watches;

/// All variables that [`environment`] may set, and `NSWATCH_FD`. A variable that does not apply is removed, so that
/// none of an outer `exec` remains.
const VARIABLES: [&str; 17] = [
    "NSWATCH_EVENT",
    "NSWATCH_NAME",
    "NSWATCH_DIR",
    "NSWATCH_FD",
    "NSWATCH_DEV",
    "NSWATCH_INO",
    "NSWATCH_COOKIE",
    "NSWATCH_STAMP",
    "NSWATCH_PATH",
    "NSWATCH_PID",
    "NSWATCH_NSID",
    "NSWATCH_ORIGIN",
    "NSWATCH_PORTID",
    "NSWATCH_DROPPED",
    "NSWATCH_REPLAYED",
    "NSWATCH_TIME",
    "NSWATCH_TIME_NS",
];

pub(crate) fn run(args: &ExecArgs) -> Result<(), Ending> {
    let dir_events = args.is_for(Kind::DirCreated) || args.is_for(Kind::DirDeleted);
    let commands = Commands::new(args.timeout)?;
    let mut session = Session::without_reader(&args.what, dir_events)?;
    loop {
        let record = session.next()?;
        if args.is_for(record.kind()) {
            if let Err(why) = carry_out(args, &commands, session.watches(), &record) {
                let program = args.command.first().map(|word| fill(word, &record, "")).unwrap_or_default();
                let about = record.subject(session.watches().are_several());
                let event = [record.event.kind().type_name(), &about].join(" ");
                complain(format!("{} for {}: {why}", printable(program), event.trim_end()));
            }
        }
    }
}

/// Runs the command and waits for it. A failure concerns this event only.
fn carry_out(args: &ExecArgs, commands: &Commands, watches: &Watches, record: &Record) -> Result<(), String> {
    let namespace = open_netns(watches, record).map_err(|why| format!("not run: {why}"))?;
    let number = namespace.as_ref().map(|fd| fd.as_raw_fd().to_string());
    let path = number.as_ref().map(|number| format!("/proc/self/fd/{number}")).unwrap_or_default();
    let mut words = args.command.iter().map(|word| fill(word, record, &path));
    let Some(program) = words.next() else { return Ok(()) };
    // with Stdio::null(), an error of /dev/null looks like one of the command
    let nothing = File::open("/dev/null").map_err(|error| format!("not run: /dev/null: {error}"))?;
    let mut command = Command::new(program);
    command.args(words).stdin(nothing);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.envs(environment(record)).envs(number.map(|number| ("NSWATCH_FD", number)));
    let mut child = commands.start(&mut command).map_err(|error| format!("cannot be run: {error}"))?;
    // the command has it, and no other one
    drop(namespace);
    match commands.wait(&mut child).map_err(|error| format!("cannot be waited for: {error}"))? {
        Outcome { status, late: true } => Err(format!("timed out: {status}")),
        Outcome { status, .. } if status.success() => Ok(()),
        Outcome { status, .. } => Err(status.to_string()),
    }
}

/// Opens exactly the namespace of the event, if it has one. A child inherits the descriptor.
fn open_netns(watches: &Watches, record: &Record) -> Result<Option<OwnedFd>, String> {
    let Some(opened) = watches.open_netns(record) else { return Ok(None) };
    let namespace = opened.map_err(|error| error.to_string())?;
    fcntl_setfd(&namespace, FdFlags::empty()).map_err(|error| format!("cannot hand over the namespace: {error}"))?;
    Ok(Some(namespace))
}

/// The fields of the event as variables: `cookie` is `NSWATCH_COOKIE`, the type `NSWATCH_EVENT`.
fn environment(record: &Record) -> impl Iterator<Item = (String, OsString)> {
    record.fields(true).into_iter().map(|(key, value)| {
        let key = if key == "type" { "event" } else { key };
        let value = match value {
            Value::Word(word) => word.into(),
            Value::Name(name) => name.to_owned(),
            Value::Number(number) => number.to_string().into(),
            Value::Flag(flag) => u8::from(flag).to_string().into(),
            Value::Time(moment) => clock::rfc3339(moment).into(),
        };
        (format!("NSWATCH_{}", key.to_ascii_uppercase()), value)
    })
}

/// Replaces `{name}`, `{fd}` and so on. Does not expand the inserted text again.
fn fill(word: &OsStr, record: &Record, descriptor: &str) -> OsString {
    let name = record.name.as_deref().unwrap_or_default();
    let path = record.path.as_deref().unwrap_or_default();
    let pid = record.event.pid().map(|pid| pid.to_string()).unwrap_or_default();
    fill_in(word, &[("{name}", name), ("{fd}", descriptor.as_ref()), ("{path}", path), ("{pid}", pid.as_ref())])
}

fn fill_in(word: &OsStr, places: &[(&str, &OsStr)]) -> OsString {
    let mut rest = word.as_bytes();
    let mut filled = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        match places.iter().find(|(place, _)| rest.starts_with(place.as_bytes())) {
            Some((place, value)) => {
                filled.extend_from_slice(value.as_bytes());
                rest = &rest[place.len()..];
            }
            None => {
                filled.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_as_bytes_and_once() {
        let name = OsStr::from_bytes(b"\xff{name}{fd}\n");
        let fill = |word: &str, name| fill_in(OsStr::new(word), &[("{name}", name), ("{fd}", OsStr::new("{name}"))]);
        assert_eq!(fill("{name}", name), name);
        assert_eq!(fill("-a={name}:{name}}", OsStr::new("b")), "-a=b:b}");
        assert_eq!(fill("{{fd}{name}", OsStr::new("b")), "{{name}b");
        assert_eq!(fill("{name", name), "{name");
        assert_eq!(fill("", name), "");
    }
}
