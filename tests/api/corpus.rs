//! Replays the inputs that the fuzzers found worth keeping, without a fuzzer.
#![cfg(feature = "fuzzing")]

use crate::calls;
use crate::resources::{expect_resources, resources};
use crate::support::{run_alone, sandbox};
use nswatch::fuzzing;

fn replay(corpus: &str, target: fn(&[u8])) {
    let dir = format!("{}/fuzz/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    let mut inputs = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 5, "{corpus}: {inputs} inputs");
}

/// In a process of its own, since it forks.
#[test]
fn calls_in_any_order() {
    run_alone("corpus::alone_calls", &[]);
}

#[test]
#[ignore = "run by calls_in_any_order"]
fn alone_calls() {
    sandbox();
    let before = resources();
    replay("calls", calls::run);
    expect_resources(before, "after all programs");
}

#[test]
fn any_rtnetlink_message() {
    replay("wire", fuzzing::nsid);
}

#[test]
fn any_inotify_notice() {
    replay("inotify", fuzzing::inotify);
}

#[test]
fn any_life_of_names() {
    replay("named", fuzzing::named);
}
