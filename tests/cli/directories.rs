//! Several directories in one stream.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::endings::assert_fails;
use crate::running::{End, Running, ends, keys, nswatch};
use crate::support::*;

const DIRS: [&str; 4] = ["--dir", "/run/a", "--dir", "/run/b"];

fn with_dirs(command: &[&str]) -> Command {
    nswatch([command, &DIRS].concat())
}

/// Type, directory and name.
fn brief(json: &Value) -> [Option<String>; 3] {
    ["type", "dir", "name"].map(|key| json.get(key).map(|value| value.as_str().unwrap().to_owned()))
}

fn event(kind: &str, dir: &str, name: Option<&str>) -> [Option<String>; 3] {
    [Some(kind.into()), Some(dir.into()), name.map(Into::into)]
}

/// The next line, without a check: the grammar is that of one directory.
fn next(running: &Running) -> [Option<String>; 3] {
    brief(&serde_json::from_str(&running.out.next()).unwrap())
}

#[test]
fn json_names_the_directory() {
    sandbox();
    placeholder(make_dir("/run/a").join("x"));
    let watch = Running::start(with_dirs(&["watch", "--json", "--dir-events"]));
    assert_eq!(next(&watch), event("dir_created", "/run/a", None));
    assert_eq!(next(&watch), event("created", "/run/a", Some("x")));
    assert_eq!(next(&watch), event("synced", "/run/a", None));
    assert_eq!(next(&watch), event("synced", "/run/b", None));
    make_dir("/run/b");
    assert_eq!(next(&watch), event("dir_created", "/run/b", None));
    placeholder("/run/b/x");
    assert_eq!(next(&watch), event("created", "/run/b", Some("x")));
    mount_new_netns("/run/a/x");
    assert_eq!(next(&watch), event("ready", "/run/a", Some("x")));
    assert_eq!(watch.counter_becomes("known", |n| n == 2), 2);
    assert_eq!(watch.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn one_directory_is_not_named() {
    sandbox();
    placeholder(make_dir("/run/a").join("x"));
    let mut watch = Running::start(nswatch(["watch", "--json", "--dir", "/run/a"]));
    assert_eq!(keys(&watch.expect("created", Some("x"))), ["name", "replayed", "time", "time_ns", "type"]);
    let (_, lines, _) = ends(["list", "--json", "--dir", "/run/a"]);
    assert_eq!(
        keys(&serde_json::from_str(&lines[0]).unwrap()),
        ["name", "reason", "replayed", "time", "time_ns", "type"]
    );
}

#[test]
fn lines_show_the_path() {
    sandbox();
    placeholder(make_dir("/run/a").join("x y"));
    let watch = Running::start(with_dirs(&["watch"]));
    let rest = |line: String| line[14..].to_owned();
    assert_eq!(rest(watch.out.next()), r"created      /run/a/x\x20y     replayed");
    assert_eq!(rest(watch.out.next()), "synced       /run/a");
    assert_eq!(rest(watch.out.next()), "synced       /run/b");
}

/// Each name is in the directory whose turn it is.
#[test]
fn events_come_in_the_order_of_their_time() {
    sandbox();
    let dirs = ["/run/a", "/run/b"].map(make_dir);
    let watch = Running::start(with_dirs(&["watch", "--json", "--no-replay"]));
    watch.until_signals_are_caught();
    watch.counter_becomes("resyncs", |_| true);
    for n in 0..200 {
        placeholder(dirs[n % 2].join(n.to_string()));
        let dir = dirs[n % 2].to_str().unwrap();
        assert_eq!(next(&watch), event("created", dir, Some(&n.to_string())));
    }
    // events that waited for the command keep the order of their directory
    watch.signal(libc::SIGSTOP);
    for n in 0..200 {
        std::fs::remove_file(dirs[n % 2].join(n.to_string())).unwrap();
    }
    watch.signal(libc::SIGCONT);
    let mut next_of = [0, 1];
    for _ in 0..200 {
        let found = next(&watch);
        let side = usize::from(found[1].as_deref() == Some("/run/b"));
        assert_eq!(found, event("deleted", dirs[side].to_str().unwrap(), Some(&next_of[side].to_string())));
        next_of[side] += 2;
    }
    assert_eq!(watch.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn it_sleeps_while_nothing_happens() {
    sandbox();
    make_dir("/run/a");
    let watch = Running::start(with_dirs(&["watch", "--json"]));
    assert_eq!([next(&watch), next(&watch)].map(|event| event[0].clone().unwrap()), ["synced", "synced"]);
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", watch.child.id())).unwrap();
        let switches = status.lines().filter(|line| line.contains("ctxt_switches")).map(ToOwned::to_owned);
        switches.collect::<Vec<_>>()
    };
    // two equal answers: it sleeps
    let before = std::cell::Cell::new(vec![]);
    let end = std::time::Instant::now() + DEADLINE;
    while before.replace(switches()) != switches() {
        assert!(std::time::Instant::now() < end, "it never sleeps");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn a_command_gets_the_directory_of_its_event() {
    sandbox();
    for dir in ["/run/a", "/run/b"] {
        placeholder(make_dir(dir).join("x"));
    }
    let mut command = with_dirs(&["exec", "--on", "created"]);
    command.args(["--", "sh", "-c", "echo $NSWATCH_DIR $NSWATCH_NAME; exit 1"]);
    let running = Running::start(command);
    for dir in ["/run/a", "/run/b"] {
        assert_eq!(running.out.next(), format!("{dir} x"));
        assert_eq!(running.err.next(), format!("nswatch: sh for created {dir}/x: exit status: 1"));
    }
    assert_eq!(running.end_by(libc::SIGINT), (Some(0), vec![], vec![]));
}

#[test]
fn list_of_several() {
    sandbox();
    placeholder(make_dir("/run/b").join("x"));
    placeholder(make_dir("/run/a").join("x"));
    mount_new_netns("/run/a/x");
    let (dev, ino, cookie) = kernel::netns("/run/a/x").unwrap();
    let (code, lines, errors) = Running::start(with_dirs(&["list"])).end();
    assert_eq!((code, errors), (Some(0), vec![]));
    let cookie = if cookie == 0 { "-".into() } else { cookie.to_string() };
    let width = cookie.len().max("COOKIE".len());
    let expected = [
        format!("PATH      NAMESPACE              {:<width$}  NSID", "COOKIE"),
        format!("/run/a/x  net:[{ino}]       {cookie:<width$}  -"),
        format!("/run/b/x  nothing mounted (yet)  {:<width$}  -", "-"),
    ];
    assert_eq!(lines, expected);
    let (_, lines, _) = Running::start(with_dirs(&["list", "--json"])).end();
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(brief(&lines[0]), event("ready", "/run/a", Some("x")));
    assert_eq!(lines[0]["dev"].as_u64(), Some(dev));
    assert_eq!(brief(&lines[1]), event("created", "/run/b", Some("x")));
}

#[test]
fn an_error_names_the_directory() {
    sandbox();
    make_dir("/run/a");
    std::fs::write("/run/file", "").unwrap();
    for (subcommand, command) in [("watch", &[][..]), ("list", &[]), ("exec", &["--on", "ready", "--", "true"])] {
        let on = |dir: &str| -> End { ends([&[subcommand, "--dir", "/run/a", "--dir", dir], command].concat()) };
        assert_fails(on("relative"), &["must be absolute", "relative"]);
        assert_fails(on("/dev/null"), &["/dev/null", "not a directory"]);
        // the error is about a part of the path
        assert_fails(on("/run/file/below"), &["/run/file/below", "not a directory"]);
    }
    assert_fails(Running::start(with_dirs(&["list"])).end(), &["/run/b", "does not exist"]);
    // the directory that a limit has struck
    let mut command = Command::new("unshare");
    let script = "echo 1 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_nswatch"), "watch"]);
    command.args(["--dir", "/run/a", "--dir", "/run/a/b"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).process_group(0);
    assert_fails(Running::start(command).end(), &["raise fs.inotify.max_user_instances", "/run/a/b"]);
}

#[test]
fn bytes_of_a_directory_that_are_not_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    sandbox();
    let dir = make_dir(Path::new("/run").join(std::ffi::OsStr::from_bytes(b"\xff")));
    let mut command = with_dirs(&["watch", "--json"]);
    command.arg("--dir").arg(dir);
    let watch = Running::start(command);
    watch.out.next();
    watch.out.next();
    let last: Value = serde_json::from_str(&watch.out.next()).unwrap();
    assert_eq!((last["dir"].as_str(), last["dir_hex"].as_str()), (Some("/run/\u{fffd}"), Some("2f72756e2fff")));
}
