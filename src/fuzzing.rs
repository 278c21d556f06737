//! What the fuzzers in `fuzz/` are let at: the two parsers of bytes that the kernel gives. No part of the API.
//!
//! Each function panics where the parser breaks a promise of its own; that it ends and does not panic by itself is
//! the first of them.

use crate::nsid::wire::{self, Body};

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
