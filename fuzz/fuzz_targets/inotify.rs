//! The events of inotify: `cargo +nightly fuzz run inotify`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nswatch::fuzzing::inotify(bytes));
