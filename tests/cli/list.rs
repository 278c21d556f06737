//! `nswatch list`: why a name is not usable.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::endings::nswatch_of_nobody;
use crate::running::{End, Running, ends};
use crate::support::*;

/// Makes names that are not usable, each for another reason.
fn make_unusable(dir: &str) {
    let dir = make_dir(dir);
    placeholder(dir.join("file"));
    run("mkfifo", &[dir.join("fifo").to_str().unwrap()]);
    symlink("nowhere", dir.join("dangling"));
    symlink("file/below", dir.join("below"));
    symlink("loop", dir.join("loop"));
    symlink("a".repeat(300), dir.join("long"));
    symlink("/proc/self/ns/uts", dir.join("uts"));
    symlink("file", dir.join("link"));
    placeholder(dir.join("other"));
    bind("/proc/self/ns/uts", dir.join("other"));
}

const WORDS: [(&str, &str); 9] = [
    ("below", "dangling_link"),
    ("dangling", "dangling_link"),
    ("fifo", "not_mounted"),
    ("file", "not_mounted"),
    ("link", "not_mounted"),
    ("long", "dangling_link"),
    ("loop", "link_loop"),
    ("other", "other_kind"),
    ("uts", "other_kind"),
];

fn reasons((code, lines, errors): End) -> Vec<(String, Option<String>)> {
    assert_eq!((code, errors), (Some(0), vec![]));
    let reason = |line: &String| {
        let json: Value = serde_json::from_str(line).unwrap();
        let reason = json.get("reason").map(|reason| reason.as_str().unwrap().to_owned());
        assert_eq!(json["type"] == "created", reason.is_some(), "{line}");
        (json["name"].as_str().unwrap().to_owned(), reason)
    };
    lines.iter().map(reason).collect()
}

#[test]
fn the_reason_for_programs() {
    sandbox();
    let expected = WORDS.map(|(name, word)| (name.to_owned(), Some(word.to_owned())));
    make_unusable(RUN_NETNS);
    assert_eq!(reasons(ends(["list", "--json"])), expected);
    // each name is looked up in its own directory
    make_unusable("/run/d");
    unmount("/run/netns/other");
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    assert_eq!(reasons(ends(["list", "--json", "--dir", "/run/d"])), expected);
    assert_eq!(reasons(ends(["list", "--json", "--dir", "/run/d/../d"])), expected);
    symlink("/run/d", "/run/e");
    assert_eq!(reasons(ends(["list", "--json", "--dir", "/run/e"])), expected);
}

#[test]
fn the_reason_for_people() {
    sandbox();
    make_unusable("/run/d");
    let (code, lines, errors) = ends(["list", "--dir", "/run/d"]);
    assert_eq!((code, errors), (Some(0), vec![]));
    let expected = [
        "NAME      NAMESPACE                  COOKIE  NSID",
        "below     dangling link              -       -",
        "dangling  dangling link              -       -",
        "fifo      nothing mounted (yet)      -       -",
        "file      nothing mounted (yet)      -       -",
        "link      nothing mounted (yet)      -       -",
        "long      dangling link              -       -",
        "loop      loop of links              -       -",
        "other     namespace of another kind  -       -",
        "uts       namespace of another kind  -       -",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn every_name_of_a_namespace_has_its_nsid() {
    sandbox();
    for (name, nsid) in [("blue", "3"), ("red", "4")] {
        ip_netns(&["add", name]);
        ip_netns(&["set", name, nsid]);
    }
    placeholder("/run/netns/azure");
    bind("/run/netns/blue", "/run/netns/azure");
    let (code, lines, _) = ends(["list", "--json"]);
    let nsids: Vec<_> =
        lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["nsid"].as_i64()).collect();
    assert_eq!((code, nsids), (Some(0), vec![Some(3), Some(3), Some(4)]));
}

#[test]
fn a_hidden_namespace_has_the_reason_no_permission() {
    if !is_real_root() {
        return skipped("requires root, to become another user");
    }
    sandbox();
    make_dir("/run/secret");
    std::fs::set_permissions("/run/secret", PermissionsExt::from_mode(0o700)).unwrap();
    placeholder("/run/secret/x");
    mount_new_netns("/run/secret/x");
    let process = Sleeper::new();
    make_dir(RUN_NETNS);
    symlink("/run/secret/x", Path::new(RUN_NETNS).join("hidden"));
    symlink(process.namespace("net"), Path::new(RUN_NETNS).join("process"));
    let printed = reasons(Running::start(nswatch_of_nobody(&["list", "--json"])).end());
    // Linux 5.10 returns no error: the link leads to the directory that it is in, which is no namespace
    let misled = Command::new("readlink").arg(process.namespace("net")).uid(65534).status().unwrap().success();
    let (word, phrase) =
        if misled { ("not_mounted", "nothing mounted (yet)") } else { ("no_permission", "no permission") };
    let refused = |name: &str, word: &str| (name.to_owned(), Some(word.to_owned()));
    assert_eq!(printed, [refused("hidden", "no_permission"), refused("process", word)]);
    let (_, lines, _) = Running::start(nswatch_of_nobody(&["list"])).end();
    let width = phrase.len().max("no permission".len());
    let expected = [("hidden", "no permission"), ("process", phrase)];
    assert_eq!(lines[1..], expected.map(|(name, phrase)| format!("{name:<7}  {phrase:<width$}  -       -")));
    // root may see them
    assert_eq!(reasons(ends(["list", "--json"])), [("hidden".to_owned(), None), ("process".to_owned(), None)]);
}
