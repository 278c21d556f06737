//! `nswatch exec`: a command for each event.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::running::{Running, nswatch};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;

fn exec(on: &str, command: &[&str]) -> Running {
    Running::start(nswatch([&["exec", "--on", on, "--dir", "/run/netns", "--"], command].concat()))
}

const REPORT: &str = r#"echo "$NSWATCH_EVENT $NSWATCH_DIR $NSWATCH_NAME $NSWATCH_INO $NSWATCH_REPLAYED $1""#;

#[test]
fn a_command_for_each_event_in_order() {
    sandbox();
    ip_netns(&["add", "old"]);
    let running = exec("ready,deleted", &["sh", "-c", REPORT, "sh", "<{name}>"]);
    let ino = |name: &str| kernel::netns(format!("/run/netns/{name}")).unwrap().1;
    assert_eq!(running.out.next(), format!("ready /run/netns old {} 1 <old>", ino("old")));
    ip_netns(&["add", "blue"]);
    assert_eq!(running.out.next(), format!("ready /run/netns blue {} 0 <blue>", ino("blue")));
    ip_netns(&["del", "blue"]);
    assert_eq!(running.out.next(), "deleted /run/netns blue  0 <blue>");
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn the_announcing_event_is_the_default() {
    sandbox();
    ip_netns(&["add", "blue"]);
    ip_netns(&["set", "blue", "5"]);
    let script = r#"echo "$NSWATCH_EVENT <$1> <$2>""#;
    let exec = |source: &str| {
        let words = ["exec", "--source", source, "--", "sh", "-c", script, "sh", "{path}", "{pid}"];
        Running::start(nswatch(words)).out.next()
    };
    assert_eq!([exec("named"), exec("nsid")], ["ready </run/netns/blue> <>", "nsid_new <> <>"]);
}

#[test]
fn the_namespace_can_be_used_by_the_command() {
    sandbox();
    let running = exec("ready", &["ip", "-n", "{name}", "-o", "link", "show", "lo"]);
    for n in 0..10 {
        ip_netns(&["add", &format!("n{n}")]);
        assert!(running.out.next().contains(": lo: "));
    }
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn names_are_bytes_and_no_shell_sees_them() {
    sandbox();
    make_dir("/run/netns");
    let name = b"$(echo \xff);{name} `x`";
    placeholder(std::path::Path::new(RUN_NETNS).join(OsStr::from_bytes(name)));
    let running = exec("created", &["/usr/bin/printf", "%s|%s\n", "{name}{name}", "{nam}"]);
    assert_eq!(running.out.bytes(), [name, name, &b"|{nam}"[..]].concat());
    let running = exec("created", &["sh", "-c", "printf '%s\\n' \"$NSWATCH_NAME\""]);
    assert_eq!(running.out.bytes(), name);
}

#[test]
fn commands_do_not_read_standard_input() {
    sandbox();
    let mut command = nswatch(["exec", "--on", "synced", "--", "sh", "-c", "cat; echo end"]);
    // a pipe that never ends
    command.stdin(Stdio::piped());
    assert_eq!(Running::start(command).out.next(), "end");
}

#[test]
fn events_without_a_name() {
    sandbox();
    let mut command = nswatch(["exec", "--on", "dir_created,synced", "--dir", "/run/d", "--", "sh", "-c"]);
    command
        .arg(r#"echo "$NSWATCH_EVENT ${NSWATCH_NAME-none} ${NSWATCH_INO-none} ${NSWATCH_OWN-none} <$0>""#)
        .arg("{name}");
    // set, as in a command of another exec
    command.envs([("NSWATCH_NAME", "outer"), ("NSWATCH_INO", "1"), ("NSWATCH_OWN", "kept")]);
    let running = Running::start(command);
    assert_eq!(running.out.next(), "synced none none kept <>");
    make_dir("/run/d");
    assert_eq!(running.out.next(), "dir_created none none kept <>");
}

#[test]
fn failures_are_reported_and_the_next_event_has_its_turn() {
    sandbox();
    let running = exec("ready,deleted", &["sh", "-c", "case $NSWATCH_EVENT in ready) exit 3;; *) kill -9 $$;; esac"]);
    ip_netns(&["add", "blue"]);
    assert_eq!(running.err.next(), "nswatch: sh for ready blue: exit status: 3");
    ip_netns(&["del", "blue"]);
    assert_eq!(running.err.next(), "nswatch: sh for deleted blue: signal: 9 (SIGKILL)");
    let running = exec("created", &["/run/netns/{name}"]);
    for name in ["a\nb", "c"] {
        placeholder(std::path::Path::new(RUN_NETNS).join(name));
        let report = running.err.next();
        let name = name.escape_debug();
        assert_eq!(
            report,
            format!("nswatch: /run/netns/{name} for created {name}: cannot be run: Permission denied (os error 13)")
        );
    }
    assert_eq!(running.end_by(libc::SIGINT), (Some(0), vec![], vec![]));
}

#[test]
fn a_signal_waits_for_the_command_and_begins_no_other() {
    sandbox();
    make_dir("/run/netns");
    for name in ["a", "b"] {
        placeholder(std::path::Path::new(RUN_NETNS).join(name));
    }
    run("mkfifo", &["/run/go"]);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut running = exec("created", &["sh", "-c", "echo begun; read go < /run/go; echo ended; exit 5"]);
        assert_eq!(running.out.next(), "begun");
        // one after the other, while the command runs
        for _ in 0..1000 {
            running.signal(libc::SIGUSR1);
        }
        running.signal(signal);
        assert_eq!(running.child.try_wait().unwrap(), None);
        drop(OpenOptions::new().write(true).open("/run/go").unwrap());
        let (code, out, err) = running.end();
        assert_eq!((code, out), (Some(0), vec!["ended".into()]));
        assert!(err[0].ends_with(": exit status: 5"), "{err:?}");
        assert!(err.len() == 2 && err[1].contains("delivered="), "{err:?}");
    }
}

/// Starts the command with signals ignored or blocked.
fn exec_with(ignored: &'static [i32], blocked: &'static [i32], mut command: std::process::Command) -> Running {
    let set_up = move || {
        // SAFETY: both structures are ours; signal dispositions and masks may be changed between fork and exec.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for &signal in blocked {
                libc::sigaddset(&mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            for &signal in ignored {
                libc::signal(signal, libc::SIG_IGN);
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes only these system calls.
    unsafe {
        command.pre_exec(set_up);
    }
    Running::start(command)
}

/// Prints the signals that are blocked and ignored in it. Not by a shell: some unblock all.
const SIGNALS: [&str; 4] = ["--", "grep", "^Sig[BI]", "/proc/self/status"];

/// The printed signals, up to 31.
fn blocked_and_ignored(running: &Running) -> [u64; 2] {
    let set = |label: &str| u64::from_str_radix(running.out.next().strip_prefix(label).unwrap(), 16).unwrap();
    ["SigBlk:\t", "SigIgn:\t"].map(|label| set(label) & 0x7fff_ffff)
}

#[test]
fn exit_statuses_under_an_ignored_sigchld() {
    sandbox();
    let fails = nswatch(["exec", "--on", "ready", "--", "sh", "-c", "echo ran; exit 3"]);
    let running = exec_with(&[libc::SIGCHLD], &[], fails);
    ip_netns(&["add", "blue"]);
    assert_eq!(running.out.next(), "ran");
    assert_eq!(running.err.next(), "nswatch: sh for ready blue: exit status: 3");
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
    let succeeds = nswatch([&["exec", "--on", "ready"], &SIGNALS[..]].concat());
    let running = exec_with(&[libc::SIGCHLD], &[], succeeds);
    // the command, too, can wait for its children
    assert_eq!(blocked_and_ignored(&running), [0, 0]);
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn signals_that_were_blocked_end_it() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/x");
    const BLOCKED: &[i32] = &[libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGCHLD, libc::SIGUSR2];
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut running = exec_with(&[], BLOCKED, nswatch(["watch", "--json"]));
        running.until("synced");
        running.counter_becomes("delivered", |n| n == 2);
        assert_eq!(running.end_by(signal), (Some(0), vec![], vec![]));

        let command = nswatch([&["exec", "--on", "created", "--timeout", "60"], &SIGNALS[..]].concat());
        let running = exec_with(&[], BLOCKED, command);
        let all = BLOCKED.iter().map(|signal| 1 << (signal - 1)).sum();
        assert_eq!(blocked_and_ignored(&running), [all, 0]);
        assert_eq!(running.end_by(signal), (Some(0), vec![], vec![]));
    }
}

#[test]
fn an_ignored_sigint_stays_ignored() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/x");
    const IGNORED: &[i32] = &[libc::SIGINT, libc::SIGTERM];
    let mut watch = exec_with(IGNORED, &[], nswatch(["watch", "--json"]));
    watch.until("synced");
    watch.signal(libc::SIGINT);
    placeholder("/run/netns/y");
    watch.expect("created", Some("y"));
    assert_eq!(watch.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));

    let command = nswatch([&["exec", "--on", "synced"], &SIGNALS[..]].concat());
    let exec = exec_with(IGNORED, &[], command);
    assert_eq!(blocked_and_ignored(&exec), [0, 1 << (libc::SIGINT - 1)]);
    assert_eq!(exec.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));

    let mut wait = exec_with(IGNORED, &[], nswatch(["wait", "blue"]));
    wait.until_caught(libc::SIGTERM);
    wait.signal(libc::SIGINT);
    ip_netns(&["add", "blue"]);
    assert_eq!(wait.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_command_that_cannot_be_waited_for_was_run() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/x");
    let forbidden = Restriction::none().failing(libc::SYS_wait4, libc::EPERM).failing(libc::SYS_waitid, libc::EPERM);
    let running = elsewhere(&forbidden, || exec("created", &["echo", "ran"]));
    assert_eq!(running.out.next(), "ran");
    let expected = "nswatch: echo for created x: cannot be waited for: Operation not permitted (os error 1)";
    assert_eq!(running.err.next(), expected);
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn the_descriptor_is_of_the_announced_namespace_even_if_the_name_changes() {
    sandbox();
    let deceive = "
        umount -l /run/netns/$NSWATCH_NAME && rm /run/netns/$NSWATCH_NAME && mkfifo /run/netns/$NSWATCH_NAME
        echo $1
        nsenter --net=$1 stat -Lc %i /proc/self/ns/net
        stat -Lc %i /proc/self/fd/$NSWATCH_FD
        echo $NSWATCH_COOKIE";
    let running = exec("ready", &["sh", "-c", deceive, "sh", "{fd}"]);
    for name in ["blue", "red"] {
        placeholder(make_dir(RUN_NETNS).join(name));
        // nothing but this name keeps the namespace
        mount_new_netns(format!("/run/netns/{name}"));
        let path = running.out.next();
        assert!(path.strip_prefix("/proc/self/fd/").is_some_and(|fd| fd.parse::<u8>().unwrap() > 2), "{path}");
        let ino = running.out.next();
        assert_ne!(ino, kernel::netns("/proc/self/ns/net").unwrap().1.to_string());
        assert_eq!(running.out.next(), ino);
        assert_eq!(running.out.next().is_empty(), kernel::netns("/proc/self/ns/net").unwrap().2 == 0);
    }
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn no_command_for_a_namespace_that_is_gone_or_replaced() {
    sandbox();
    ip_netns(&["add", "blue"]);
    ip_netns(&["add", "red"]);
    // the first command takes both names away, or changes both
    let running = exec("ready", &["sh", "-c", "echo $NSWATCH_NAME; ip netns del blue; ip netns del red", "{name}"]);
    let first = running.out.next();
    let other = if first == "blue" { "red" } else { "blue" };
    let line = running.err.next();
    let begin = format!(
        "nswatch: sh for ready {other}: not run: cannot open the network namespace /run/netns/{other}: no such file"
    );
    assert!(line.starts_with(&begin), "{line}");
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));

    ip_netns(&["add", "blue"]);
    ip_netns(&["add", "red"]);
    let swap = "echo $NSWATCH_NAME
        for name in blue red; do umount -l /run/netns/$name; mount --bind /proc/self/ns/net /run/netns/$name; done";
    let running = exec("ready", &["sh", "-c", swap, "{fd}"]);
    let first = running.out.next();
    let other = if first == "blue" { "red" } else { "blue" };
    let line = running.err.next();
    assert!(line.contains(&format!("{other}: not run: ")) && line.contains("another network namespace"), "{line}");
    let (code, _, _) = running.end_by(libc::SIGTERM);
    assert_eq!(code, Some(0));
}

#[test]
fn no_other_command_has_the_descriptor() {
    sandbox();
    let running =
        exec("ready,deleted", &["sh", "-c", "echo \"${NSWATCH_FD-none} <{fd}>\"; stat -Lc %i /proc/$$/fd/*; echo end"]);
    for _ in 0..2 {
        ip_netns(&["add", "blue"]);
        let (_, ino, _) = kernel::netns("/run/netns/blue").unwrap();
        let (line, files) = lines_to_end(&running);
        let number: u8 = line.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(line, format!("{number} </proc/self/fd/{number}>"));
        assert!(files.contains(&ino.to_string()), "{files:?}");
        ip_netns(&["del", "blue"]);
        let (line, files) = lines_to_end(&running);
        assert_eq!(line, "none <>");
        assert!(!files.contains(&ino.to_string()), "{files:?}");
    }
}

/// The first line, and the following ones up to a line `end`.
fn lines_to_end(running: &Running) -> (String, Vec<String>) {
    let first = running.out.next();
    let mut rest = vec![];
    loop {
        match running.out.next() {
            line if line == "end" => return (first, rest),
            line => rest.push(line),
        }
    }
}

#[test]
fn a_command_that_takes_too_long_is_ended() {
    sandbox();
    make_dir(RUN_NETNS);
    for name in ["x", "y"] {
        placeholder(format!("/run/netns/{name}"));
    }
    let exec = |seconds: &str, script: &str| {
        let options = ["exec", "--on", "created", "--timeout", seconds, "--", "sh", "-c", script];
        Running::start(nswatch(options))
    };
    // its child holds standard output open, and ends with it
    let running = exec("0.3", "sleep 1000 & wait");
    let mut lines = [running.err.next(), running.err.next()];
    lines.sort();
    let line = |name: &str| format!("nswatch: sh for created {name}: timed out: signal: 15 (SIGTERM)");
    assert_eq!(lines, ["x", "y"].map(line));
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
    std::fs::remove_file("/run/netns/y").unwrap();
    // time enough for a slow shell to set its trap
    let willing = exec("3", "trap 'exit 0' TERM; sleep 1000 & wait");
    let unwilling = exec("3", "trap '' TERM; sleep 1000");
    // a late success is still too late
    assert_eq!(willing.err.next(), "nswatch: sh for created x: timed out: exit status: 0");
    assert_eq!(willing.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
    assert_eq!(unwilling.err.next(), "nswatch: sh for created x: timed out: signal: 9 (SIGKILL)");
    assert_eq!(unwilling.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}

#[test]
fn a_command_in_time_is_not_ended() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/x");
    let run = |script: &str| nswatch(["exec", "--on", "created,synced", "--timeout", "60", "--", "sh", "-c", script]);
    let running = exec_with(&[libc::SIGCHLD], &[], run("echo $NSWATCH_EVENT; [ $NSWATCH_EVENT = synced ]"));
    assert_eq!(running.out.next(), "created");
    assert_eq!(running.err.next(), "nswatch: sh for created x: exit status: 1");
    assert_eq!(running.out.next(), "synced");
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
}
