//! The records of a perf event: `cargo +nightly fuzz run perf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nswatch::fuzzing::perf(bytes));
