//! The options of `watch` that change which events it prints, and when.

use crate::endings::stalled;
use crate::running::{Running, ends, nswatch};
use crate::support::*;

fn watch(options: &[&str]) -> Running {
    let mut watch = Running::start(nswatch([&["watch", "--json"], options].concat()));
    watch.until("synced");
    watch
}

#[test]
fn mounts_are_reported_as_they_happen_unless_disabled() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let (mut plain, mut mounts) = (watch(&["--no-mount-events"]), watch(&["--mount-events"]));
    unmount("/run/netns/blue");
    mounts.expect("detached", Some("blue"));
    mount_new_netns("/run/netns/blue");
    let ready = mounts.expect("ready", Some("blue"));
    assert_eq!(ready["ino"].as_u64(), kernel::netns("/run/netns/blue").map(|(_, ino, _)| ino));
    placeholder("/run/netns/red");
    mounts.expect("created", Some("red"));
    plain.expect("created", Some("red"));
}

#[test]
fn names_settle_before_they_are_printed() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut watch = watch(&["--settle", "300"]);
    let before = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    placeholder("/run/netns/x");
    let printed = watch.expect("created", Some("x"))["time_ns"].as_i64().unwrap();
    assert!(printed >= before.tv_sec * 1_000_000_000 + before.tv_nsec + 300_000_000, "{before:?} {printed}");
}

#[test]
fn a_name_that_comes_and_goes_while_it_settles_is_never_printed() {
    sandbox();
    make_dir(RUN_NETNS);
    let hour = watch(&["--settle", "3600000"]);
    let mut plain = watch(&["--settle", "0"]);
    placeholder("/run/netns/brief");
    std::fs::remove_file("/run/netns/brief").unwrap();
    // the command prints events from before the signal, if at all
    assert_eq!(hour.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
    plain.expect("created", Some("brief"));
    plain.expect("deleted", Some("brief"));
}

#[test]
fn more_names_than_the_limit_are_an_error() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/a");
    placeholder("/run/netns/b");
    let complaint = "nswatch: cannot watch all names in /run/netns: more names or namespaces than the watcher may keep";
    for command in [&["watch"][..], &["list"], &["exec", "--on", "ready", "--", "true"]] {
        let arguments = [&command[..1], &["--max-names", "1"], &command[1..]].concat();
        let (code, _, errors) = ends(arguments);
        assert_eq!((code, errors.len()), (Some(1), 1), "{command:?}");
        assert!(errors[0].starts_with(complaint), "{errors:?}");
    }
    let mut watch = watch(&["--max-names", "2"]);
    placeholder("/run/netns/c");
    placeholder("/run/netns/d");
    std::fs::remove_file("/run/netns/a").unwrap();
    watch.expect("deleted", Some("a"));
    let follows = watch.until("created").pop().unwrap();
    assert!(["c", "d"].contains(&follows["name"].as_str().unwrap()), "{follows}");
    let (code, _, errors) = watch.end_by(libc::SIGTERM);
    assert!(
        code == Some(0) && !errors.is_empty() && errors.iter().all(|line| line.starts_with(complaint)),
        "{errors:?}"
    );
}

#[test]
fn links_are_not_followed_unless_root_owns_them_and_they_are_on_the_way() {
    sandbox();
    make_dir("/run/real");
    symlink("real", "/run/netns");
    symlink("/proc/self/ns/net", "/run/real/own");
    placeholder("/run/real/blue");
    mount_new_netns("/run/real/blue");
    placeholder("/run/real/half");
    let list = |dir: &str| {
        let (code, lines, errors) = ends(["list", "--json", "--no-symlinks", "--dir", dir]);
        let field = |line: &str, key: &str| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            json.get(key).and_then(|value| value.as_str().map(str::to_owned))
        };
        let reasons: Vec<_> = lines.iter().map(|line| (field(line, "name"), field(line, "reason"))).collect();
        (code, reasons, errors)
    };
    let some = |text: &str| Some(text.to_owned());
    let reasons = vec![(some("blue"), None), (some("half"), some("not_mounted")), (some("own"), some("symlink"))];
    assert_eq!(list("/run/netns"), (Some(0), reasons, vec![]));
    let mut watch = watch(&["--no-symlinks"]);
    let mut exec =
        nswatch(["exec", "--no-symlinks", "--on", "ready", "--", "sh", "-c", "ls {fd} && echo $NSWATCH_NAME"]);
    exec.stdout(std::process::Stdio::piped());
    let exec = Running::start(exec);
    let ran_for = |name: &str| {
        assert!(exec.out.next().starts_with("/proc/self/fd/"));
        assert_eq!(exec.out.next(), name);
    };
    ran_for("blue");
    symlink("blue", "/run/real/alias");
    watch.expect("created", Some("alias"));
    mount_new_netns("/run/real/half");
    watch.expect("ready", Some("half"));
    ran_for("half");
    exec.end_by(libc::SIGTERM);

    if std::os::unix::fs::lchown("/run/netns", Some(1234), None).is_err() {
        return skipped("requires root, to make links of other users");
    }
    let (code, _, errors) = list("/run/netns");
    assert_eq!((code, errors.len()), (Some(1), 1));
    assert!(errors[0].contains("symbolic link"), "{errors:?}");
    // the owner here has no number there, and a user without a number here is root there
    let there = |user: &str, dir: &str| {
        let arguments = ["--reuid", user, "--clear-groups", "--regid", "0", "unshare", "--user", "--map-root-user"];
        let command = [env!("CARGO_BIN_EXE_nswatch"), "list", "--no-symlinks", "--dir", dir];
        let output = std::process::Command::new("setpriv").args(arguments).args(command).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(there("1234", "/run/netns"), (Some(0), String::new()));
    for (user, owner) in [("0", 1234), ("1234", 0), ("1234", 1235)] {
        std::os::unix::fs::lchown("/run/netns", Some(owner), None).unwrap();
        let (code, errors) = there(user, "/run/netns");
        assert!(code == Some(1) && errors.contains("symbolic link"), "{user} {owner}: {errors}");
    }
}

const NAMES: u64 = 500;

/// Makes names while nobody reads the output, until the command waits for a reader, with one name in hand.
fn unread(queue: &str) -> (Running, std::fs::File) {
    sandbox();
    make_dir(RUN_NETNS);
    let (watch, reader) = stalled(nswatch(["watch", "--json", "--queue", queue]));
    watch.until_signals_are_caught();
    placeholder("/run/netns/first");
    // with the first line the pipe is as full as poll(2) allows
    watch.counter_becomes("delivered", |n| n == 2);
    for n in 0..NAMES {
        placeholder(format!("{RUN_NETNS}/{n}"));
    }
    (watch, reader)
}

#[test]
fn a_full_queue_drops_by_its_policy() {
    for (policy, kept) in [("drop-newest", 10), ("drop-oldest", 0)] {
        let (watch, reader) = unread(&format!("10,{policy}"));
        // it reads ahead of its output; when it knows one name more, it has handled all before that
        watch.counter_becomes("known", |n| n == 1 + NAMES);
        placeholder("/run/netns/last");
        watch.counter_becomes("known", |n| n == 2 + NAMES);
        let mut watch = watch.reading(reader);
        watch.expect("synced", None);
        watch.expect("created", Some("first"));
        let printed = watch.until("overflow");
        assert_eq!(printed.len() - 1, kept, "{policy}");
        let dropped = printed[kept]["dropped"].as_u64().unwrap();
        assert!((0..=1).contains(&(kept as u64 + dropped - NAMES)), "{policy}: {dropped}");
        let rest = watch.until("synced");
        assert_eq!(rest.len() as u64 - 1, dropped, "{policy}");
        assert!(rest[..rest.len() - 1].iter().all(|json| json["replayed"] == true), "{policy}");
        if watch.names() == 1 + NAMES as usize {
            watch.expect("created", Some("last"));
        }
    }
}

#[test]
fn a_queue_that_blocks_loses_nothing() {
    for queue in ["10", "10,block"] {
        let (watch, reader) = unread(queue);
        watch.counter_becomes("queued", |n| n == 10);
        let mut watch = watch.reading(reader);
        watch.expect("synced", None);
        watch.expect("created", Some("first"));
        for n in 0..NAMES {
            assert_eq!(watch.expect("created", Some(&n.to_string()))["replayed"], false);
        }
        let (code, out, _) = watch.end_by(libc::SIGTERM);
        assert_eq!((code, out), (Some(0), vec![]));
    }
}

#[test]
fn ids_through_a_queue() {
    sandbox();
    let mut watch = watch(&["--source", "nsid", "--queue", "100,drop-oldest"]);
    for n in 0..20 {
        let name = format!("n{n}");
        ip_netns(&["add", &name]);
        ip_netns(&["set", &name, &n.to_string()]);
        assert_eq!(watch.expect("nsid_new", Some(&name))["nsid"], n);
    }
}
