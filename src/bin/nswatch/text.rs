//! Lines for people: aligned, in colour on a terminal, and safe whatever bytes a name has.

use std::io::{IsTerminal, stdout};

use nswatch::{EventKind, Netns, printable};

use crate::clock::Clock;
use crate::known::command_of;
use crate::record::{Kind, Record};

/// `net:[…]`, as /proc/PID/ns/net and other tools write it.
pub(crate) fn netns(netns: &Netns) -> String {
    format!("net:[{}]", netns.ino())
}

/// Turns events into lines.
#[derive(Debug)]
pub(crate) struct Painter {
    colour: bool,
    clock: Clock,
    several_dirs: bool,
}

impl Painter {
    pub(crate) fn for_stdout(several_dirs: bool) -> Self {
        let set = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: stdout().is_terminal() && !set("NO_COLOR") && !dumb, clock: Clock::local(), several_dirs }
    }

    pub(crate) fn line(&self, record: &Record) -> String {
        let (event, kind) = (&record.event, record.kind());
        let time = self.paint("2", &self.clock.wall(event.time()));
        // padded before it is painted: escape sequences have no width
        let word = self.paint(colour(kind), &format!("{:<11}", event.kind().type_name()));
        let name = record.subject(self.several_dirs);
        let detail = join([detail(event.kind()), if event.is_replayed() { "replayed".into() } else { String::new() }]);
        format!("{}\n", format!("{time}  {word}  {name:<16}  {detail}").trim_end())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Ready | Kind::NsidNew | Kind::NetnsNew => "32",
        Kind::Deleted | Kind::NsidDel | Kind::NetnsDel => "31",
        Kind::Created | Kind::Detached => "33",
        Kind::DirCreated | Kind::DirDeleted => "36",
        Kind::Overflow => "1;35",
        Kind::Synced | Kind::Unknown => "2",
    }
}

fn detail(kind: &EventKind) -> String {
    match *kind {
        EventKind::Ready(_, ref of) => join([netns(of), cookie(of)]),
        EventKind::NetnsNew { netns: ref of, ref path, pid } => {
            let path = path.as_ref().map(|path| printable(&**path)).unwrap_or_default();
            join([cookie(of), path, pid.map(process).unwrap_or_default()])
        }
        EventKind::NetnsDel(ref of) => cookie(of),
        EventKind::NsidNew { nsid, origin, portid } => {
            let by = if portid == 0 { String::new() } else { format!("  by port {portid}") };
            format!("nsid {nsid}{}{by}", within(origin))
        }
        EventKind::NsidDel { nsid, origin } => format!("nsid {nsid}{}", within(origin)),
        EventKind::Overflow { dropped: 0 } => "events were lost; what they did follows".into(),
        EventKind::Overflow { dropped } => format!("{dropped} events were lost; what they did follows"),
        _ => String::new(),
    }
}

/// The parts that are there.
fn join<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn cookie(netns: &Netns) -> String {
    netns.cookie().map(|cookie| format!("cookie {cookie}")).unwrap_or_default()
}

/// With its command, unless it has ended by now.
fn process(pid: i32) -> String {
    let command = command_of(pid).map(|command| format!(" ({})", printable(command))).unwrap_or_default();
    format!("pid {pid}{command}")
}

fn within(origin: Option<i32>) -> String {
    origin.map(|origin| format!("  in the namespace with nsid {origin}")).unwrap_or_default()
}
