//! The failures that the library must survive: system calls that fail, and panics.
//!
//! A binary of its own: these tests count the descriptors and threads of the whole process, so they take turns.

#![allow(missing_docs, unreachable_pub)]

mod all;
mod ids;
mod names;
mod panics;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
