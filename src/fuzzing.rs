//! The entry points of the fuzzers in `fuzz/`: the parsers of bytes from the kernel, and the source that uses one of
//! them; and what `benches/parts.rs` measures. Not part of the API.
//!
//! Each function panics if a guarantee is broken. The first guarantee: it terminates without a panic of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use crate::all::records::{self, Record};
use crate::event::{EventKind, Name};
use crate::named::{self, Named, State};
use crate::netns::Netns;
use crate::nsid::wire::{self, Attributes, Body, Header};
use crate::options::Options;
use crate::outbox::Outbox;
use crate::source::Source;
use crate::sys::Epoll;

/// The names known to a source of names.
#[derive(Debug, Default)]
pub struct Names(named::Names);

impl Names {
    /// Each becomes a namespace. Returns the number of changes.
    pub fn come(&mut self, names: &[CString]) -> usize {
        let state = |cookie| State::Namespace(Netns::new(4, 7, cookie, 0));
        let changes = |(name, cookie): (&CString, u64)| {
            let appeared = self.0.appear(name).is_some();
            let ready = self.0.review(name, state(cookie)).is_some();
            usize::from(appeared) + usize::from(ready)
        };
        names.iter().zip(1..).map(changes).sum()
    }

    /// Each goes. Returns the number of changes.
    pub fn go(&mut self, names: &[CString]) -> usize {
        names.iter().filter(|name| self.0.observe(name, State::Absent).is_some()).count()
    }
}

/// A notification of an nsid, in the kernel's form.
pub fn notification(nsid: i32) -> Vec<u8> {
    let header = Header { kind: wire::RTM_NEWNSID, ..Header::default() };
    wire::encode(header, &Attributes { nsid: Some(nsid), ..Attributes::default() })
}

/// Bytes from inotify.
pub fn inotify(bytes: &[u8]) {
    let count =
        named::inotify::notices(bytes).inspect(|notice| assert!(notice.name.count_bytes() < bytes.len())).count();
    assert!(count <= bytes.len() / 16, "an event has at least a header");
}

/// Bytes from inotify, for a source of names that watches a real directory, where none of that has happened: the events
/// must keep the grammar, and a resync must restore the truth.
pub fn named(bytes: &[u8]) {
    thread_local! {
        static WATCHED: RefCell<Watched> = RefCell::new(Watched::new());
    }
    WATCHED.with_borrow_mut(|watched| watched.receive(bytes));
}

struct Watched {
    dir: PathBuf,
    source: Named,
    out: Outbox,
    /// Name → whether it is a namespace.
    believed: BTreeMap<Name, bool>,
    truth: BTreeMap<Name, bool>,
    directory: bool,
}

impl Watched {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("nswatch-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("a"), "").unwrap();
        std::fs::write(dir.join("b"), "").unwrap();
        symlink("/proc/self/ns/net", dir.join("ns")).unwrap();
        let options = Options::new().dir(&dir).unwrap().dir_events(true).mount_events(true);
        let mut out = Outbox::default();
        let source = Named::open(&options, Arc::new(Epoll::new().unwrap()), &mut out).unwrap();
        let truth = BTreeMap::from([(c"a", false), (c"b", false), (c"ns", true)].map(|(n, is)| (Name::new(n), is)));
        Self { dir, source, out, believed: BTreeMap::new(), truth, directory: false }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.source.pretend(bytes, &mut self.out).unwrap();
        self.add_up();
        self.source.resync(&mut self.out).unwrap();
        assert!(self.add_up(), "a resync ends in `Synced`");
        assert_eq!(self.believed, self.truth);
        assert!(self.directory);
        self.source.count(&self.out.counters);
        assert_eq!((self.out.counters.known.get(), self.out.counters.pending.get()), (3, 2));
    }

    /// Takes all events and checks the grammar. Returns whether the last one was `Synced`.
    fn add_up(&mut self) -> bool {
        let mut synced = false;
        while let Some(event) = self.out.pop() {
            synced = event.kind == EventKind::Synced;
            let fine = match event.kind {
                EventKind::Created(name) => self.directory && self.believed.insert(name, false).is_none(),
                EventKind::Ready(name, _) => self.believed.insert(name, true).is_some(),
                EventKind::Detached(name) => self.believed.insert(name, false) == Some(true),
                EventKind::Deleted(name) => self.believed.remove(&name).is_some(),
                EventKind::DirCreated => !std::mem::replace(&mut self.directory, true),
                EventKind::DirDeleted => std::mem::take(&mut self.directory) && self.believed.is_empty(),
                EventKind::Synced | EventKind::Overflow { .. } => true,
                EventKind::NsidNew { .. }
                | EventKind::NsidDel { .. }
                | EventKind::NetnsNew { .. }
                | EventKind::NetnsDel(_) => false,
            };
            assert!(fine, "against the grammar");
        }
        synced
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// Bytes from rtnetlink.
pub fn nsid(bytes: &[u8]) {
    let mut count = 0;
    for message in wire::messages(bytes) {
        count += 1;
        let Ok(message) = message else { continue };
        match message.body {
            Body::Id(attributes) | Body::Gone(attributes) => {
                let written = wire::encode(message.header, &attributes);
                let read: Vec<_> = wire::messages(&written).collect();
                assert_eq!(read, [Ok(message)], "what was written is not what is read");
            }
            Body::Failed { errno, text } => {
                assert!(errno >= 0);
                assert!(text.is_none_or(|text| text.len() < bytes.len() && !text.contains(&0)));
            }
            Body::Done { errno } => assert!(errno >= 0),
            Body::Overrun | Body::Other => {}
        }
    }
    assert!(count <= bytes.len() / 16 + 1, "a message has at least a header");
}

/// Bytes of perf records.
pub fn perf(bytes: &[u8]) {
    let read: Vec<_> = records::records(bytes).collect();
    assert!(read.len() <= bytes.len() / 8 + 1, "a record has at least a header");
    let malformed = read.iter().position(|record| *record == Record::Malformed);
    assert!(malformed.is_none_or(|at| at + 1 == read.len()), "nothing is known of what follows");
}
