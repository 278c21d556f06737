//! Nsids: queried, assigned and watched.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::endings::{assert_fails, nswatch_of_nobody};
use crate::running::{Running, ends, keys, name, nswatch};
use crate::support::nsid::{Raw, anonymous, inside, list_id};
use crate::support::*;
use crate::{HOSTILE, make_hostile};

fn name_with_id(name: &str, id: &str) {
    ip_netns(&["add", name]);
    ip_netns(&["set", name, id]);
}

fn open(name: impl AsRef<Path>) -> OwnedFd {
    File::open(Path::new(RUN_NETNS).join(name)).unwrap().into()
}

/// A veth pair with one end here: the kernel assigns an nsid to the namespace of the other.
fn connect(name: &str) {
    run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", name]);
}

fn watch(more: &[&str]) -> Running {
    Running::start(nswatch([&["watch", "--source", "nsid"], more].concat()))
}

/// The lines of a run that succeeded.
fn prints<const N: usize>(arguments: [&str; N]) -> Vec<String> {
    let (code, out, err) = ends(arguments);
    assert_eq!((code, err), (Some(0), vec![]), "{arguments:?}");
    out
}

fn objects(lines: Vec<String>) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ids_are_printed_with_their_names() {
    sandbox();
    name_with_id("blue", "5");
    let mut watch = watch(&["--json"]);
    let blue = watch.expect("nsid_new", Some("blue"));
    assert_eq!((&blue["nsid"], &blue["replayed"]), (&json!(5), &json!(true)));
    assert_eq!(keys(&blue), ["name", "nsid", "replayed", "time", "time_ns", "type"]);
    watch.expect("synced", None);

    // assigned by the kernel
    ip_netns(&["add", "red"]);
    connect("red");
    let red = watch.expect("nsid_new", Some("red"));
    assert_eq!((&red["nsid"], &red["replayed"]), (&json!(0), &json!(false)));
    assert_eq!(keys(&red), ["name", "nsid", "replayed", "time", "time_ns", "type"]);

    // assigned by a process
    ip_netns(&["add", "green"]);
    let raw = Raw::new();
    assert_eq!(raw.assign(&open("green"), i32::MAX), 0);
    let green = watch.expect("nsid_new", Some("green"));
    assert_eq!((&green["nsid"], &green["portid"]), (&json!(i32::MAX), &json!(raw.portid)));
    assert_eq!(keys(&green), ["name", "nsid", "portid", "replayed", "time", "time_ns", "type"]);

    // without a name
    let nameless = anonymous();
    assert_eq!(raw.assign(&nameless, 9), 0);
    assert_eq!(watch.expect("nsid_new", None)["nsid"], 9);
    drop(nameless);
    let gone = watch.expect("nsid_del", None);
    assert_eq!((&gone["nsid"], keys(&gone)), (&json!(9), vec!["nsid", "replayed", "time", "time_ns", "type"]));

    // nothing shows the name of a namespace that is gone
    ip_netns(&["del", "blue"]);
    assert_eq!(watch.expect("nsid_del", Some("blue"))["nsid"], 5);
    let next = anonymous();
    assert_eq!(raw.assign(&next, 5), 0);
    assert_eq!(watch.expect("nsid_new", None)["nsid"], 5);
    drop(next);
    watch.expect("nsid_del", None);
    assert_eq!(watch.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn one_namespace_with_two_names() {
    sandbox();
    name_with_id("m", "5");
    for (alias, name) in [("z", "m"), ("a", "a")] {
        placeholder(format!("{RUN_NETNS}/{alias}"));
        bind(format!("{RUN_NETNS}/m"), format!("{RUN_NETNS}/{alias}"));
        watch(&["--json"]).expect("nsid_new", Some(name));
    }
}

#[test]
fn no_replay_of_ids() {
    sandbox();
    name_with_id("blue", "5");
    ip_netns(&["add", "red"]);
    let mut watch = watch(&["--json", "--no-replay"]);
    watch.until_signals_are_caught();
    watch.counter_becomes("known", |n| n == 1);
    ip_netns(&["set", "red", "6"]);
    assert_eq!(watch.expect("nsid_new", Some("red"))["nsid"], 6);
}

#[test]
fn ids_of_peers_with_their_origin_and_without_a_name() {
    sandbox();
    name_with_id("peer", "3");
    // 8 is one namespace here, and another in the peer
    name_with_id("eight", "8");
    ip_netns(&["add", "other"]);
    let other = open("other");
    let mut watch = watch(&["--json", "--all-nsid"]);
    watch.until("synced");
    let portid = inside(&open("peer"), || {
        let raw = Raw::new();
        assert_eq!(raw.assign(&other, 8), 0);
        raw.portid
    });
    let printed = watch.expect("nsid_new", None);
    assert_eq!((&printed["nsid"], &printed["origin"], &printed["portid"]), (&json!(8), &json!(3), &json!(portid)));
    assert_eq!(keys(&printed), ["nsid", "origin", "portid", "replayed", "time", "time_ns", "type"]);
    drop(other);
    ip_netns(&["del", "other"]);
    let printed = watch.expect("nsid_del", None);
    assert_eq!((&printed["nsid"], &printed["origin"]), (&json!(8), &json!(3)));
    assert_eq!(keys(&printed), ["nsid", "origin", "replayed", "time", "time_ns", "type"]);
    ip_netns(&["del", "eight"]);
    assert_eq!(watch.expect("nsid_del", Some("eight"))["nsid"], 8);
}

#[test]
fn lines_of_ids_for_people() {
    sandbox();
    name_with_id("blue", "5");
    ip_netns(&["add", "other"]);
    let watch = watch(&["--all-nsid"]);
    assert_eq!(watch.out.next()[12..], *"  nsid_new     blue              nsid 5  replayed");
    assert_eq!(watch.out.next()[12..], *"  synced");
    let raw = Raw::new();
    let nameless = anonymous();
    assert_eq!(raw.assign(&nameless, 9), 0);
    let gap = " ".repeat(16);
    assert_eq!(watch.out.next()[12..], format!("  nsid_new     {gap}  nsid 9  by port {}", raw.portid));
    let portid = inside(&open("blue"), || {
        let raw = Raw::new();
        assert_eq!(raw.assign(&open("other"), 7), 0);
        raw.portid
    });
    let within = format!("  nsid_new     {gap}  nsid 7  in the namespace with nsid 5  by port {portid}");
    assert_eq!(watch.out.next()[12..], within);
    drop(nameless);
    assert_eq!(watch.out.next()[12..], format!("  nsid_del     {gap}  nsid 9"));
    ip_netns(&["del", "other"]);
    assert_eq!(watch.out.next()[12..], format!("  nsid_del     {gap}  nsid 7  in the namespace with nsid 5"));
    ip_netns(&["del", "blue"]);
    assert_eq!(watch.out.next()[12..], *"  nsid_del     blue              nsid 5");
}

#[test]
fn commands_for_ids() {
    sandbox();
    name_with_id("blue", "5");
    let script = "echo $NSWATCH_EVENT $NSWATCH_NSID ${NSWATCH_ORIGIN-none} ${NSWATCH_PORTID-none} \
                ${NSWATCH_NAME-none} ${NSWATCH_DIR-none} $NSWATCH_REPLAYED \"<$0>\"";
    let exec = |arguments: &[&str]| {
        let mut command =
            nswatch([&["exec", "--source", "nsid"], arguments, &["--", "sh", "-c", script, "{name}"]].concat());
        // set, as in a command of another exec
        command.envs([("NSWATCH_ORIGIN", "1"), ("NSWATCH_PORTID", "1"), ("NSWATCH_DIR", "/outer")]);
        Running::start(command)
    };
    let all = exec(&["--all-nsid", "--on", "nsid_new,nsid_del"]);
    let deaths = exec(&["--on", "nsid_del"]);
    assert_eq!(all.out.next(), "nsid_new 5 none none blue none 1 <blue>");
    deaths.until_signals_are_caught();
    deaths.counter_becomes("delivered", |n| n == 2);
    let nameless = anonymous();
    let raw = inside(&open("blue"), || {
        let raw = Raw::new();
        assert_eq!(raw.assign(&nameless, 6), 0);
        raw
    });
    assert_eq!(all.out.next(), format!("nsid_new 6 5 {} none none 0 <>", raw.portid));
    // a socket keeps its namespace alive
    drop(raw);
    drop(nameless);
    assert_eq!(all.out.next(), "nsid_del 6 5 none none none 0 <>");
    ip_netns(&["del", "blue"]);
    for running in [all, deaths] {
        assert_eq!(running.out.next(), "nsid_del 5 none none blue none 0 <blue>");
        let (code, out, _) = running.end_by(libc::SIGTERM);
        assert_eq!((code, out), (Some(0), vec![]));
    }
}

#[test]
fn all_answers_agree_with_ip() {
    sandbox();
    assert_eq!(prints(["id", "--list"]), [""; 0]);
    name_with_id("blue", "5");
    name_with_id("max", "2147483647");
    ip_netns(&["add", "red"]);
    connect("red");
    ip_netns(&["add", "none"]);
    let process = Sleeper::new();
    let namespace: OwnedFd = File::open(process.namespace("net")).unwrap().into();
    assert_eq!(prints(["id", "--pid", &process.pid().to_string()]), [format!("{} not assigned", process.pid())]);
    assert_eq!(Raw::new().assign(&namespace, 9), 0);

    assert_eq!(prints(["id", "--name", "blue"]), ["blue 5"]);
    assert_eq!(prints(["id", "--name", "/run/netns/red"]), ["/run/netns/red 0"]);
    assert_eq!(prints(["id", "--name", "none"]), ["none not assigned"]);
    assert_eq!(prints(["id", "--name", "none", "--json"]), [r#"{"name":"none","nsid":-1}"#]);
    assert_eq!(prints(["id", "--list"]), ["0 red", "5 blue", "9", "2147483647 max"]);

    let pid = process.pid().to_string();
    assert_eq!(prints(["id", "--pid", &pid]), [format!("{pid} 9")]);
    assert_eq!(objects(prints(["id", "--pid", &pid, "--json"])), [json!({"pid": process.pid(), "nsid": 9})]);
    ip_netns(&["attach", "attached", &pid]);
    assert_eq!(prints(["id", "--pid", &pid]), [format!("{pid} 9 attached")]);

    // `nsid 5 (iproute2 netns name: blue)`
    let ip = run("ip", &["netns", "list-id"]);
    let ip: BTreeMap<i64, &str> = ip
        .lines()
        .map(|line| {
            let (nsid, name) = line.strip_prefix("nsid ").unwrap().split_once(' ').unwrap();
            (nsid.parse().unwrap(), name.rsplit(' ').next().unwrap().trim_end_matches(')'))
        })
        .collect();
    let listed = objects(prints(["id", "--list", "--json"]));
    let listed: BTreeMap<i64, &str> =
        listed.iter().map(|json| (json["nsid"].as_i64().unwrap(), json["name"].as_str().unwrap())).collect();
    assert_eq!(listed, ip);
    assert_eq!(listed.len(), 4);
}

#[test]
fn an_id_is_assigned() {
    sandbox();
    for name in ["a", "b", "c", "d"] {
        ip_netns(&["add", name]);
    }
    assert_eq!(prints(["id", "--assign", "a"]), ["a 0"]);
    assert_eq!(prints(["id", "--assign", "/run/netns/b", "--want", "7"]), ["/run/netns/b 7"]);
    let [c] = &objects(prints(["id", "--assign", "c", "--json"]))[..] else { panic!("one line") };
    assert_eq!(c, &json!({"name": "c", "nsid": 1}));
    assert_eq!(list_id(), [0, 1, 7]);
    // an nsid that is assigned already
    assert_fails(ends(["id", "--assign", "a"]), &["already assigned", "the namespace has an nsid"]);
    assert_fails(ends(["id", "--assign", "d", "--want", "7"]), &["already assigned", "another namespace"]);
    assert_eq!(list_id(), [0, 1, 7]);
    assert_eq!(prints(["id", "--assign", "d", "--want", "2147483647"]), ["d 2147483647"]);
}

#[test]
fn errors_of_ids_are_helpful() {
    sandbox();
    name_with_id("blue", "5");
    run("mkfifo", &["/run/netns/fifo"]);
    placeholder("/run/netns/file");
    for question in ["--name", "--assign"] {
        assert_fails(ends(["id", question, "missing"]), &["missing", "no such"]);
        assert_fails(ends(["id", question, ""]), &["must not be empty"]);
        assert_fails(ends(["id", question, "../netns/blue"]), &["../netns/blue", ".. as a component"]);
        assert_fails(ends(["id", question, "/proc/self/ns/user"]), &["/proc/self/ns/user", "not a network namespace"]);
        assert_fails(ends(["id", question, "file"]), &["file", "not a network namespace"]);
        // without waiting for it
        assert_fails(ends(["id", question, "fifo"]), &["fifo", "not a network namespace"]);
        assert_fails(ends(["id", question, "a\nb"]), &["a\\nb", "no such"]);
    }
    assert_fails(ends(["id", "--pid", "2147483647"]), &["no such process"]);
    // and they do not hide others
    assert_eq!(prints(["id", "--list"]), ["5 blue"]);
}

#[test]
fn without_the_capability_for_all_ids() {
    sandbox();
    name_with_id("blue", "5");
    let watch = |option: Option<&str>| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-net_broadcast", "--inh-caps=-net_broadcast", env!("CARGO_BIN_EXE_nswatch")]);
        command.args(["watch", "--json", "--source", "nsid"]).args(option);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(command)
    };
    assert_fails(watch(Some("--all-nsid")).end(), &["not permitted", "CAP_NET_BROADCAST"]);
    watch(None).expect("nsid_new", Some("blue"));
}

#[test]
fn an_ordinary_user_may_watch_and_query() {
    if !is_real_root() {
        return skipped("requires root, to become another user");
    }
    sandbox();
    name_with_id("blue", "5");
    ip_netns(&["add", "red"]);
    assert_fails(
        Running::start(nswatch_of_nobody(&["id", "--assign", "red"])).end(),
        &["not permitted", "CAP_NET_ADMIN"],
    );
    assert_eq!(list_id(), [5]);
    for (question, answer) in [(&["id", "--list"][..], "5 blue"), (&["id", "--name", "red"], "red not assigned")] {
        let (code, out, err) = Running::start(nswatch_of_nobody(question)).end();
        assert_eq!((code, out, err), (Some(0), vec![answer.to_owned()], vec![]));
    }
    let mut watch = Running::start(nswatch_of_nobody(&["watch", "--source", "nsid", "--json"]));
    watch.expect("nsid_new", Some("blue"));
}

#[test]
fn hostile_names_beside_ids() {
    sandbox();
    make_hostile();
    for (id, name) in HOSTILE.iter().enumerate() {
        assert_eq!(Raw::new().assign(&open(OsStr::from_bytes(name)), id as i32), 0);
    }
    let listed = objects(prints(["id", "--list", "--json"]));
    let mut watch_json = watch(&["--json"]);
    let printed = watch_json.until("synced");
    for objects in [&listed[..], &printed[..HOSTILE.len()]] {
        let mut names: Vec<_> =
            objects.iter().map(|json| (json["nsid"].as_u64().unwrap(), name(json).unwrap())).collect();
        names.sort();
        let made: Vec<_> = HOSTILE.iter().enumerate().map(|(id, name)| (id as u64, name.to_vec())).collect();
        assert_eq!(names, made);
    }
    let lines = prints(["id", "--list"]);
    assert_eq!(lines.len(), HOSTILE.len());
    let watch = watch(&[]);
    for line in &lines {
        let printed = watch.out.next();
        for line in [line, &printed] {
            assert!(!line.chars().any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{line:?}");
        }
        // no name adds a column: id, name; time, type, name, "nsid" and the id, "replayed"
        assert_eq!((line.split(' ').count(), printed.split_whitespace().count()), (2, 6), "{line:?} {printed:?}");
    }
}
