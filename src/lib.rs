//! Watch Linux network namespaces come, become usable and go.
//!
//! A [`Watcher`] tells what happens to the names in `/run/netns`, as `ip netns` makes them, as a sequence of
//! [`Event`]s: when a name appears, when the namespace behind it can really be opened, when it is replaced, when it
//! is gone; or, made by [`Watcher::nsid`], to the ids that the kernel assigns to peer namespaces. It needs no
//! privilege, starts no thread, and does not poll. [`nsid`] asks for such ids, and assigns them.
//!
//! ```no_run
//! use nswatch::{EventKind, Options, Watcher};
//!
//! let mut watcher = Watcher::named(&Options::new())?;
//! for event in watcher {
//!     match event?.kind() {
//!         EventKind::Ready(name, netns) => println!("{name} can be opened: net:[{}]", netns.ino()),
//!         EventKind::Deleted(name) => println!("{name} is gone"),
//!         _ => {}
//!     }
//! }
//! # Ok::<(), nswatch::Error>(())
//! ```
//!
//! # The grammar
//! For every sequence of events that a watcher ever yields, whatever happened underneath:
//! - per name: `( Created ( Ready Detached? )* Deleted )*`; a `Ready` right after a `Ready` of the same name means
//!   that another namespace took its place;
//! - `DirDeleted` comes only after `Deleted` for every known name;
//! - per id, and namespace that it is relative to: `( NsidNew NsidDel )*`;
//! - `Overflow` is followed by `Synced`;
//! - after `Synced`, what the consumer believes by adding up the events equals what the kernel has, if nothing
//!   changes any more.
//!
//! # Features
//! `capi` builds the C ABI of `nswatch.h` in; `cli` the `nswatch` command; `header` lets cbindgen write the header
//! anew; `fuzzing` lets the fuzzers in `fuzz/` at the parsers. A Rust program needs none of them.

#![deny(unsafe_code)]

mod error;
mod event;
mod feature;
mod named;
pub mod nsid;
mod options;
mod outbox;
mod picture;
mod relay;
mod source;
mod sys;
mod watcher;

#[cfg(feature = "capi")]
pub mod capi;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use error::{Error, Result, explain};
pub use event::{Event, EventKind, Name, Netns};
pub use feature::Feature;
pub use options::{DEFAULT_DIR, Options, Policy, QUEUE_MAX};
pub use watcher::{Stats, Watcher};
