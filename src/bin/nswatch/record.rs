//! An event as named fields: the one list that the JSON lines and the environment of commands are made from.
//! What else is printed as JSON has fields of its own and is written in the same way.
//!
//! The JSON is written here, not by a crate: a line must be harmless on a terminal too, so that more is escaped than
//! JSON demands. It is always free of control characters and valid UTF-8.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use clap::ValueEnum;
use nswatch::{Event, EventKind};

use crate::args::Source;

/// The types of events, by the names that the C API gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A name appeared; it may not be a namespace yet
    Created,
    /// The name now refers to a network namespace that can be used
    Ready,
    /// The name is still there but no longer a network namespace
    Detached,
    /// The name is gone
    Deleted,
    /// The watched directory came
    DirCreated,
    /// The watched directory went
    DirDeleted,
    /// An id was assigned to a namespace
    NsidNew,
    /// The namespace that had the id is gone
    NsidDel,
    /// What was replayed is complete
    Synced,
    /// Events were lost; what they did follows
    Overflow,
    /// A later version of the library has more types.
    #[value(skip)]
    Unknown,
}

impl Kind {
    pub(crate) fn of(event: &Event) -> Self {
        match event.kind() {
            EventKind::Created(_) => Self::Created,
            EventKind::Ready(..) => Self::Ready,
            EventKind::Detached(_) => Self::Detached,
            EventKind::Deleted(_) => Self::Deleted,
            EventKind::DirCreated => Self::DirCreated,
            EventKind::DirDeleted => Self::DirDeleted,
            EventKind::NsidNew { .. } => Self::NsidNew,
            EventKind::NsidDel { .. } => Self::NsidDel,
            EventKind::Synced => Self::Synced,
            EventKind::Overflow { .. } => Self::Overflow,
            _ => Self::Unknown,
        }
    }

    /// The name as the command line takes it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether the source has such events.
    pub(crate) fn comes_from(self, source: Source) -> bool {
        match self {
            Self::Created | Self::Ready | Self::Detached | Self::Deleted | Self::DirCreated | Self::DirDeleted => {
                source == Source::Named
            }
            Self::NsidNew | Self::NsidDel => source == Source::Nsid,
            Self::Synced | Self::Overflow | Self::Unknown => true,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Word(&'static str),
    /// Bytes that may not be UTF-8.
    Name(&'a OsStr),
    Number(i128),
    Flag(bool),
}

impl<T: Into<i128>> From<T> for Value<'_> {
    fn from(number: T) -> Self {
        Self::Number(number.into())
    }
}

/// A named value of something that is told.
pub(crate) type Field<'a> = (&'static str, Value<'a>);

/// An event with the name that is told with it: that which it is about, or that of the namespace with the id.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) event: Event,
    pub(crate) name: Option<OsString>,
}

impl From<Event> for Record {
    fn from(event: Event) -> Self {
        let name = event.name().map(|name| name.as_os_str().to_owned());
        Self { event, name }
    }
}

impl Record {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(&self.event)
    }

    /// The fields that apply to the event, in the order in which they are written.
    pub(crate) fn fields(&self) -> Vec<Field<'_>> {
        let Self { event, name } = self;
        let mut fields = vec![("type", Value::Word(event.kind().type_name()))];
        fields.extend(name.as_ref().map(|name| ("name", Value::Name(name))));
        if let Some(netns) = event.netns() {
            fields.extend([("dev", netns.dev().into()), ("ino", netns.ino().into())]);
            fields.extend(netns.cookie().map(|id| ("cookie", id.into())));
        }
        match *event.kind() {
            EventKind::NsidNew { nsid, origin, portid } => {
                fields.push(("nsid", nsid.into()));
                fields.extend(origin.map(|origin| ("origin", origin.into())));
                fields.extend((portid != 0).then(|| ("portid", portid.into())));
            }
            EventKind::NsidDel { nsid, origin } => {
                fields.push(("nsid", nsid.into()));
                fields.extend(origin.map(|origin| ("origin", origin.into())));
            }
            EventKind::Overflow { dropped } => fields.push(("dropped", dropped.into())),
            _ => {}
        }
        fields.push(("replayed", Value::Flag(event.is_replayed())));
        fields.push(("time_ns", Value::Number(event.time().as_nanos() as i128)));
        fields
    }

    /// The event as one line of JSON.
    pub(crate) fn json(&self) -> String {
        json(&self.fields())
    }
}

/// The fields as one line of JSON.
pub(crate) fn json(fields: &[Field<'_>]) -> String {
    let mut line = String::from("{");
    for &(key, value) in fields {
        match value {
            Value::Word(word) => string(&mut line, key, word),
            Value::Name(name) => {
                string(&mut line, key, &name.to_string_lossy());
                if name.to_str().is_none() {
                    let hex: String = name.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                    string(&mut line, &format!("{key}_hex"), &hex);
                }
            }
            Value::Number(number) => member(&mut line, key, &number.to_string()),
            Value::Flag(flag) => member(&mut line, key, if flag { "true" } else { "false" }),
        }
    }
    line.push_str("}\n");
    line
}

fn member(line: &mut String, key: &str, value: &str) {
    let comma = if line.len() > 1 { "," } else { "" };
    // writing to a String cannot fail
    write!(line, "{comma}\"{key}\":{value}").ok();
}

fn string(line: &mut String, key: &str, value: &str) {
    member(line, key, &quoted(value));
}

/// A JSON string that a terminal does not obey: besides what JSON demands, DEL, the C1 controls and what breaks or
/// reverses lines is escaped.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                write!(quoted, "\\u{:04x}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_survives_and_no_control_is_left() {
        for c in '\0'..=char::MAX {
            let quoted = quoted(&c.to_string());
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), c.to_string());
            assert!(!quoted.chars().any(char::is_control), "{quoted:?}");
        }
    }

    #[test]
    fn the_names_for_the_command_line_are_those_of_the_header() {
        let header = include_str!("../../../include/nswatch.h").lines();
        let constants = header.filter_map(|line| line.strip_prefix("#define NSW_EVENT_")?.split_once(' '));
        let names = constants.map(|(name, _)| name.to_lowercase()).filter(|name| name != "replayed");
        assert!(names.eq(Kind::value_variants().iter().map(|kind| kind.name()).filter(|name| !name.is_empty())));
    }
}
