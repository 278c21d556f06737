//! The library call for each request, and its answer.

use std::ffi::OsStr;
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::str::FromStr;

use nswatch::{Error, Event, EventKind, Feature, Netns, Watcher, explain, nsid};
use rustix::io::Errno;

use super::Server;
use super::message::{Answer, Request};
use super::opening;

/// The maximum number of nsids in an answer, so that it fits into a message.
const NSIDS: usize = 4096;

/// The error for a request.
#[derive(Debug)]
pub(super) struct Refusal {
    errno: i32,
    sentence: String,
}

impl Refusal {
    /// An argument error in the words of the request.
    pub(super) fn invalid(sentence: &str) -> Self {
        Self { errno: Errno::INVAL.raw_os_error(), sentence: sentence.into() }
    }

    /// A request that no version of the Go package makes.
    pub(super) fn malformed(what: impl Display) -> Self {
        Self { errno: Errno::BADMSG.raw_os_error(), sentence: format!("cannot serve the request: {what}") }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { errno: error.errno(), sentence: error.to_string() }
    }
}

type Result<T> = std::result::Result<T, Refusal>;

/// Makes one answer, or several for a long list.
pub(super) fn answer(server: &mut Server, request: Request) -> Vec<Answer> {
    let answers = if request.is_cut { Err(Refusal::malformed("it is too long")) } else { obey(server, &request) };
    answers.unwrap_or_else(|Refusal { errno, sentence }| {
        let general = explain(errno).to_string_lossy();
        vec![Answer::new("error").word(errno).word(sentence).word(general)]
    })
}

fn obey(server: &mut Server, request: &Request) -> Result<Vec<Answer>> {
    let words = request.words();
    let (command, rest) = words.split_first().ok_or_else(|| Refusal::malformed("it is empty"))?;
    let mut words = Words(rest);
    let command = command.to_str().unwrap_or_default();
    let answer = match command {
        "nsids" => return words.end().and_then(|()| Ok(listed(&nsid::list()?))),
        "open" => open(server, &words),
        "next" => {
            words.end().and_then(|()| Ok(server.opened()?.next_event()?.map_or(Answer::new("none"), |e| event(&e))))
        }
        "resync" => words.end().and_then(|()| Ok(server.opened()?.resync()?)).map(|()| Answer::new("ok")),
        "stats" => words.end().and_then(|()| Ok(stats(server.opened()?))),
        "netns" => netns(&mut words, &request.fds),
        "netns-open" => netns_open(&mut words),
        "netns-same" => netns_same(&mut words),
        "netns-alive" => words.netns().and_then(|netns| Ok(netns.is_alive()?)).map(|alive| value(u8::from(alive))),
        "nsid" => nsid_of(&mut words, &request.fds).map(nsid_answer),
        "nsid-seen-from" => seen_from(&request.fds).map(nsid_answer),
        "nsid-assign" => assign(&mut words, &request.fds).map(value),
        "nsid-translate" => translate(&mut words).map(nsid_answer),
        "feature" => feature(&mut words).map(|there| value(u8::from(there))),
        "explain" => words.number().map(|errno| value(explain(errno).to_string_lossy())),
        _ => Err(Refusal::malformed("it has an unknown name")),
    };
    answer.map(|answer| vec![answer])
}

impl Server {
    fn opened(&mut self) -> Result<&mut Watcher> {
        self.watcher.as_mut().ok_or_else(|| Refusal::malformed("no watcher is open"))
    }
}

/// The unread words of a request.
#[derive(Debug)]
pub(super) struct Words<'a>(&'a [&'a OsStr]);

impl<'a> Words<'a> {
    pub(super) fn rest(&self) -> &'a [&'a OsStr] {
        self.0
    }

    fn next(&mut self) -> Result<&'a OsStr> {
        let (first, rest) = self.0.split_first().ok_or_else(|| Refusal::malformed("a word is missing"))?;
        self.0 = rest;
        Ok(first)
    }

    fn number<T: FromStr>(&mut self) -> Result<T> {
        number(self.next()?)
    }

    fn netns(&mut self) -> Result<Netns> {
        Ok(Netns::new(self.number()?, self.number()?, self.number()?, self.number()?))
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::malformed("it has too many words")) }
    }
}

pub(super) fn number<T: FromStr>(word: &OsStr) -> Result<T> {
    let number = word.to_str().and_then(|word| word.parse().ok());
    number.ok_or_else(|| Refusal::malformed("a word is not a number, or out of range"))
}

fn descriptor(fds: &[OwnedFd]) -> Result<&OwnedFd> {
    fds.first().ok_or_else(|| Refusal::malformed("a descriptor is missing"))
}

fn value(value: impl Display) -> Answer {
    Answer::new("ok").word(value)
}

fn nsid_answer(nsid: Option<i32>) -> Answer {
    value(nsid.unwrap_or(-1))
}

/// Opens a watcher. The client polls its descriptor, as a program that links the library does.
fn open(server: &mut Server, words: &Words<'_>) -> Result<Answer> {
    if server.watcher.is_some() {
        return Err(Refusal::malformed("a watcher is open already"));
    }
    let watcher = opening::open(words)?;
    let fd = watcher.as_fd().try_clone_to_owned();
    let fd = fd.map_err(|error| Refusal {
        errno: error.raw_os_error().unwrap_or_default(),
        sentence: format!("cannot hand over the descriptor of the watcher: {error}"),
    })?;
    server.watcher = Some(watcher);
    Ok(Answer::new("ok").with_fd(fd))
}

fn event(event: &Event) -> Answer {
    let mut answer = Answer::new("event").field("type", event.kind().type_name());
    answer = answer.field("replayed", u8::from(event.is_replayed())).field("time", event.time().as_nanos());
    if let Some(name) = event.name() {
        answer = answer.name("name", name.as_os_str());
    }
    if let Some(path) = event.path() {
        answer = answer.name("path", path.as_os_str());
    }
    if let Some(netns) = event.netns() {
        answer = identity(answer, netns);
    }
    if let Some(pid) = event.pid() {
        answer = answer.field("pid", pid);
    }
    match *event.kind() {
        EventKind::NsidNew { nsid, origin, portid } => {
            answer.field("nsid", nsid).field("origin", origin.unwrap_or(-1)).field("portid", portid)
        }
        EventKind::NsidDel { nsid, origin } => answer.field("nsid", nsid).field("origin", origin.unwrap_or(-1)),
        EventKind::Overflow { dropped } => answer.field("dropped", dropped),
        _ => answer,
    }
}

fn identity(answer: Answer, netns: &Netns) -> Answer {
    let answer = answer.field("dev", netns.dev()).field("ino", netns.ino());
    answer.field("cookie", netns.cookie().unwrap_or(0)).field("stamp", netns.stamp().unwrap_or(0))
}

fn stats(watcher: &Watcher) -> Answer {
    let s = watcher.stats();
    let all = [s.delivered, s.dropped, s.overflows, s.resyncs, s.queued, s.queued_max, s.pending, s.known];
    all.into_iter().fold(Answer::new("ok"), Answer::word)
}

fn netns(words: &mut Words<'_>, fds: &[OwnedFd]) -> Result<Answer> {
    let found = match words.next()?.to_str() {
        Some("fd") => Netns::for_fd(descriptor(fds)?),
        Some("pidfd") => Netns::for_pidfd(descriptor(fds)?),
        Some("pid") => Netns::for_pid(words.number()?),
        Some("nsid") => Netns::for_nsid(words.number()?),
        Some("name") => Netns::for_name(words.next()?),
        _ => return Err(Refusal::malformed("it has an unknown kind of subject")),
    };
    words.end()?;
    Ok(identity(Answer::new("ok"), &found?))
}

fn netns_open(words: &mut Words<'_>) -> Result<Answer> {
    let netns = words.netns()?;
    let path = words.next()?;
    words.end()?;
    let fd = netns.open((!path.is_empty()).then_some(Path::new(path)))?;
    Ok(Answer::new("ok").with_fd(fd))
}

fn netns_same(words: &mut Words<'_>) -> Result<Answer> {
    let (one, other) = (words.netns()?, words.netns()?);
    words.end()?;
    Ok(value(u8::from(one.same(&other))))
}

fn nsid_of(words: &mut Words<'_>, fds: &[OwnedFd]) -> Result<Option<i32>> {
    let nsid = match words.next()?.to_str() {
        Some("fd") => nsid::get_for_fd(descriptor(fds)?),
        Some("pidfd") => nsid::get_for_pidfd(descriptor(fds)?),
        Some("pid") => nsid::get_for_pid(words.number()?),
        Some("name") => nsid::get_for_name(words.next()?),
        _ => return Err(Refusal::malformed("it has an unknown kind of subject")),
    };
    words.end()?;
    Ok(nsid?)
}

fn seen_from(fds: &[OwnedFd]) -> Result<Option<i32>> {
    match fds {
        [place, namespace] => Ok(nsid::get_as_seen_from(place, namespace)?),
        _ => Err(Refusal::malformed("two descriptors are needed")),
    }
}

fn assign(words: &mut Words<'_>, fds: &[OwnedFd]) -> Result<i32> {
    let wanted: i32 = words.number()?;
    words.end()?;
    Ok(nsid::assign(descriptor(fds)?, (wanted != -1).then_some(wanted))?)
}

fn translate(words: &mut Words<'_>) -> Result<Option<i32>> {
    let (nsid, from) = (words.number()?, words.number()?);
    words.end()?;
    Ok(nsid::translate(nsid, from)?)
}

/// `more`: another answer follows.
fn listed(nsids: &[i32]) -> Vec<Answer> {
    let parts = nsids.len().div_ceil(NSIDS).max(1);
    let part = |at: usize| {
        let word = if at + 1 < parts { "more" } else { "ok" };
        nsids.iter().skip(at * NSIDS).take(NSIDS).fold(Answer::new(word), Answer::word)
    };
    (0..parts).map(part).collect()
}

fn feature(words: &mut Words<'_>) -> Result<bool> {
    let which: u32 = words.number()?;
    words.end()?;
    let feature = Feature::ALL.into_iter().find(|feature| *feature as u32 == which);
    Ok(feature.ok_or_else(|| Refusal::invalid("cannot try the feature: no feature has this number"))?.is_available()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_list_too_long_for_one_message_is_parted() {
        let words: Vec<_> =
            [0, 1, NSIDS, NSIDS + 1, 3 * NSIDS].map(|count| listed(&vec![i32::MAX; count]).len()).into();
        assert_eq!(words, [1, 1, 1, 2, 3]);
    }

    #[test]
    fn words_are_numbers_or_refused() {
        for word in ["", "-", "1x", "4294967296", "\u{661}"] {
            assert!(number::<u32>(OsStr::from_bytes(word.as_bytes())).is_err(), "{word}");
        }
        assert!(number::<i32>(OsStr::from_bytes(b"\xff")).is_err());
        assert_eq!(number::<i32>(OsStr::new("-7")).ok(), Some(-7));
    }
}
