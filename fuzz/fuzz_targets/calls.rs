//! The functions of the C ABI in any order: `tests/sandbox cargo +nightly fuzz run calls`. tests/api/calls.rs
//! defines the meaning of the bytes, and replays the corpus without a fuzzer.
#![no_main]

#[path = "../../tests/api/calls.rs"]
mod calls;

libfuzzer_sys::fuzz_target!(|code: &[u8]| calls::run(code));
