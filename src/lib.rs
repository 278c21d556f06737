//! Know at once, and without ever being wrong, which Linux network namespaces there are, come and go.
//!
//! A [`Watcher`] tells what happens, as a sequence of [`Event`]s. There are three kinds, which stand on their own:
//! - [`Watcher::named`] tells of the names in `/run/netns`, as `ip netns` makes them, or in another directory: when a
//!   name appears, when the namespace behind it can really be *opened*, when it is replaced, when it is gone;
//! - [`Watcher::nsid`] tells of the ids that the kernel assigns to peer namespaces. The module [`nsid`] asks for such
//!   ids, and assigns them;
//! - [`Watcher::all`] reports every network namespace of the host that can be seen, with or without a name: when it is
//!   made, and when it is gone. [`census`] lists them once.
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
//! It needs no privilege, starts no thread unless asked to, wakes up for nothing, and keeps no descriptor of a namespace
//! that it reports. (A watcher of nsids has sockets, which keep the namespace alive that they were made in. A watcher of all
//! namespaces sees more with privileges, and may start a thread that ends before the call returns.) The watcher first reports what exists, as [replayed](Event::is_replayed) events that end with [`Synced`](EventKind::Synced):
//!
//! ```
//! use nswatch::{EventKind, Options, Watcher};
//!
//! # let dir = std::env::temp_dir().join(format!("nswatch-doc-crate-{}", std::process::id()));
//! # std::fs::create_dir(&dir)?;
//! std::fs::write(dir.join("blue"), "")?; // a name, but no namespace
//! let mut watcher = Watcher::named(&Options::new().dir(&dir)?)?;
//! let told: Vec<String> = watcher.by_ref().take(2).map(|event| event.unwrap().to_string()).collect();
//! assert_eq!(told, ["created blue (existing)", "synced"]);
//!
//! std::fs::remove_file(dir.join("blue"))?;
//! let event = watcher.wait(None)?.expect("waited for ever");
//! assert!(matches!(event.kind(), EventKind::Deleted(name) if name == "blue"));
//! # std::fs::remove_dir(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The grammar
//! For every sequence of events that a watcher ever yields, whatever happened underneath:
//! - per name: `( Created ( Ready Detached? )* Deleted )*`; a `Ready` right after a `Ready` of the same name means
//!   that another namespace took its place;
//! - `DirDeleted` comes only after `Deleted` for every known name;
//! - per id, and namespace that it is relative to: `( NsidNew NsidDel )*`;
//! - per namespace: `( NetnsNew NetnsDel )?` where it has a [cookie](Netns::cookie), `( NetnsNew NetnsDel )*` before
//!   Linux 6.18;
//! - `Overflow` is followed by `Synced`;
//! - after `Synced`, what the consumer believes by adding up the events equals what the kernel has, if nothing
//!   changes any more.
//!
//! So a map from names to namespaces that is kept by these few lines is right, and stays right when the kernel loses
//! events:
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
//! Traces for every case are in `docs/events.md` of the package.
//!
//! # Waiting
//! The same events, in the way that fits the program:
//!
//! | the program | has |
//! |---|---|
//! | does nothing else in this thread | [`Watcher`] as an [`Iterator`], or [`Watcher::wait`] with a time limit |
//! | has an event loop (poll, epoll, mio, …) | the descriptor by [`AsFd`](std::os::fd::AsFd), and [`Watcher::next_event`] until it says `None` |
//! | is driven by tokio | [`Watcher::into_stream`], with the feature `tokio` |
//! | selects from channels | [`Watcher::into_channel`] |
//!
//! The descriptor is level-triggered: it is readable while there is an event to be had, whoever polls it and however
//! often. (One exception: where a seccomp filter forbids AIO and the privilege for fanotify is missing, ask for events
//! after every wake-up.)
//!
//! # Going into a namespace
//! [`Watcher::open_netns`] opens the very namespace that a [`Ready`](EventKind::Ready) or a
//! [`NetnsNew`](EventKind::NetnsNew) announced, or says `ENOENT` or `ESTALE` if it is gone or replaced by then.
//! [`netns::enter`] runs a closure inside, on a thread of its own.
//!
//! # Without a watcher
//! [`list_named`] and [`list_all`] return what there is now, [`wait_ready`] waits for one name.
//!
//! # Threads
//! A watcher may move between threads ([`Send`]) and is used by one at a time. Two things start a thread, because they
//! are asked to: [`Options::queue`] and [`Watcher::into_channel`]. It ends with the watcher, and has all signals blocked.
//! In a process with a second thread `unshare(CLONE_NEWUSER)` fails, as does `setns(2)` to a user or mount namespace. If
//! it hangs in a filesystem that does not answer, dropping the watcher does not wait for it.
//!
//! In a child of `fork(2)` the calls of its parent's watchers fail with `ECHILD`; dropping one leaves the parent's alone.
//!
//! The thread that opens a watcher decides what it is about: the mount namespace in which the path is resolved, the
//! network namespace whose ids are told, and what of the host can be seen.
//!
//! # Errors
//! An [`Error`] has the errno, and as its text what failed, on what, and what can be done about it:
//!
//! ```
//! let error = nswatch::nsid::open("no such name").unwrap_err();
//! assert_eq!(std::io::Error::from_raw_os_error(error.errno()).kind(), std::io::ErrorKind::NotFound);
//! assert!(error.to_string().starts_with("cannot open the network namespace no such name: "));
//! ```
//!
//! An error loses nothing: what was learned before is told before, the descriptor stays readable, and the next call
//! goes on where this one stopped. If the reason still stands, so does the error: who iterates should not ignore it,
//! for it comes again at once. Only [one that is final](Error::is_final) is the end, and what iterates ends after it.
//!
//! # Kernels and privileges
//! It works for everybody on Linux 5.10 and newer, with `/proc` mounted. What is better with more is found out by trying,
//! when it is needed:
//! - That a name became ready is noticed by fanotify's mount events with `CAP_SYS_ADMIN` over the mount namespace on
//!   Linux 6.15, else by an AIO poll of mountinfo, 150 to 200 µs later.
//! - The [cookie](Netns::cookie) distinguishes a namespace from its successor on Linux 6.18; before, the id of its
//!   mount (6.8) or a change time does.
//! - To assign ids takes `CAP_NET_ADMIN`, to watch those of peers ([`Options::all_nsid`]) `CAP_NET_BROADCAST`.
//! - [`Watcher::all`] reports a new namespace as it is made with `CAP_PERFMON` or `CAP_SYS_ADMIN`, a death as it happens
//!   with `CAP_SYS_ADMIN` or where user namespaces may be made: [`Feature::Births`], [`Feature::Deaths`],
//!   [`Feature::ListNs`] say what is in use.
//!
//! The README of the package has the whole table.
//!
//! # Features
//! None is on by default; a Rust program needs at most the first.
//!
//! | feature | what it adds | dependencies |
//! |---|---|---|
//! | `tokio` | [`Watcher::into_stream`] and [`EventStream`] | tokio (`net`), futures-core |
//! | `capi` | the C ABI of `nswatch.h`, in the module [`capi`] | |
//! | `cli` | the command `nswatch` | clap and others |
//! | `header` | builds write `include/nswatch.h` anew | cbindgen |
//! | `fuzzing`, `panic-on-demand` | what the project's own tests need | |
//!
//! [`EventChannel`] has [`crossbeam_channel`] in its face, [`EventStream`] the trait `Stream` of futures-core; a new major
//! version of one of these is one of this crate.
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
