//! An event as named fields: the one list behind the JSON lines and the environment of commands.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use nswatch::{Event, EventKind, printable};

use crate::clock;
use crate::json::Object;
use crate::source::Source;

/// The event types, with the names of the C API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A name appeared; it may be pending, not a namespace yet
    Created,
    /// The name now refers to a network namespace that can be opened
    Ready,
    /// The name still exists and no longer refers to a network namespace
    Detached,
    /// The name is gone
    Deleted,
    /// The watched directory appeared
    DirCreated,
    /// The watched directory is gone
    DirDeleted,
    /// The kernel assigned an nsid to a namespace
    NsidNew,
    /// The namespace with the nsid died
    NsidDel,
    /// The replay is complete
    Synced,
    /// Events were lost; replayed events follow
    Overflow,
    /// A network namespace exists
    NetnsNew,
    /// A network namespace is gone
    NetnsDel,
    /// A type that a later version of the library may add.
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
            EventKind::NetnsNew { .. } => Self::NetnsNew,
            EventKind::NetnsDel(_) => Self::NetnsDel,
            _ => Self::Unknown,
        }
    }

    /// The name as the command line takes it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether events of this type have a name, if the command knows it.
    pub(crate) fn is_about_a_name(self) -> bool {
        matches!(self, Self::Created | Self::Ready | Self::Detached | Self::Deleted | Self::NsidNew | Self::NsidDel)
    }

    /// Whether the source emits events of this type.
    pub(crate) fn comes_from(self, source: Source) -> bool {
        match self {
            Self::Created | Self::Ready | Self::Detached | Self::Deleted | Self::DirCreated | Self::DirDeleted => {
                source == Source::Named
            }
            Self::NsidNew | Self::NsidDel => source == Source::Nsid,
            Self::NetnsNew | Self::NetnsDel => source == Source::All,
            Self::Synced | Self::Overflow | Self::Unknown => true,
        }
    }

    /// Whether events of this type have a namespace that can be opened.
    pub(crate) fn announces_netns(self) -> bool {
        matches!(self, Self::Ready | Self::NetnsNew)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Word(&'static str),
    /// Bytes that may not be UTF-8.
    Name(&'a OsStr),
    Number(i128),
    Flag(bool),
    /// A time of `CLOCK_MONOTONIC`, printed as wall-clock time.
    Time(Duration),
}

impl<T: Into<i128>> From<T> for Value<'_> {
    fn from(number: T) -> Self {
        Self::Number(number.into())
    }
}

/// A named value to print.
pub(crate) type Field<'a> = (&'static str, Value<'a>);

/// An event with its name (for an nsid: the name of its namespace) and the directory as the user gave it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) event: Event,
    pub(crate) name: Option<OsString>,
    /// A path to the namespace of the event.
    pub(crate) path: Option<OsString>,
    pub(crate) dir: Option<Arc<Path>>,
}

impl From<Event> for Record {
    fn from(event: Event) -> Self {
        let name = event.name().map(|name| name.as_os_str().to_owned());
        let path = event.netns().and_then(|_| event.path()).map(Into::into);
        Self { event, name, path, dir: None }
    }
}

impl Record {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(&self.event)
    }

    /// The subject of the event for people: the name (with several directories its path), or the namespace.
    pub(crate) fn subject(&self, several_dirs: bool) -> String {
        if let EventKind::NetnsNew { netns, .. } | EventKind::NetnsDel(netns) = self.event.kind() {
            return netns.to_string();
        }
        let dir = self.dir.as_ref().filter(|_| several_dirs);
        match (dir, &self.name) {
            (Some(dir), Some(name)) => printable(dir.join(name)),
            (Some(dir), None) => printable(&**dir),
            (None, name) => name.as_ref().map(printable).unwrap_or_default(),
        }
    }

    /// The fields that apply to the event, in output order.
    pub(crate) fn fields(&self, with_dir: bool) -> Vec<Field<'_>> {
        let Self { event, name, path, dir } = self;
        let mut fields = vec![("type", Value::Word(event.kind().type_name()))];
        fields.extend(name.as_ref().map(|name| ("name", Value::Name(name))));
        fields.extend(dir.as_ref().filter(|_| with_dir).map(|dir| ("dir", Value::Name(dir.as_os_str()))));
        if let Some(netns) = event.netns() {
            fields.extend([("dev", netns.dev().into()), ("ino", netns.ino().into())]);
            fields.extend(netns.cookie().map(|cookie| ("cookie", cookie.into())));
            fields.extend(netns.stamp().map(|stamp| ("stamp", stamp.into())));
            fields.extend(path.as_ref().map(|path| ("path", Value::Name(path))));
            fields.extend(event.pid().map(|pid| ("pid", pid.into())));
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
        fields.push(("time", Value::Time(event.time())));
        fields.push(("time_ns", Value::Number(event.time().as_nanos() as i128)));
        fields
    }

    /// The event as one JSON line. With several directories, it has the directory.
    pub(crate) fn json(&self, several_dirs: bool) -> String {
        json(&self.fields(several_dirs))
    }
}

/// The fields as one JSON line.
pub(crate) fn json(fields: &[Field<'_>]) -> String {
    let mut object = Object::default();
    for &(key, value) in fields {
        match value {
            Value::Word(word) => object.word(key, word),
            Value::Name(name) => object.name(key, name),
            Value::Number(number) => object.number(key, number),
            Value::Flag(flag) => object.flag(key, flag),
            Value::Time(moment) => object.word(key, &clock::rfc3339(moment)),
        }
    }
    object.line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_for_the_command_line_are_those_of_the_header() {
        let header = include_str!("../../../include/nswatch.h").lines();
        let constants = header.filter_map(|line| line.strip_prefix("#define NSW_EVENT_")?.split_once(' '));
        let names = constants.map(|(name, _)| name.to_lowercase()).filter(|name| name != "replayed");
        assert!(names.eq(Kind::value_variants().iter().map(|kind| kind.name()).filter(|name| !name.is_empty())));
    }
}
