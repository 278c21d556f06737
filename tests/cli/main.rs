//! The command, with real namespaces: its output, its exit, its errors.

#![allow(missing_docs, unreachable_pub)]

mod all;
mod completion;
mod directories;
mod endings;
mod exec;
mod features;
mod filters;
mod ids;
mod list;
mod options;
mod running;
mod serve;
mod show;
#[path = "../support/mod.rs"]
mod support;
mod waiting;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::ptr::null_mut;

use running::{Lines, Running, ends, keys, name, nswatch};
use support::*;

const NOTHING: [String; 0] = [];

#[test]
fn events_come_as_they_happen() {
    sandbox();
    // with mount events the watcher may see `ip netns del` halfway: detached, then deleted
    let mut watch = Running::start(nswatch(["watch", "--json", "--no-mount-events"]));
    watch.expect("synced", None);
    ip_netns(&["add", "blue"]);
    let created = watch.expect("created", Some("blue"));
    assert_eq!(keys(&created), ["name", "replayed", "time", "time_ns", "type"]);
    let ready = watch.expect("ready", Some("blue"));
    let (dev, ino, cookie) = kernel::netns("/run/netns/blue").unwrap();
    assert_eq!((ready["dev"].as_u64(), ready["ino"].as_u64()), (Some(dev), Some(ino)));
    assert_eq!(ready.get("cookie").and_then(|id| id.as_u64()), (cookie != 0).then_some(cookie));
    assert_eq!(ready["replayed"], false);
    ip_netns(&["del", "blue"]);
    watch.expect("deleted", Some("blue"));
    assert_eq!(watch.end_by(libc::SIGTERM), (Some(0), NOTHING.into(), NOTHING.into()));
}

#[test]
fn existing_names_are_replayed_unless_disabled() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let mut watch = Running::start(nswatch(["watch", "--json", "--source", "named"]));
    assert_eq!(watch.expect("created", Some("blue"))["replayed"], true);
    assert_eq!(watch.expect("ready", Some("blue"))["replayed"], true);
    watch.expect("synced", None);
    let mut watch = Running::start(nswatch(["watch", "--json", "--no-replay"]));
    // an answer shows that it watches
    watch.until_signals_are_caught();
    watch.counter_becomes("delivered", |n| n == 0);
    placeholder("/run/netns/red");
    watch.expect("created", Some("red"));
}

#[test]
fn the_directory_itself() {
    sandbox();
    let mut watch = Running::start(nswatch(["watch", "--json", "--dir", "/run/a/b", "--dir-events"]));
    watch.expect("synced", None);
    make_dir("/run/a/b");
    watch.expect("dir_created", None);
    placeholder("/run/a/b/x");
    watch.expect("created", Some("x"));
    std::fs::remove_file("/run/a/b/x").unwrap();
    std::fs::remove_dir("/run/a/b").unwrap();
    watch.expect("deleted", Some("x"));
    watch.expect("dir_deleted", None);
}

#[test]
fn lines_for_people() {
    sandbox();
    let watch = Running::start(nswatch(["watch"]));
    assert_eq!(watch.out.next()[12..], *"  synced");
    ip_netns(&["add", "blue"]);
    let created = watch.out.next();
    let time: Vec<_> = created[..12].split([':', '.']).map(|part| (part.len(), part.parse::<u16>().is_ok())).collect();
    assert_eq!(time, [(2, true), (2, true), (2, true), (3, true)], "{created}");
    assert_eq!(created[12..], *"  created      blue");
    let (_, ino, cookie) = kernel::netns("/run/netns/blue").unwrap();
    let id = if cookie == 0 { String::new() } else { format!("  cookie {cookie}") };
    assert_eq!(watch.out.next()[12..], format!("  ready        blue              net:[{ino}]{id}"));
}

#[test]
fn the_time_is_that_of_the_time_zone() {
    sandbox();
    make_dir("/run/d");
    let hour = |zone: &str| {
        let mut command = nswatch(["watch", "--dir", "/run/d"]);
        command.env("TZ", zone);
        Running::start(command).out.next()[..2].parse::<u32>().unwrap()
    };
    // another hour may begin in between
    let (utc, east) = (hour("UTC0"), hour("XYZ-5"));
    assert!([5, 6].contains(&((24 + east - utc) % 24)), "{utc} {east}");
}

/// A terminal of our own: the first end reads what is written to the second.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: both numbers are ours to write; name, settings and size may be NULL.
    let rc = unsafe { libc::openpty(&mut master, &mut slave, null_mut(), null_mut(), null_mut()) };
    assert_eq!(rc, 0, "openpty: {}", std::io::Error::last_os_error());
    // SAFETY: two new descriptors that nobody else owns.
    unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

#[test]
fn colour_on_a_terminal_only_and_only_if_enabled() {
    sandbox();
    let first = |arguments: &[&str], term: &str, no_color: &str| {
        let (master, slave) = terminal();
        let mut command = nswatch(arguments);
        command.env("TERM", term).env("NO_COLOR", no_color).stdout(slave);
        let _running = Running::start(command);
        Lines::of(File::from(master)).next()
    };
    let dim = "\x1b[2msynced     \x1b[0m";
    assert!(first(&["watch"], "xterm", "").contains(dim));
    assert!(first(&["watch", "--color", "auto"], "xterm", "").contains(dim));
    assert!(!first(&["watch"], "xterm", "1").contains('\x1b'));
    assert!(!first(&["watch"], "dumb", "").contains('\x1b'));
    assert!(!first(&["watch", "--color", "never"], "xterm", "").contains('\x1b'));
    assert!(first(&["watch", "--color", "always"], "dumb", "1").contains(dim));
    assert!(!first(&["watch", "--json", "--color", "always"], "xterm", "").contains('\x1b'));
    let pipe = |arguments: &[&str]| {
        let mut pipe = nswatch(arguments);
        pipe.env("TERM", "xterm").env_remove("NO_COLOR");
        Running::start(pipe).out.next()
    };
    assert!(!pipe(&["watch"]).contains('\x1b'));
    assert!(pipe(&["watch", "--color", "always"]).contains(dim));
}

#[test]
fn colours_of_types_and_states() {
    sandbox();
    let watch = Running::start(nswatch(["watch", "--color", "always", "--no-mount-events", "--dir-events"]));
    let word = || watch.out.next().split_once("  ").unwrap().1.trim_end().to_owned();
    assert_eq!(word(), "\x1b[2msynced     \x1b[0m");
    make_dir(RUN_NETNS);
    assert_eq!(word(), "\x1b[32mdir_created\x1b[0m");
    placeholder("/run/netns/blue");
    assert_eq!(word(), "\x1b[33mcreated    \x1b[0m  blue");
    let (_, listed, _) = ends(["list", "--color", "always"]);
    assert_eq!(listed[1], "blue  \x1b[33mnothing mounted (yet)\x1b[0m  -       -");
    mount_new_netns("/run/netns/blue");
    assert!(word().starts_with("\x1b[32mready      \x1b[0m  blue "));
    unmount("/run/netns/blue");
    std::fs::remove_file("/run/netns/blue").unwrap();
    assert_eq!(word(), "\x1b[31mdeleted    \x1b[0m  blue");
    for (when, painted) in [("always", true), ("auto", false), ("never", false)] {
        let (_, features, _) = ends(["features", "--color", when]);
        let is_painted =
            |line: &String| line.contains("  \x1b[32myes \x1b[0m  ") || line.contains("  \x1b[33mno  \x1b[0m  ");
        assert_eq!(features.iter().any(is_painted), painted, "{features:#?}");
    }
    for subcommand in ["watch", "list", "features"] {
        assert_eq!(ends([subcommand, "--color", "sometimes"]).0, Some(2));
    }
}

#[test]
fn the_time_of_the_wall_clock() {
    sandbox();
    make_dir(RUN_NETNS);
    // the texts sort by time
    let now = || run("date", &["-u", "+%Y-%m-%dT%H:%M:%S"]).trim().to_owned();
    let time = |json: &serde_json::Value| {
        let time = json["time"].as_str().unwrap().to_owned();
        let (whole, fraction) = time.strip_suffix('Z').unwrap().split_once('.').unwrap();
        assert_eq!((whole.len(), fraction.len()), (19, 6), "{time}");
        time
    };
    let mut watch = Running::start(nswatch(["watch", "--json"]));
    watch.expect("synced", None);
    let before = now();
    placeholder("/run/netns/x");
    let printed = time(&watch.expect("created", Some("x")));
    let after = now();
    assert!(before <= printed && printed[..19] <= after[..], "{before} {printed} {after}");
    let (_, lines, _) = ends(["list", "--json"]);
    let printed = time(&serde_json::from_str(&lines[0]).unwrap());
    assert!(after <= printed && printed[..19] <= now()[..], "{after} {printed}");
}

/// Names that imitate something else: other lines, other columns, orders to a terminal, other names.
pub const HOSTILE: [&[u8]; 8] = [
    b"a\n{\"type\":\"ready\"}",
    b"b\r12:00:00.000  ready  root",
    b"\x1b[2J\x1b]0;title\x07",
    b"\xc2\x9b2J",
    b"quo\"te\\",
    b"\xff\xfe\xed\xa0\x80",
    "\u{202e}reversed\u{2028}".as_bytes(),
    b"-rf {name} $(reboot) %s",
];

pub fn make_hostile() {
    for name in [&HOSTILE[..], &[b"good"]].concat() {
        let status = Command::new("ip").args(["netns", "add"]).arg(OsStr::from_bytes(name)).status();
        assert!(status.unwrap().success(), "ip netns add {name:?}");
    }
}

#[test]
fn hostile_names_in_json() {
    sandbox();
    make_hostile();
    let mut watch = Running::start(nswatch(["watch", "--json"]));
    let mut printed: Vec<_> =
        watch.until("synced").iter().filter(|json| json["type"] == "ready").filter_map(name).collect();
    printed.sort();
    let mut made: Vec<_> = HOSTILE.iter().map(|name| name.to_vec()).chain([b"good".to_vec()]).collect();
    made.sort();
    assert_eq!(printed, made);
    let (_, lines, _) = ends(["list", "--json"]);
    assert_eq!(lines.len(), made.len());
    assert!(lines.iter().all(|line| !line.chars().any(char::is_control)));
    let hex: Vec<_> = lines.iter().filter(|line| line.contains("name_hex")).collect();
    assert_eq!(hex.len(), 1, "{hex:?}");
    assert!(hex[0].contains(r#""name_hex":"fffeeda080""#), "{hex:?}");
}

#[test]
fn hostile_names_for_people() {
    sandbox();
    make_hostile();
    let watch = Running::start(nswatch(["watch"]));
    let mut lines = vec![watch.out.next()];
    while !lines.last().unwrap().ends_with("synced") {
        lines.push(watch.out.next());
    }
    assert_eq!(lines.len(), 2 * (HOSTILE.len() + 1) + 1, "{lines:#?}");
    for line in &lines {
        assert!(!line.chars().any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{line:?}");
    }
    assert!(lines.iter().any(|line| line.contains(r"created      \xff\xfe\xed\xa0\x80 ")), "{lines:#?}");
    // no name adds a column: time, type, name, namespace, id and its number, "replayed"
    let columns = |line: &String| line.split_whitespace().count();
    let ready: Vec<_> = lines.iter().filter(|line| line.contains("  ready  ")).collect();
    assert_eq!(ready.len(), HOSTILE.len() + 1);
    let good = ready.iter().find(|line| line.contains(" good ")).unwrap();
    assert!(ready.iter().all(|line| columns(line) == columns(good)), "{ready:#?}");
}

#[test]
fn list_prints_names_and_namespaces_in_order() {
    sandbox();
    assert_eq!(ends(["list"]), (Some(0), NOTHING.into(), NOTHING.into()));
    for name in ["red", "blue"] {
        ip_netns(&["add", name]);
    }
    ip_netns(&["set", "red", "7"]);
    placeholder("/run/netns/green");
    let id = |name: &str| kernel::netns(format!("/run/netns/{name}")).unwrap();
    let column = |cookie: u64| if cookie == 0 { "-".into() } else { cookie.to_string() };
    let ((dev, blue, blue_id), (_, red, red_id)) = (id("blue"), id("red"));
    let width = column(red_id).len().max(column(blue_id).len()).max("COOKIE".len());
    let (code, lines, errors) = ends(["list"]);
    assert_eq!((code, errors), (Some(0), NOTHING.into()));
    let expected = [
        format!("NAME   NAMESPACE              {:<width$}  NSID", "COOKIE"),
        format!("blue   net:[{blue}]       {:<width$}  -", column(blue_id)),
        format!("green  nothing mounted (yet)  {:<width$}  -", "-"),
        format!("red    net:[{red}]       {:<width$}  7", column(red_id)),
    ];
    assert_eq!(lines, expected);
    assert!(lines.iter().all(|line| line.len() <= 80), "{lines:#?}");
    let (_, lines, _) = ends(["list", "--json"]);
    let json: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief: Vec<_> =
        json.iter().map(|json| (json["type"].as_str(), json["name"].as_str(), json["ino"].as_u64())).collect();
    let ready = Some("ready");
    let expected =
        [(ready, Some("blue"), Some(blue)), (Some("created"), Some("green"), None), (ready, Some("red"), Some(red))];
    assert_eq!(brief, expected);
    assert_eq!(json[0]["dev"].as_u64(), Some(dev));
    assert_eq!((json[0].get("nsid"), json[2]["nsid"].as_u64()), (None, Some(7)));
}

#[test]
fn help_version_and_completions() {
    let (code, help, errors) = ends(["--help"]);
    assert_eq!((code, errors), (Some(0), NOTHING.into()));
    assert!(help.iter().any(|line| line == "Examples:"), "{help:#?}");
    assert_eq!(ends(["--version"]).1, [concat!("nswatch ", env!("CARGO_PKG_VERSION"))]);
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = ends(["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(script.iter().any(|line| line.contains("no-replay")), "{shell}");
    }
}

#[test]
fn help_fits_a_terminal() {
    for subcommand in ["watch", "list", "show", "wait", "id", "exec", "features", "completions"] {
        for help in [vec![subcommand, "--help"], vec![subcommand, "-h"], vec!["help", subcommand], vec!["--help"]] {
            let (code, lines, _) = ends(&help);
            assert_eq!(code, Some(0));
            assert!(lines.len() > 5 && lines.iter().all(|line| line.chars().count() <= 80), "{help:?}: {lines:#?}");
        }
    }
}

#[test]
fn the_manual_page_lists_every_option_and_event() {
    let page = include_str!("../../docs/man/nswatch.1");
    let items: Vec<_> =
        page.lines().filter(|line| line.starts_with(".It ")).flat_map(|line| line.split([' ', ','])).collect();
    let mut seen = 0;
    for subcommand in ["watch", "list", "show", "wait", "id", "exec", "features", "completions"] {
        let (_, help, _) = ends(["help", subcommand]);
        for line in help.iter().map(|line| line.trim_start()) {
            let options = line.split([' ', ',']).take(3).filter_map(|word| word.strip_prefix("--"));
            let options = options.filter(|word| !word.is_empty()).map(|word| format!(r"\-{word}"));
            let value = line.strip_prefix("- ").and_then(|line| Some(line.split_once(':')?.0.to_owned()));
            for word in options.chain(value) {
                seen += 1;
                assert!(items.contains(&word.as_str()), "{word} of {subcommand}");
            }
        }
    }
    assert!(seen > 45, "{seen}");
}
