//! `nswatch exec`: a command for each event.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use crate::running::{Running, nswatch};
use crate::support::*;

fn exec(on: &str, command: &[&str]) -> Running {
    Running::start(nswatch([&["exec", "--on", on, "--dir", "/run/netns", "--"], command].concat()))
}

const TELL: &str = r#"echo "$NSWATCH_EVENT $NSWATCH_DIR $NSWATCH_NAME $NSWATCH_INO $NSWATCH_REPLAYED $1""#;

#[test]
fn a_command_for_each_event_in_order() {
    sandbox();
    ip_netns(&["add", "old"]);
    let running = exec("ready,deleted", &["sh", "-c", TELL, "sh", "<{name}>"]);
    let ino = |name: &str| kernel::netns(format!("/run/netns/{name}")).unwrap().1;
    assert_eq!(running.out.next(), format!("ready /run/netns old {} 1 <old>", ino("old")));
    ip_netns(&["add", "blue"]);
    assert_eq!(running.out.next(), format!("ready /run/netns blue {} 0 <blue>", ino("blue")));
    ip_netns(&["del", "blue"]);
    assert_eq!(running.out.next(), "deleted /run/netns blue  0 <blue>");
    assert_eq!(running.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
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
fn commands_do_not_read_what_is_not_theirs() {
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
    // as in a command of another exec
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
        // hot: one after the other, while the command runs
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
