//! Watch Linux network namespaces appear, become usable and disappear.
//!
//! A [`Watcher`] emits [`Event`]s. There are three kinds of watcher, which work independently:
//! - [`Watcher::named`] watches the names in `/run/netns`, as `ip netns` makes them, or in another directory. It
//!   reports when a name appears, when its namespace can be *opened*, when another namespace replaces it, and when it
//!   is gone.
//! - [`Watcher::nsid`] watches the nsids that the kernel assigns to peer namespaces. The functions in [`nsid`] get and
//!   assign nsids.
//! - [`Watcher::all`] watches every network namespace of the host that the caller can see, with or without a name. It
//!   reports when a namespace is made, and when it is gone. [`census`] lists them once.
//!
//! ```no_run
//! use nswatch::{EventKind, Options, Watcher};
//!
//! for event in Watcher::named(&Options::new())? {
//!     match event?.kind() {
//!         EventKind::Ready(name, netns) => println!("{name} can be opened: net:[{}]", netns.ino()),
//!         EventKind::Deleted(name) => println!("{name} is gone"),
//!         _ => {}
//!     }
//! }
//! # Ok::<(), nswatch::Error>(())
//! ```
//!
//! A watcher requires no privilege, starts no thread unless you ask for one, and sleeps while nothing changes. It keeps
//! no descriptor of a namespace that it reports. (A watcher of nsids has sockets, which keep alive the namespace that
//! they were made in. A watcher of all namespaces sees more with privileges, and may start a thread that ends before
//! the call returns.) The watcher first emits what exists, as [replayed](Event::is_replayed) events that end with
//! [`Synced`](EventKind::Synced):
//!
//! ```
//! use nswatch::{EventKind, Options, Watcher};
//!
//! # let dir = std::env::temp_dir().join(format!("nswatch-doc-crate-{}", std::process::id()));
//! # std::fs::create_dir(&dir)?;
//! std::fs::write(dir.join("blue"), "")?; // a name, but no namespace
//! let mut watcher = Watcher::named(&Options::new().dir(&dir)?)?;
//! let events: Vec<String> = watcher.by_ref().take(2).map(|event| event.unwrap().to_string()).collect();
//! assert_eq!(events, ["created blue (replayed)", "synced"]);
//!
//! std::fs::remove_file(dir.join("blue"))?;
//! let event = watcher.wait(None)?.expect("waited for ever");
//! assert!(matches!(event.kind(), EventKind::Deleted(name) if name == "blue"));
//! # std::fs::remove_dir(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The grammar
//! Every sequence of events from a watcher follows these rules:
//! - per name: `( Created ( Ready Detached? )* Deleted )*`. A `Ready` directly after a `Ready` of the same name:
//!   another namespace replaced the first one.
//! - `DirDeleted` comes only after `Deleted` for every known name.
//! - per nsid and origin, the namespace that the nsid is relative to: `( NsidNew NsidDel )*`.
//! - per namespace: `( NetnsNew NetnsDel )?` where it has a [cookie](Netns::cookie), `( NetnsNew NetnsDel )*` before
//!   Linux 6.18.
//! - `Synced` follows each `Overflow`.
//! - After `Synced`, applying the events yields the kernel's state, if nothing changes any more.
//!
//! So these lines keep a correct map from names to namespaces, even when the kernel loses events:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use nswatch::{Event, EventKind, Name, Netns};
//!
//! fn add(beliefs: &mut HashMap<Name, Option<Netns>>, event: &Event) {
//!     match event.kind() {
//!         EventKind::Created(name) | EventKind::Detached(name) => _ = beliefs.insert(name.clone(), None),
//!         EventKind::Ready(name, netns) => _ = beliefs.insert(name.clone(), Some(*netns)),
//!         EventKind::Deleted(name) => _ = beliefs.remove(name),
//!         _ => {}
//!     }
//! }
//! ```
//!
//! `docs/events.md` of the package has traces for every case.
//!
//! # Waiting
//! Choose the way to wait that fits the program:
//!
//! | Program | Interface |
//! |---|---|
//! | does nothing else in this thread | [`Watcher`] as an [`Iterator`], or [`Watcher::wait`] with a time limit |
//! | has an event loop (poll, epoll, mio, …) | the descriptor by [`AsFd`](std::os::fd::AsFd), and [`Watcher::next_event`] until it returns `None` |
//! | runs on tokio | [`Watcher::into_stream`], with the feature `tokio` |
//! | selects from channels | [`Watcher::into_channel`] |
//!
//! The descriptor is level-triggered: readable as long as there is an event to take, however often and by whatever
//! means you poll it. (One exception: if a seccomp filter forbids AIO and the privilege for fanotify is missing, call
//! [`Watcher::next_event`] after every wake-up.)
//!
//! # Entering a namespace
//! [`Watcher::open_netns`] opens exactly the namespace of a [`Ready`](EventKind::Ready) or
//! [`NetnsNew`](EventKind::NetnsNew), or returns `ENOENT` or `ESTALE` if that namespace is gone or replaced.
//! [`netns::enter`] runs a closure inside, on a thread of its own.
//!
//! # Without a watcher
//! [`list_named`] and [`list_all`] list what exists now, [`wait_ready`] waits for one name.
//!
//! # Threads
//! A watcher may move between threads ([`Send`]); one thread at a time uses it. Two functions start a thread:
//! [`Options::queue`] and [`Watcher::into_channel`]. The thread has all signals blocked, and ends with the watcher. In
//! a process with a second thread, `unshare(CLONE_NEWUSER)` fails, as does `setns(2)` to a user or mount namespace. If
//! the thread hangs in a filesystem that does not answer, dropping the watcher does not wait for it.
//!
//! In a child of `fork(2)`, calls on a watcher of the parent fail with `ECHILD`. Dropping it there leaves the parent's
//! watcher alone.
//!
//! The thread that opens a watcher determines the mount namespace in which the watcher resolves paths, the network
//! namespace whose nsids it reports, and what it can see of the host.
//!
//! # Errors
//! An [`Error`] has the errno. Its text says what failed, on what, and the remedy:
//!
//! ```
//! let error = nswatch::nsid::open("no such name").unwrap_err();
//! assert_eq!(std::io::Error::from_raw_os_error(error.errno()).kind(), std::io::ErrorKind::NotFound);
//! assert!(error.to_string().starts_with("cannot open the network namespace no such name: "));
//! ```
//!
//! An error loses nothing: the watcher emits earlier events first, the descriptor stays readable, and the next call
//! continues where this one stopped. While the cause persists, so does the error: a loop that ignores it spins. Only a
//! [final error](Error::is_final) ends the watch, and iteration stops after it.
//!
//! # Kernels and privileges
//! The crate works without privileges on Linux 5.10 and newer, with `/proc` mounted. It probes optional kernel features
//! at run time:
//! - Readiness of a name: fanotify mount events (Linux 6.15, `CAP_SYS_ADMIN` over the mount namespace). Fallback: an
//!   AIO poll of mountinfo, 150 to 200 µs later.
//! - Identity: the [cookie](Netns::cookie) distinguishes a namespace from its successor (Linux 6.18). Fallback: the id
//!   of its mount (6.8) or a change time.
//! - Nsids: assigning requires `CAP_NET_ADMIN`, watching those of peers ([`Options::all_nsid`]) `CAP_NET_BROADCAST`.
//! - [`Watcher::all`]: reporting a new namespace as it is made requires `CAP_PERFMON` or `CAP_SYS_ADMIN`; reporting a
//!   death as it happens requires `CAP_SYS_ADMIN`, or permission to make user namespaces. [`Feature::Births`],
//!   [`Feature::Deaths`] and [`Feature::ListNs`] show what is available.
//!
//! The README of the package has the complete table.
//!
//! # Versions
//! Every item is available since version 0.1.
//!
//! # Features
//! No feature is on by default. A Rust program needs at most the first.
//!
//! | Feature | Adds | Dependencies |
//! |---|---|---|
//! | `tokio` | [`Watcher::into_stream`] and [`EventStream`] | tokio (`net`), futures-core |
//! | `capi` | the C ABI of `nswatch.h`, in the module [`capi`] | |
//! | `cli` | the command `nswatch` | clap and others |
//! | `header` | builds generate `include/nswatch.h` | cbindgen |
//! | `fuzzing`, `panic-on-demand` | hooks for the project's own tests | |
//!
//! The API of [`EventChannel`] contains [`crossbeam_channel`], that of [`EventStream`] the trait `Stream` of
//! futures-core: a new major version of one of these is a new major version of this crate.
//!
#![cfg_attr(not(feature = "tokio"), doc = " [`Watcher::into_stream`]: #features")]
#![cfg_attr(not(feature = "tokio"), doc = " [`EventStream`]: #features")]
#![cfg_attr(not(feature = "capi"), doc = " [`capi`]: #features")]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod all;
mod census;
mod channel;
mod error;
mod event;
mod feature;
mod mounts;
mod named;
pub mod netns;
mod now;
pub mod nsid;
mod open;
mod options;
mod outbox;
mod pace;
mod place;
mod printable;
mod queue;
mod source;
#[cfg(feature = "tokio")]
mod stream;
mod sys;
mod walk;
mod watcher;

#[cfg(feature = "capi")]
pub mod capi;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use census::{Sighting, census};
pub use channel::EventChannel;
#[doc(no_inline)]
pub use crossbeam_channel;
pub use error::{Error, Result, explain};
pub use event::{Event, EventKind, Name};
pub use feature::Feature;
#[doc(inline)]
pub use netns::Netns;
pub use now::{list_all, list_named, wait_ready};
pub use options::{DEFAULT_DIR, MAX_NAMES, Options, Policy, QUEUE_MAX};
pub use printable::printable;
#[cfg(feature = "tokio")]
pub use stream::EventStream;
pub use watcher::{Stats, Watcher};
