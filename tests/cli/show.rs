//! `nswatch show`: one namespace, found in every way.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::endings::{assert_fails, nswatch_of_nobody};
use crate::running::{End, Running, ends, nswatch};
use crate::support::nsid::anonymous;
use crate::support::*;
use crate::{HOSTILE, make_hostile};

fn lines((code, out, err): End) -> Vec<String> {
    assert_eq!((code, err), (Some(0), vec![]));
    out
}

/// The one object that the command prints.
fn object(end: End) -> Value {
    let lines = lines(end);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    serde_json::from_str(&lines[0]).unwrap()
}

fn show(what: impl AsRef<OsStr>) -> Value {
    object(Running::start(nswatch([OsStr::new("show"), OsStr::new("--json"), what.as_ref()])).end())
}

/// `blue`: a namespace with a process, two names, a mount elsewhere and an nsid.
struct Blue {
    process: Sleeper,
    dev: u64,
    ino: u64,
    cookie: u64,
}

impl Blue {
    fn new() -> Self {
        let process = Sleeper::new();
        ip_netns(&["attach", "blue", &process.pid().to_string()]);
        ip_netns(&["set", "blue", "7"]);
        symlink("blue", "/run/netns/alias");
        placeholder("/run/elsewhere");
        bind("/run/netns/blue", "/run/elsewhere");
        let (dev, ino, cookie) = kernel::netns("/run/netns/blue").unwrap();
        Self { process, dev, ino, cookie }
    }

    fn known(&self) -> Value {
        let (pid, Self { dev, ino, cookie, .. }) = (self.process.pid(), self);
        let mut known = json!({
            "dev": dev, "ino": ino, "nsid": 7, "names": ["alias", "blue"], "mounts": ["/run/elsewhere"],
            "processes": 1, "pid": pid, "command": "cat", "pids": [pid],
        });
        if *cookie != 0 {
            known["cookie"] = (*cookie).into();
        }
        known
    }
}

#[test]
fn every_way_shows_the_same_facts() {
    sandbox();
    let blue = Blue::new();
    // another one, which must not be mistaken for it
    ip_netns(&["add", "red"]);
    let (pid, ino) = (blue.process.pid(), blue.ino);
    let ways = ["blue", "alias", "/run/netns/blue", "/run/elsewhere"].map(String::from);
    let ways = ways.into_iter().chain([format!("pid:{pid}"), format!("ino:{ino}"), "nsid:7".into()]);
    for what in ways.chain([format!("/proc/{pid}/ns/net")]) {
        let mut shown = show(&what);
        let stamp = shown.as_object_mut().unwrap().remove("stamp");
        // no mount pins a namespace that was found by a process
        assert_eq!(
            stamp.is_some(),
            blue.cookie == 0 && !what.starts_with("pid:") && !what.starts_with("/proc/"),
            "{what}"
        );
        assert_eq!(shown, blue.known(), "{what}");
    }
    if blue.cookie != 0 {
        let mut alive = blue.known();
        alive["alive"] = true.into();
        assert_eq!(show(format!("cookie:{}", blue.cookie)), alive);
    }
}

#[test]
fn facts_that_do_not_apply_are_left_out() {
    sandbox();
    ip_netns(&["add", "red"]);
    let (dev, ino, cookie) = kernel::netns("/run/netns/red").unwrap();
    let mut shown = show("red");
    let shown = shown.as_object_mut().unwrap();
    shown.remove("stamp");
    assert_eq!(shown.remove("cookie"), (cookie != 0).then(|| cookie.into()));
    let expected = json!({"dev": dev, "ino": ino, "names": ["red"], "mounts": [], "processes": 0, "pids": []});
    assert_eq!(Value::Object(shown.clone()), expected);
}

#[test]
fn lines_for_people_are_aligned() {
    sandbox();
    let blue = Blue::new();
    let Blue { process, dev, ino, cookie } = &blue;
    let mut shown = lines(ends(["show", "blue"]));
    shown.retain(|line| !line.starts_with("stamp  "));
    let mut expected = vec![format!("namespace  net:[{ino}]"), format!("device     {dev}")];
    expected.extend((*cookie != 0).then(|| format!("cookie     {cookie}")));
    expected.extend(["nsid       7", "name       alias", "name       blue"].map(String::from));
    expected.extend(["mount      /run/elsewhere", "processes  1"].map(String::from));
    expected.extend([format!("first pid  {}", process.pid()), "command    cat".into()]);
    assert_eq!(shown, expected);
    if *cookie != 0 {
        expected.push("alive      yes".into());
        assert_eq!(lines(ends(["show", &format!("cookie:{cookie}")])), expected);
    }
    ip_netns(&["add", "red"]);
    assert!(lines(ends(["show", "red"])).contains(&"nsid       not assigned".into()));
}

#[test]
fn several_processes_are_counted_and_the_first_is_named() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let start = || {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "blue", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut children = [start(), start()];
    let pids: Vec<u32> = children.iter().map(|child| child.id()).collect();
    let end = std::time::Instant::now() + DEADLINE;
    let shown = loop {
        let shown = show("blue");
        if shown["processes"] == 2 && shown["command"] == "cat" {
            break shown;
        }
        assert!(std::time::Instant::now() < end, "{shown}");
    };
    let mut sorted = pids.clone();
    sorted.sort_unstable();
    assert_eq!((&shown["pids"], &shown["pid"]), (&json!(sorted), &json!(sorted[0])));
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(show("blue")["pids"], json!([]));
}

#[test]
fn errors_name_the_search() {
    sandbox();
    std::fs::write("/run/file", "").unwrap();
    assert_fails(ends(["show", "blue"]), &["/run/netns/blue", "does not exist"]);
    assert_fails(ends(["show", "/run/missing"]), &["/run/missing", "does not exist"]);
    assert_fails(ends(["show", "/run/file"]), &["/run/file", "no namespace is mounted"]);
    assert_fails(ends(["show", "/proc/self/ns/uts"]), &["/proc/self/ns/uts", "another kind"]);
    assert_fails(ends(["show", ""]), &["must not be empty"]);
    assert_fails(ends(["show", "../x"]), &["../x", ".."]);
    assert_fails(ends(["show", "pid:2147483647"]), &["process 2147483647", "no such process"]);
    assert_fails(ends(["show", "nsid:9"]), &["nsid 9", "no network namespace has this nsid here"]);
    assert_fails(ends(["show", "ino:9"]), &["inode number 9", "no mount, process or descriptor", "CAP_SYS_PTRACE"]);
    assert_fails(ends(["show", "/run/file/\x1b[2J\n"]), &["\\u{1b}[2J\\n"]);
}

#[test]
fn the_cookie_of_a_dead_one() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let cookie = kernel::netns("/run/netns/blue").unwrap().2;
    ip_netns(&["del", "blue"]);
    let what = format!("cookie:{}", cookie.max(1));
    if cookie == 0 {
        return assert_fails(ends(["show", &what]), &["cookies require Linux 6.18"]);
    }
    match ends(["show", &what, "--json"]) {
        // Linux 6.19 opens by cookie alone, so the answer is certain
        (Some(0), out, _) => {
            assert_eq!(out, [format!("{{\"cookie\":{cookie},\"alive\":false}}")]);
            let expected = [format!("cookie     {cookie}"), "alive      no".into()];
            assert_eq!(lines(ends(["show", &what])), expected);
        }
        failed => assert_fails(failed, &[&format!("the cookie {cookie}"), "it is dead, or", "CAP_SYS_ADMIN"]),
    }
}

#[test]
fn a_namespace_kept_by_a_descriptor_is_not_called_dead() {
    sandbox();
    let namespace = anonymous();
    let what = match kernel::netns(format!("/proc/self/fd/{}", namespace.as_raw_fd())).unwrap() {
        (_, _, 0) => return assert_fails(ends(["show", "cookie:1"]), &["cookies require Linux 6.18"]),
        (_, _, cookie) => format!("cookie:{cookie}"),
    };
    match ends(["show", &what, "--json"]) {
        // Linux 6.19 lists it
        (Some(0), out, _) => assert!(out[0].contains("\"alive\":true"), "{out:?}"),
        failed => assert_fails(failed, &["it is dead, or no mount, process or descriptor", "CAP_SYS_ADMIN"]),
    }
}

#[test]
fn a_name_that_looks_like_something_else_is_given_as_a_path() {
    sandbox();
    make_dir(RUN_NETNS);
    for name in ["pid:1", "ino:x", "what:1"] {
        let path = format!("{RUN_NETNS}/{name}");
        placeholder(&path);
        mount_new_netns(&path);
        let shown = show(&path);
        assert_eq!(shown["ino"].as_u64(), kernel::netns(&path).map(|(_, ino, _)| ino));
        assert_eq!(shown["names"], json!([name]));
    }
    // an unknown prefix: a name
    assert_eq!(show("what:1")["names"], json!(["what:1"]));
    // a path, because of its /
    placeholder(make_dir("/run/ino:1").join("x"));
    mount_new_netns("/run/ino:1/x");
    let mut command = nswatch(["show", "--json", "ino:1/x"]);
    command.current_dir("/run");
    assert_eq!(object(Running::start(command).end())["mounts"], json!(["/run/ino:1/x"]));
    let wrong = ["pid:", "pid:x", "pid:0", "pid:-1", "pid:2147483648", "nsid:-1", "nsid:2147483648"];
    for what in wrong.into_iter().chain(["cookie:0", "cookie:18446744073709551616", "ino:x", "ino:0"]) {
        let (code, out, err) = ends(["show", what]);
        assert_eq!((code, out.len()), (Some(2), 0), "{what}: {err:#?}");
        assert!(err[0].contains(" from ") && err[0].contains(":N is a"), "{what}: {err:#?}");
    }
    for arguments in [&["show"][..], &["show", "a", "b"]] {
        assert_eq!(ends(arguments.iter().copied()).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn where_proc_numbers_processes_differently_nothing_is_guessed() {
    sandbox();
    let blue = Blue::new();
    let ways = ["pid:1".into(), "nsid:7".into(), format!("ino:{}", blue.ino), format!("cookie:{}", blue.cookie.max(1))];
    for what in ways.into_iter().chain(["blue".into(), "/run/elsewhere".into()]) {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", env!("CARGO_BIN_EXE_nswatch"), "show", &what]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        assert_fails(Running::start(command).end(), &["/proc is not mounted, or belongs to another pid namespace"]);
    }
}

#[test]
fn other_users_see_less() {
    if !is_real_root() {
        return skipped("requires root, to become another user");
    }
    sandbox();
    let blue = Blue::new();
    let nobody = |what: &str| Running::start(nswatch_of_nobody(&["show", "--json", what])).end();
    // a name shows its namespace; the processes of other users are hidden
    let mut shown = object(nobody("blue"));
    shown.as_object_mut().unwrap().remove("stamp");
    let mut expected = blue.known();
    for member in ["pid", "command"] {
        expected.as_object_mut().unwrap().remove(member);
    }
    (expected["processes"], expected["pids"]) = (0.into(), json!([]));
    assert_eq!(shown, expected);
    assert_fails(nobody(&format!("pid:{}", blue.process.pid())), &["no ptrace access", "CAP_SYS_PTRACE"]);
    let hidden = Sleeper::new();
    let (_, ino, cookie) = kernel::netns(hidden.namespace("net")).unwrap();
    assert_eq!(show(format!("ino:{ino}"))["pid"], hidden.pid());
    assert_fails(nobody(&format!("ino:{ino}")), &["no mount, process or descriptor here", "CAP_SYS_PTRACE"]);
    if cookie != 0 {
        assert_fails(nobody(&format!("cookie:{cookie}")), &["no mount, process or descriptor here", "CAP_SYS_PTRACE"]);
    }
}

fn is_harmless(line: &str) -> bool {
    !line.chars().any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c))
}

/// The bytes of a list in JSON, as a program decodes them.
fn bytes(json: &Value, key: &str) -> Vec<Vec<u8>> {
    let list = |key: &str| json.get(key).map(|list| list.as_array().unwrap().clone());
    let hex = list(&format!("{key}_hex"));
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let digits = |value: &Value| {
        let digits = value.as_str().unwrap();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    hex.map_or_else(|| list(key).unwrap().iter().map(text).collect(), |hex| hex.iter().map(digits).collect())
}

#[test]
fn hostile_names_and_mounts() {
    sandbox();
    make_hostile();
    make_dir("/run/d");
    make_dir("/run/e");
    for name in HOSTILE {
        let path = |dir: &str| PathBuf::from(dir).join(OsStr::from_bytes(name));
        for dir in ["/run/d", "/run/e"] {
            placeholder(path(dir));
            bind(path(RUN_NETNS), path(dir));
        }
        let (json, people) = (nswatch(["show", "--json"]), nswatch(["show"]));
        let [json, people] = [json, people].map(|mut command| {
            command.arg(path(RUN_NETNS));
            lines(Running::start(command).end())
        });
        assert!(json.iter().chain(&people).all(|line| is_harmless(line)), "{json:#?} {people:#?}");
        let parsed: Value = serde_json::from_str(&json[0]).unwrap();
        assert_eq!(bytes(&parsed, "names"), [name]);
        assert_eq!(bytes(&parsed, "mounts"), [b"/run/d/", b"/run/e/"].map(|dir| [dir, name].concat()));
        // a label and a value in each line, and one line for each fact
        assert!(
            people.iter().all(|line| line.replace("first pid", "pid").split_whitespace().count() == 2
                || line.ends_with("not assigned"))
        );
        assert_eq!(people.iter().filter(|line| line.starts_with("name  ")).count(), 1, "{people:#?}");
    }
}

#[test]
fn a_hostile_command() {
    sandbox();
    let name = b"\xff a\n\x1b[2J";
    let path = PathBuf::from("/run").join(OsStr::from_bytes(name));
    // a program that runs under any name
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_nswatch")).arg(&path).status().unwrap();
    assert!(copied.success());
    let mut command = Command::new(&path);
    command.arg("watch").stdout(Stdio::piped());
    // SAFETY: unshare may be called between fork and exec; the closure allocates nothing.
    unsafe {
        command.pre_exec(|| unshare(libc::CLONE_NEWNET));
    }
    let running = Running::start(command);
    let what = format!("pid:{}", running.child.id());
    let shown = show(&what);
    assert_eq!(shown["command_hex"], "ff20610a1b5b324a");
    let lines = lines(ends(["show", &what]));
    assert!(lines.iter().all(|line| is_harmless(line)), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), r"command    \xff\x20a\n\u{1b}[2J");
}
