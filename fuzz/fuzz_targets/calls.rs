//! The functions of the C ABI in any order: `tests/sandbox cargo +nightly fuzz run calls`. What the bytes mean is in
//! tests/api/calls.rs, which replays the corpus without a fuzzer.
#![no_main]

#[path = "../../tests/api/calls.rs"]
mod calls;

libfuzzer_sys::fuzz_target!(|code: &[u8]| calls::run(code));
