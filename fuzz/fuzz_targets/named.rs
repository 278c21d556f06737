//! The events of inotify, applied by a watcher of names: `cargo +nightly fuzz run named`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nswatch::fuzzing::named(bytes));
