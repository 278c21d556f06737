//! Tests for every source: the ways to take events, features, limits, and the inputs that the fuzzers found.

#![allow(missing_docs, unreachable_pub)]

mod all;
#[cfg(feature = "fuzzing")]
mod calls;
mod channel;
mod corpus;
mod features;
mod host;
mod iteration;
mod queue;
#[path = "../docs/readme.rs"]
mod readme;
mod resources;
mod stream;
#[path = "../support/mod.rs"]
mod support;
// its list has the system calls of 64-bit architectures, which never had socketcall(2)
#[cfg(all(target_pointer_width = "64", not(target_arch = "s390x")))]
mod syscalls;
