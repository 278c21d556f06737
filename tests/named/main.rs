//! The watcher of names, in a directory of names.

#![allow(missing_docs, unreachable_pub)]

mod directory;
mod errors;
mod faults;
mod fd;
mod kinds;
mod lifecycle;
mod limit;
mod links;
mod mounts;
mod open;
mod overflow;
mod pace;
mod paths;
mod place;
mod propagation;
mod refused;
mod renames;
mod settle;
#[path = "../support/mod.rs"]
mod support;
