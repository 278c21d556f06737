//! Nsids: queries, assignment and watching.

#![allow(missing_docs, unreachable_pub)]

mod query;
mod refused;
mod sparse;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod watch;
