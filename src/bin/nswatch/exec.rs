//! `nswatch exec`: a command for each event, one at a time and in order, never by a shell.
//!
//! A name is bytes that somebody else has chosen: it reaches the command as one argument or in the environment and
//! is never interpreted. While a command runs events wait in the kernel; if they become too many for it, the library
//! tells the difference afterwards.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};

use crate::args::ExecArgs;
use crate::ending::Ending;
use crate::output::complain;
use crate::record::{Kind, Record, Value};
use crate::session::Session;
use crate::text;

const PLACE: &[u8] = b"{name}";

/// All that [`environment`] may set. What does not apply is unset, lest a value of a surrounding `exec` shine through.
const VARIABLES: [&str; 12] = [
    "NSWATCH_EVENT",
    "NSWATCH_NAME",
    "NSWATCH_DIR",
    "NSWATCH_DEV",
    "NSWATCH_INO",
    "NSWATCH_COOKIE",
    "NSWATCH_NSID",
    "NSWATCH_ORIGIN",
    "NSWATCH_PORTID",
    "NSWATCH_DROPPED",
    "NSWATCH_REPLAYED",
    "NSWATCH_TIME_NS",
];

pub(crate) fn run(args: &ExecArgs) -> Result<(), Ending> {
    let dir_events = args.on.iter().any(|kind| matches!(kind, Kind::DirCreated | Kind::DirDeleted));
    let mut session = Session::without_reader(|| args.what.open(dir_events))?;
    loop {
        let record = session.next()?;
        if args.on.contains(&record.kind()) {
            carry_out(args, &record);
        }
    }
}

/// Runs the command and waits for it. That it fails, or cannot be started, concerns this event and not the next.
fn carry_out(args: &ExecArgs, record: &Record) {
    let name = record.name.as_deref().unwrap_or_default();
    let mut words = args.command.iter().map(|word| fill(word, name));
    let Some(program) = words.next() else { return };
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.envs(environment(record)).envs(args.what.dir().map(|dir| ("NSWATCH_DIR", dir)));
    let outcome = match command.status() {
        Ok(status) if status.success() => return,
        Ok(status) => status.to_string(),
        Err(error) => format!("cannot be run: {error}"),
    };
    let subject = [record.event.kind().type_name().into(), text::safe(name)].join(" ");
    complain(format!("{} for {}: {outcome}", text::safe(program), subject.trim_end()));
}

/// The fields of the event as variables: `cookie` is `NSWATCH_COOKIE`, the type `NSWATCH_EVENT`.
fn environment(record: &Record) -> impl Iterator<Item = (String, OsString)> {
    record.fields().into_iter().map(|(key, value)| {
        let key = if key == "type" { "event" } else { key };
        let value = match value {
            Value::Word(word) => word.into(),
            Value::Name(name) => name.to_owned(),
            Value::Number(number) => number.to_string().into(),
            Value::Flag(flag) => u8::from(flag).to_string().into(),
        };
        (format!("NSWATCH_{}", key.to_ascii_uppercase()), value)
    })
}

/// Puts the name where `{name}` is. A name with `{name}` in it is left as it is.
fn fill(word: &OsStr, name: &OsStr) -> OsString {
    let mut rest = word.as_bytes();
    let mut filled = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(PLACE.len()).position(|window| window == PLACE) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(name.as_bytes());
        rest = &rest[at + PLACE.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_put_in_as_bytes_and_once() {
        let name = OsStr::from_bytes(b"\xff{name}\n");
        assert_eq!(fill(OsStr::new("{name}"), name), name);
        assert_eq!(fill(OsStr::new("-a={name}:{name}}"), OsStr::new("b")), "-a=b:b}");
        assert_eq!(fill(OsStr::new("{name"), name), "{name");
        assert_eq!(fill(OsStr::new(""), name), "");
    }
}
