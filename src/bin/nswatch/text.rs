//! Text output: aligned, in colour on a terminal, and safe for any bytes in a name.

use nswatch::{EventKind, Netns, printable};

use crate::clock::Clock;
use crate::colour::{Brush, Colour, When};
use crate::known::command_of;
use crate::record::{Kind, Record};

/// `net:[…]`, as in /proc/PID/ns/net and other tools.
pub(crate) fn netns(netns: &Netns) -> String {
    format!("net:[{}]", netns.ino())
}

/// Formats events as lines.
#[derive(Debug)]
pub(crate) struct Painter {
    brush: Brush,
    clock: Clock,
    several_dirs: bool,
}

impl Painter {
    pub(crate) fn new(colour: When, several_dirs: bool) -> Self {
        Self { brush: Brush::new(colour), clock: Clock::local(), several_dirs }
    }

    pub(crate) fn line(&self, record: &Record) -> String {
        let (event, kind) = (&record.event, record.kind());
        let time = self.brush.paint(Colour::Dim, &self.clock.wall(event.time()));
        let word = self.brush.paint(colour(kind), &format!("{:<11}", event.kind().type_name()));
        let name = record.subject(self.several_dirs);
        let detail = join([detail(event.kind()), if event.is_replayed() { "replayed".into() } else { String::new() }]);
        format!("{}\n", format!("{time}  {word}  {name:<16}  {detail}").trim_end())
    }
}

fn colour(kind: Kind) -> Colour {
    match kind {
        Kind::Ready | Kind::NsidNew | Kind::NetnsNew | Kind::DirCreated => Colour::Green,
        Kind::Deleted | Kind::NsidDel | Kind::NetnsDel | Kind::DirDeleted => Colour::Red,
        Kind::Created | Kind::Detached | Kind::Overflow => Colour::Yellow,
        Kind::Synced | Kind::Unknown => Colour::Dim,
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
        EventKind::Overflow { dropped: 0 } => "events were lost; replayed events follow".into(),
        EventKind::Overflow { dropped } => format!("{dropped} events were lost; replayed events follow"),
        _ => String::new(),
    }
}

/// Joins the non-empty parts.
fn join<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn cookie(netns: &Netns) -> String {
    netns.cookie().map(|cookie| format!("cookie {cookie}")).unwrap_or_default()
}

/// A pid, with its command unless the process has ended.
fn process(pid: i32) -> String {
    let command = command_of(pid).map(|command| format!(" ({})", printable(command))).unwrap_or_default();
    format!("pid {pid}{command}")
}

fn within(origin: Option<i32>) -> String {
    origin.map(|origin| format!("  in the namespace with nsid {origin}")).unwrap_or_default()
}

/// Wraps a sentence at spaces into lines of at most `width` characters.
pub(crate) fn wrap(sentence: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => *line += &format!(" {word}"),
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one two three", 6), ["one", "two", "three"]);
        assert_eq!(
            wrap("\u{e9}\u{e9} \u{e9} incomprehensibly long", 4),
            ["\u{e9}\u{e9} \u{e9}", "incomprehensibly", "long"]
        );
        assert_eq!(wrap(" ", 4), [""; 0]);
    }
}
