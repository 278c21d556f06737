//! What the fuzzers in `fuzz/`, and the measurements in `benches/parts.rs`, are let at. No part of the API.
//!
//! Each function panics where the parser breaks a promise of its own; that it ends and does not panic by itself is
//! the first of them.

use std::ffi::CString;

use crate::event::Netns;
use crate::named::{Roster, State};
use crate::nsid::wire::{self, Attributes, Body, Header};

/// A roster of names.
#[derive(Debug, Default)]
pub struct Names(Roster);

impl Names {
    /// Each becomes a namespace. How many changes that makes.
    pub fn come(&mut self, names: &[CString]) -> usize {
        let state = |ns_id| State::Namespace(Netns { dev: 4, ino: 7, ns_id, stamp: 0 });
        let changes = |(name, ns_id): (&CString, u64)| {
            let appeared = self.0.appear(name).is_some();
            let ready = self.0.review(name, state(ns_id)).is_some();
            usize::from(appeared) + usize::from(ready)
        };
        names.iter().zip(1..).map(changes).sum()
    }

    /// Each goes. How many changes that makes.
    pub fn go(&mut self, names: &[CString]) -> usize {
        names.iter().filter(|name| self.0.observe(name, State::Absent).is_some()).count()
    }
}

/// A notification of an id, as the kernel writes it.
pub fn notification(nsid: i32) -> Vec<u8> {
    let header = Header { kind: wire::RTM_NEWNSID, ..Header::default() };
    wire::encode(header, &Attributes { nsid: Some(nsid), ..Attributes::default() })
}

/// What inotify gives.
pub fn inotify(bytes: &[u8]) {
    let count =
        crate::named::wire::notices(bytes).inspect(|notice| assert!(notice.name.count_bytes() < bytes.len())).count();
    assert!(count <= bytes.len() / 16, "an event has at least a header");
}

/// What rtnetlink gives.
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
