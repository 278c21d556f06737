//! Watching every network namespace: what the library reports of those with and without a name. Other tests make
//! namespaces beside these, which are reported too: each test looks for its own.

#![allow(missing_docs, unreachable_pub)]

mod actor;
mod births;
mod children;
mod deaths;
mod hotplug;
mod limits;
mod recycled;
mod rights;
#[path = "../support/mod.rs"]
mod support;
