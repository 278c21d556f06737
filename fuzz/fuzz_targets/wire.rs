//! The messages of rtnetlink about nsids: `cargo +nightly fuzz run wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nswatch::fuzzing::nsid(bytes));
