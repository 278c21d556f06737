//! The options of `watch` that leave events out, and those that end it.

#[path = "../../src/bin/nswatch/glob.rs"]
mod glob;

use std::ffi::CString;

use proptest::prelude::*;
use serde_json::Value;

use crate::NOTHING;
use crate::running::{Running, ends, nswatch};
use crate::support::*;
use glob::Glob;

proptest! {
    #[test]
    fn patterns_are_those_of_fnmatch(pattern in r"[ab\-*?\[\]!^\\]{0,8}", name in r"[ab\-\[\]!\\]{0,6}") {
        let [pattern_c, name_c] = [&pattern, &name].map(|text| CString::new(text.as_str()).unwrap());
        // SAFETY: both strings are NUL-terminated and outlive the call.
        let expected = unsafe { libc::fnmatch(pattern_c.as_ptr(), name_c.as_ptr(), 0) } == 0;
        let found = Glob::read(pattern.as_bytes()).is_ok_and(|glob| glob.matches(name.as_bytes()));
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn patterns_of_names_that_are_no_text() {
    let is = |pattern: &[u8], name: &[u8]| Glob::read(pattern).unwrap().matches(name);
    assert!(is(b"?[\xf0-\xff]*", b"a\xff"));
    assert!(!is(b"??", "\u{e9}a".as_bytes()));
    assert!(is(b"*a*a*a*a*a*a*b", &[b"a".repeat(200), b"b".to_vec()].concat()));
    assert!(Glob::read(b"a\\").is_err());
}

/// The types and names of the lines, and the exit status.
fn printed(arguments: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
    let (code, lines, errors) = ends([&["watch", "--json"], arguments].concat());
    assert_eq!(errors, NOTHING);
    (code, lines.iter().map(|line| brief(&serde_json::from_str(line).unwrap())).collect())
}

fn brief(json: &Value) -> (String, String) {
    let text = |key: &str| json.get(key).map_or("", |value| value.as_str().unwrap()).to_owned();
    (text("type"), text("name"))
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(kind, name)| (kind.to_owned(), name.to_owned())).into()
}

fn make_names() {
    make_dir(RUN_NETNS);
    placeholder("/run/netns/b1");
    mount_new_netns("/run/netns/b1");
    placeholder("/run/netns/b2");
    placeholder("/run/netns/c");
}

#[test]
fn some_types_and_some_names() {
    sandbox();
    make_names();
    let ready = pairs([("ready", "b1")]);
    assert_eq!(printed(&["--on", "ready", "--timeout", "0"]), (Some(3), ready.clone()));
    assert_eq!(printed(&["--on", "ready", "--count", "1"]), (Some(0), ready));
    let (code, mut names) = printed(&["--name", "b?", "--timeout", "0"]);
    names.sort();
    assert_eq!((code, names), (Some(3), pairs([("created", "b1"), ("created", "b2"), ("ready", "b1")])));
    // events without a name are left out, unless requested
    let expected = pairs([("ready", "b1"), ("synced", "")]);
    assert_eq!(printed(&["--name", "b*", "--on", "ready,synced", "--count", "2"]), (Some(0), expected));
    assert_eq!(printed(&["--name", "x", "--count", "1", "--timeout", "0.1"]), (Some(3), vec![]));
    let (_, _, errors) = ends(["watch", "--name", "x", "--timeout", "0", "--stats"]);
    assert_eq!(errors.len(), 1, "{errors:?}");
}

/// Printing them takes longer than the grace after the limit.
#[test]
fn a_time_limit_lets_the_replay_end() {
    sandbox();
    make_dir(RUN_NETNS);
    let count = 20_000;
    (0..count).for_each(|i| placeholder(format!("{RUN_NETNS}/name-{i:05}")));
    let watch = Running::start(nswatch(["watch", "--no-mount-events", "--timeout", "0"]));
    // a deadline for each line: under emulation, all together take more than a minute
    (0..=count).for_each(|_| drop(watch.out.next()));
    assert_eq!(watch.end(), (Some(3), vec![], vec![]));
}

#[test]
fn it_ends_after_the_requested_count() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut watch = Running::start(nswatch(["watch", "--json", "--no-replay", "--on", "created", "--count", "2"]));
    watch.until_signals_are_caught();
    watch.counter_becomes("delivered", |n| n == 0);
    placeholder("/run/netns/a");
    watch.expect("created", Some("a"));
    std::fs::remove_file("/run/netns/a").unwrap();
    placeholder("/run/netns/b");
    watch.expect("created", Some("b"));
    assert_eq!(watch.end(), (Some(0), vec![], vec![]));
}

#[test]
fn the_directory_is_printed_on_request() {
    sandbox();
    let watch = Running::start(nswatch(["watch", "--json", "--dir", "/run/d", "--on", "dir_created", "--count", "1"]));
    watch.until_signals_are_caught();
    watch.counter_becomes("resyncs", |n| n == 1);
    make_dir("/run/d");
    let (code, lines, _) = watch.end();
    assert_eq!((code, lines.len()), (Some(0), 1), "{lines:?}");
}

#[test]
fn other_sources() {
    sandbox();
    for name in ["red", "blue"] {
        ip_netns(&["add", name]);
        ip_netns(&["set", name, "auto"]);
    }
    let arguments = ["--source", "nsid", "--name", "[!r]*", "--timeout", "0"];
    assert_eq!(printed(&arguments), (Some(3), pairs([("nsid_new", "blue")])));
    let (code, lines) = printed(&["--source", "all", "--on", "netns_new", "--count", "2"]);
    assert_eq!((code, lines), (Some(0), pairs([("netns_new", ""); 2])));
    let (code, lines) = printed(&["--source", "all", "--on", "netns_del", "--timeout", "0.1"]);
    // namespaces of others on this machine may die
    assert!(code == Some(3) && lines.iter().all(|(kind, _)| kind == "netns_del"), "{lines:?}");
}
