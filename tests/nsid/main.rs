//! Ids: asking for them, assigning them and watching them.

#![allow(missing_docs, unreachable_pub)]

mod query;
mod refused;
mod sparse;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod watch;
