//! The watcher of every network namespace, with or without a name. Other tests make namespaces too, and the watcher
//! reports those: each test looks for its own.

#![allow(missing_docs, unreachable_pub)]

mod actor;
mod births;
mod children;
mod deaths;
mod hotplug;
mod limits;
mod passed_on;
mod recycled;
mod rights;
#[path = "../support/mod.rs"]
mod support;
