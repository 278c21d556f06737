//! Every network namespace: `list --all`, and `watch` and `exec` with `--source all`. Other tests make namespaces too,
//! and the command prints those: each test looks for its own.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::endings::nswatch_of_nobody;
use crate::running::{End, Running, ends, keys, nswatch};
use crate::support::nsid::anonymous;
use crate::support::*;
use crate::{HOSTILE, make_hostile};

fn ino(path: impl AsRef<Path>) -> u64 {
    kernel::netns(path).unwrap().1
}

/// The lines of a run that succeeded.
fn lines((code, out, err): End) -> Vec<String> {
    assert_eq!((code, err), (Some(0), vec![]));
    out
}

fn objects(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one object about this namespace.
fn of(objects: &[Value], ino: u64) -> &Value {
    let found: Vec<_> = objects.iter().filter(|object| object["ino"] == ino).collect();
    assert_eq!(found.len(), 1, "{ino}: {found:?}");
    found[0]
}

#[test]
fn all_namespaces_are_listed_once_with_their_facts() {
    sandbox();
    ip_netns(&["add", "blue"]);
    ip_netns(&["set", "blue", "5"]);
    placeholder("/run/second");
    bind("/run/netns/blue", "/run/second");
    symlink("/run/second", "/run/netns/alias");
    let process = Sleeper::new();
    let kept = anonymous();
    let kept_ino = ino(format!("/proc/self/fd/{}", kept.as_raw_fd()));

    let listed = objects(&lines(ends(["list", "--all", "--json"])));
    let blue = of(&listed, ino("/run/netns/blue"));
    assert_eq!((&blue["names"], &blue["mounts"]), (&json!(["alias", "blue"]), &json!(["/run/second"])));
    assert_eq!((&blue["nsid"], &blue["processes"], blue.get("pid")), (&json!(5), &json!(0), None));
    let nameless = of(&listed, ino(process.namespace("net")));
    assert_eq!((&nameless["names"], &nameless["mounts"], nameless.get("nsid")), (&json!([]), &json!([]), None));
    let expected = (&json!(1), &json!(process.pid()), &json!("cat"));
    assert_eq!((&nameless["processes"], &nameless["pid"], &nameless["command"]), expected);
    assert_eq!(nameless.get("descriptor"), None);
    // where listns(2) lists it, the command searches for no descriptor
    let descriptor = of(&listed, kept_ino).get("descriptor").map(|path| path.as_str().unwrap());
    let end = format!("/fd/{}", kept.as_raw_fd());
    assert!(descriptor.map_or(kernel::lists_all(), |path| path.ends_with(&end)), "{descriptor:?}");
    assert!(of(&listed, ino("/proc/thread-self/ns/net"))["processes"].as_u64().unwrap() > 0);

    let order: Vec<_> = listed.iter().map(|object| (object["cookie"].as_u64(), object["ino"].as_u64())).collect();
    assert!(order.is_sorted(), "{order:?}");

    // the same object, so that programs need only one parser
    let shown = lines(ends(["show", "blue", "--json"]));
    assert_eq!(&objects(&shown)[0], blue);
    let shown = lines(ends(["show", &format!("ino:{kept_ino}")]));
    assert_eq!(shown.iter().any(|line| line.starts_with("open by  ") && line.ends_with(&end)), descriptor.is_some());
}

#[test]
fn all_namespaces_in_columns() {
    sandbox();
    make_hostile();
    let process = Sleeper::new();
    let table = lines(ends(["list", "--all"]));
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&table[0]), ["COOKIE", "INODE", "NSID", "PROCESSES", "PID", "COMMAND", "NAMES", "AND", "PATHS"]);
    let row = |ino: u64| table.iter().map(words).find(|words| words[1] == ino.to_string()).unwrap();
    let (_, inode, cookie) = kernel::netns(process.namespace("net")).unwrap();
    let cookie = if cookie == 0 { "-".into() } else { cookie.to_string() };
    let pid = process.pid().to_string();
    assert_eq!(row(inode), [&cookie, &inode.to_string(), "-", "1", &pid, "cat", "-"]);
    assert_eq!(row(ino("/run/netns/good"))[2..], ["-", "0", "-", "-", "good"]);
    for line in &table {
        assert!(!line.chars().any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{line:?}");
    }
    // no name adds a column
    for name in HOSTILE {
        let path = Path::new(RUN_NETNS).join(OsStr::from_bytes(name));
        assert_eq!(row(ino(path)).len(), 7);
    }
}

#[test]
fn a_command_with_a_hostile_name_in_the_list() {
    sandbox();
    let mut command = Command::new("unshare");
    let script = "printf '\\033[2J x' > /proc/$$/comm; echo; read line";
    command.args(["--net", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let running = Running::start(command);
    assert_eq!(running.out.next(), "");
    let inode = ino(format!("/proc/{}/ns/net", running.child.id()));
    let table = lines(ends(["list", "--all"]));
    let row = table.iter().find(|line| line.contains(&inode.to_string())).unwrap();
    assert!(row.contains(r"\u{1b}[2J\x20x"), "{row}");
    let watch = Running::start(nswatch(["watch", "--source", "all"]));
    let line = until(&watch, |line| line.contains(&format!("net:[{inode}]")));
    assert!(line.ends_with(&format!(r"  pid {} (\u{{1b}}[2J\x20x)  replayed", running.child.id())), "{line}");
}

#[test]
fn without_privileges_only_visible_namespaces_are_listed() {
    if !is_real_root() {
        return skipped("requires root, to become another user");
    }
    sandbox();
    ip_netns(&["add", "blue"]);
    let (process, kept) = (Sleeper::new(), anonymous());
    let listed = objects(&lines(Running::start(nswatch_of_nobody(&["list", "--all", "--json"])).end()));
    // the mount, and the namespace of the command itself
    assert_eq!(of(&listed, ino("/run/netns/blue"))["names"], json!(["blue"]));
    assert_eq!(of(&listed, ino("/proc/thread-self/ns/net"))["command"], "nswatch");
    for hidden in [ino(process.namespace("net")), ino(format!("/proc/self/fd/{}", kept.as_raw_fd()))] {
        assert!(listed.iter().all(|object| object["ino"] != hidden), "{hidden}");
    }
}

/// Reads lines until one is wanted.
fn until(running: &Running, wanted: impl Fn(&str) -> bool) -> String {
    loop {
        let line = running.out.next();
        if wanted(&line) {
            return line;
        }
    }
}

/// Reads objects until one has this type and namespace.
fn until_netns(watch: &mut Running, kind: &str, (dev, ino, cookie): (u64, u64, u64)) -> Value {
    let cookie = (cookie != 0).then_some(cookie);
    loop {
        let object = watch.json();
        if object["type"] == kind && object["dev"] == dev && object["ino"] == ino {
            assert_eq!(object.get("cookie").and_then(Value::as_u64), cookie);
            return object;
        }
    }
}

/// The keys without those that depend on the kernel.
fn keys_everywhere(object: &Value) -> Vec<&str> {
    // what distinguishes a namespace from a later one: a cookie, or before Linux 6.18 a stamp
    keys(object).into_iter().filter(|key| !["cookie", "stamp"].contains(key)).collect()
}

#[test]
fn all_namespaces_are_watched() {
    sandbox();
    let process = Sleeper::new();
    let nameless = kernel::netns(process.namespace("net")).unwrap();
    let mut watch = Running::start(nswatch(["watch", "--source", "all", "--json"]));
    let new = until_netns(&mut watch, "netns_new", nameless);
    assert_eq!(keys_everywhere(&new), ["dev", "ino", "path", "pid", "replayed", "time", "time_ns", "type"]);
    assert_eq!((&new["pid"], &new["replayed"]), (&json!(process.pid()), &json!(true)));
    assert_eq!(new["path"], json!(process.namespace("net")));
    watch.until("synced");

    ip_netns(&["add", "blue"]);
    let blue = kernel::netns("/run/netns/blue").unwrap();
    assert_eq!(until_netns(&mut watch, "netns_new", blue)["replayed"], false);
    ip_netns(&["del", "blue"]);
    let gone = until_netns(&mut watch, "netns_del", blue);
    assert_eq!(keys_everywhere(&gone), ["dev", "ino", "replayed", "time", "time_ns", "type"]);
    drop(process);
    until_netns(&mut watch, "netns_del", nameless);
    let (code, _, errors) = watch.end_by(libc::SIGTERM);
    assert_eq!((code, errors), (Some(0), vec![]));
}

#[test]
fn lines_about_all_namespaces() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let process = Sleeper::new();
    let watch = Running::start(nswatch(["watch", "--source", "all"]));
    let about = |path: &str| {
        let (_, ino, cookie) = kernel::netns(path).unwrap();
        let cookie = if cookie == 0 { String::new() } else { format!("  cookie {cookie}") };
        (format!("net:[{ino}]"), cookie)
    };
    let path = process.namespace("net").to_str().unwrap().to_owned();
    let mut expected = vec![];
    for (path, pid) in [("/run/netns/blue", None), (&path, Some(process.pid()))] {
        let (netns, cookie) = about(path);
        let pid = pid.map(|pid| format!("  pid {pid} (cat)")).unwrap_or_default();
        expected.push((netns.clone(), format!("  netns_new    {netns}{cookie}  {path}{pid}  replayed")));
    }
    // in any order
    while !expected.is_empty() {
        let line = watch.out.next();
        if let Some(at) = expected.iter().position(|(netns, _)| line.contains(netns)) {
            assert_eq!(line[12..], expected.remove(at).1);
        }
    }
    let (netns, cookie) = about("/run/netns/blue");
    ip_netns(&["del", "blue"]);
    let gone = until(&watch, |line| line.contains("netns_del") && line.contains(&netns));
    assert_eq!(gone[12..], format!("  netns_del    {netns}{cookie}"));
}

#[test]
fn without_replay_existing_namespaces_are_not_printed() {
    sandbox();
    let process = Sleeper::new();
    let mut watch = Running::start(nswatch(["watch", "--source", "all", "--json", "--no-replay"]));
    watch.until_signals_are_caught();
    watch.counter_becomes("known", |n| n > 1);
    ip_netns(&["add", "blue"]);
    let (blue, nameless) = (kernel::netns("/run/netns/blue").unwrap(), ino(process.namespace("net")));
    loop {
        let object = watch.json();
        assert!(object["ino"] != nameless && object["replayed"] == false, "{object}");
        if object["ino"] == blue.1 {
            break;
        }
    }
}

#[test]
fn more_namespaces_than_the_limit() {
    sandbox();
    let _process = Sleeper::new();
    let (code, _, errors) = ends(["watch", "--source", "all", "--max-names", "1"]);
    assert_eq!((code, errors.len()), (Some(1), 1), "{errors:?}");
    assert!(errors[0].starts_with("nswatch: cannot watch all network namespaces: "), "{errors:?}");
}

#[test]
fn a_command_for_each_namespace() {
    sandbox();
    let process = Sleeper::new();
    // the same command runs for the namespaces of others, and ignores them
    let script = r#"echo "$NSWATCH_EVENT $NSWATCH_INO ${NSWATCH_FD-none} ${NSWATCH_PID-none} ${NSWATCH_PATH-none} $1 $2
        $(stat -Lc %i "$3" 2>&1) ${NSWATCH_COOKIE-none} ${NSWATCH_NAME-none}" | tr '\n' ' '; echo"#;
    let exec = |options: &[&str]| {
        let command = ["--", "sh", "-c", script, "sh", "<{pid}>", "<{path}>", "{fd}", "{name}"];
        let mut command = nswatch([&["exec", "--source", "all"], options, &command].concat());
        command.envs([("NSWATCH_PID", "1"), ("NSWATCH_PATH", "/outer"), ("NSWATCH_NAME", "outer")]);
        Running::start(command)
    };
    let (path, pid) = (process.namespace("net"), process.pid().to_string());
    let (_, nameless, cookie) = kernel::netns(&path).unwrap();
    let cookie = if cookie == 0 { "none".into() } else { cookie.to_string() };
    // a later namespace may have its inode number
    let words = |running: &Running, kind: &str| {
        let (begin, end) = (format!("{kind} {nameless} "), format!(" {cookie} none"));
        let line = until(running, |line| line.starts_with(&begin) && line.trim_end().ends_with(&end));
        line.split_whitespace().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };

    // new events by default, including replayed ones
    let path = path.to_str().unwrap();
    let printed = words(&exec(&[]), "netns_new");
    assert!(printed[0].parse::<u8>().unwrap() > 2, "{printed:?}");
    let (pid_in, path_in) = (format!("<{pid}>"), format!("<{path}>"));
    assert_eq!(printed[1..], [&pid, path, &pid_in, &path_in, &nameless.to_string(), &cookie, "none"]);

    // a dead namespace cannot be opened
    let deaths = exec(&["--on", "netns_new,netns_del"]);
    words(&deaths, "netns_new");
    drop(process);
    let printed = words(&deaths, "netns_del");
    assert_eq!(printed[..5], ["none", "none", "none", "<>", "<>"]);
    assert_eq!(deaths.end_by(libc::SIGTERM).0, Some(0));
}
