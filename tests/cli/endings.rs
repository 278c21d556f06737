//! How the command ends: signals, readers that go or stall, errors, wrong usage.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::running::{End, Running, ends, nswatch};
use crate::support::*;

/// Asserts a failure with one line on standard error, with these parts, and none on standard output.
pub fn assert_fails((code, out, err): End, parts: &[&str]) {
    assert_eq!((code, out.len(), err.len()), (Some(1), 0, 1), "{err:#?}");
    assert!(err[0].starts_with("nswatch: cannot "), "{err:?}");
    for part in parts {
        assert!(err[0].contains(part), "no {part:?} in {err:?}");
    }
}

#[test]
fn each_error_is_one_line_that_helps() {
    sandbox();
    std::fs::write("/run/file", "").unwrap();
    make_dir("/run/loop");
    std::os::unix::fs::symlink("/run/loop/a", "/run/loop/a").unwrap();
    for subcommand in [&["watch"][..], &["list"], &["exec", "--on", "ready"]] {
        let on = |dir: &str| {
            let command: &[&str] = if subcommand[0] == "exec" { &["--", "true"] } else { &[] };
            ends([subcommand, &["--dir", dir], command].concat())
        };
        assert_fails(on("relative"), &["must be absolute", "relative"]);
        assert_fails(on("/dev/null"), &["/dev/null", "not a directory"]);
        assert_fails(on("/run/file/below"), &["/run/file", "not a directory"]);
        assert_fails(on("/run/loop/a"), &["/run/loop/a", "symbolic links"]);
        assert_fails(on(&format!("/run/{}", "x".repeat(256))), &["name too long"]);
        assert_fails(on("/run/file/\x1b[2J\nnswatch: all is well"), &["\\u{1b}[2J\\n"]);
    }
    assert_fails(ends(["list", "--dir", "/run/missing"]), &["/run/missing", "does not exist"]);
}

#[test]
fn a_directory_that_may_not_be_read() {
    if !is_real_root() {
        return skipped("requires root, to become another user");
    }
    sandbox();
    make_dir("/run/secret");
    std::fs::set_permissions("/run/secret", PermissionsExt::from_mode(0o700)).unwrap();
    let command = nswatch_of_nobody(&["watch", "--dir", "/run/secret"]);
    assert_fails(Running::start(command).end(), &["/run/secret", "permission denied", "searchable"]);
}

#[test]
fn no_inotify_instance_left() {
    sandbox();
    let mut command = Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_nswatch"), "watch"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_fails(Running::start(command).end(), &["raise fs.inotify.max_user_instances"]);
}

/// A name of 256 bytes.
const LONG: &str = match std::str::from_utf8(&[b'x'; 256]) {
    Ok(long) => long,
    Err(_) => "",
};

#[test]
fn wrong_usage() {
    let wrong: [&[&str]; 78] = [
        &[],
        &["wash"],
        &["watch", "--source", "magic"],
        &["watch", "--dir"],
        &["list", "blue"],
        &["exec", "--on", "ready"],
        &["list", "--all", "--dir", "/run/netns"],
        &["list", "--all", "--no-symlinks"],
        &["list", "--all", "--max-names", "9"],
        &["exec", "--on", "ready,never", "--", "true"],
        &["completions", "cmd.exe"],
        // an option that the source does not have
        &["watch", "--source", "nsid", "--dir", "/run/netns"],
        &["watch", "--source", "nsid", "--dir-events"],
        &["watch", "--source", "nsid", "--mount-events"],
        &["watch", "--source", "nsid", "--no-mount-events"],
        &["watch", "--mount-events", "--no-mount-events"],
        &["watch", "--source", "nsid", "--settle", "0"],
        &["watch", "--source", "nsid", "--no-symlinks"],
        &["watch", "--source", "nsid", "--max-names", "9"],
        &["watch", "--max-names", "0"],
        &["list", "--max-names", "4294967296"],
        &["watch", "--all-nsid"],
        &["watch", "--source", "all", "--dir", "/run/netns"],
        &["watch", "--source", "all", "--dir-events"],
        &["watch", "--source", "all", "--mount-events"],
        &["watch", "--source", "all", "--no-mount-events"],
        &["watch", "--source", "all", "--no-symlinks"],
        &["watch", "--source", "all", "--settle", "0"],
        &["watch", "--source", "all", "--all-nsid"],
        &["exec", "--source", "all", "--on", "netns_new,ready", "--", "true"],
        &["exec", "--source", "nsid", "--on", "netns_del", "--", "true"],
        &["exec", "--on", "netns_new", "--", "true"],
        &["exec", "--source", "nsid", "--settle", "0", "--on", "synced", "--", "true"],
        &["exec", "--source", "nsid", "--on", "nsid_new,ready", "--", "true"],
        &["exec", "--on", "synced,nsid_del", "--", "true"],
        // no event with a namespace
        &["exec", "--on", "created,deleted", "--", "nsenter", "--net={fd}", "true"],
        &["exec", "--source", "all", "--on", "netns_del", "--", "nsenter", "--net={fd}", "true"],
        &["exec", "--source", "nsid", "--", "nsenter", "--net={fd}", "true"],
        &["exec", "--on", "ready", "--timeout", "0", "--", "true"],
        &["exec", "--on", "ready", "--timeout", "-1", "--", "true"],
        &["exec", "--on", "ready", "--timeout", "NaN", "--", "true"],
        &["exec", "--on", "ready", "--timeout", "soon", "--", "true"],
        &["watch", "--queue", "0"],
        &["watch", "--queue", "1048577"],
        &["watch", "--queue", "9,drop"],
        &["watch", "--queue", "9,"],
        &["watch", "--queue", "block"],
        &["watch", "--settle", "-1"],
        &["watch", "--settle", "4294967296"],
        &["id"],
        &["id", "--json"],
        &["id", "--pid", "0"],
        &["id", "--pid", "-1"],
        &["id", "--pid", "2147483648"],
        &["id", "--pid", "1", "--name", "blue"],
        &["id", "--list", "--assign", "blue"],
        &["id", "--want", "1"],
        &["id", "--want", "1", "--list"],
        &["id", "--want", "-1", "--assign", "blue"],
        &["id", "blue"],
        &["watch", "--on", "netns_new"],
        &["watch", "--source", "nsid", "--on", "nsid_new,ready"],
        &["watch", "--source", "all", "--name", "*"],
        &["watch", "--name", "a\\"],
        &["watch", "--count", "0"],
        &["watch", "--timeout", "1s"],
        &["watch", "--timeout", "-1"],
        &["list", "--on", "ready"],
        &["wait"],
        &["wait", ""],
        &["wait", ".."],
        &["wait", "/run/netns/"],
        &["wait", "/run/netns/blue/."],
        &["wait", "--dir", "/run/netns", "/run/netns/blue"],
        &["wait", "--timeout", "-1", "blue"],
        &["wait", "--timeout", "1s", "blue"],
        &["wait", "red", "blue"],
        &["wait", LONG],
    ];
    for arguments in wrong {
        let (code, out, err) = ends(arguments);
        assert_eq!((code, out.len()), (Some(2), 0), "{arguments:?}: {err:#?}");
        assert!(
            err.iter().any(|line| line.contains("Usage: nswatch") || line.contains("try '--help'")),
            "{arguments:?}: {err:#?}"
        );
    }
}

#[test]
fn an_option_of_another_source_names_that_source() {
    let cases: [(&[&str], &str); 4] = [
        (&["watch", "--on", "netns_new"], "'--on netns_new' requires '--source all'"),
        (&["watch", "--source", "all", "--on", "ready"], "'--on ready' requires '--source named'"),
        (&["watch", "--all-nsid"], "'--all-nsid' requires '--source nsid'"),
        (
            &["watch", "--source", "nsid", "--max-names", "9"],
            "'--max-names' requires '--source named' or '--source all'",
        ),
    ];
    for (arguments, sentence) in cases {
        let (code, _, errors) = ends(arguments.iter().copied());
        assert_eq!(code, Some(2));
        assert_eq!(errors[0], format!("error: {sentence}"), "{arguments:?}");
    }
}

#[test]
fn a_wrong_number_gets_the_right_range() {
    const MS: &str = "MS is a number of milliseconds without a unit, from 0 to 4294967295";
    const EVENTS: &str = "N is a number of events, from 1 to 18446744073709551615";
    const NAMES: &str = "N is a number of names, from 1 to 4294967295";
    const QUEUE: &str = "N is a number of events, from 1 to 1048576";
    const SECONDS: &str = "SECONDS is a number without a unit, as 2 or 0.5, from 0 to 4294967294";
    const PID: &str = "PID is the number of a process, from 1 to 2147483647";
    const WANT: &str = "N is an nsid, from 0 to 2147483647";
    let cases: [(&[&str], &[&str], &str); 8] = [
        (&["watch", "--settle"], &["1s", "-1", "0.5", "", "4294967296"], MS),
        (&["watch", "--count"], &["0", "-1", "x", "18446744073709551616"], EVENTS),
        (&["list", "--max-names"], &["0", "-1", "1k", "4294967296"], NAMES),
        (&["watch", "--queue"], &["0", "-1", "x", "1048577", "block", "0,block"], QUEUE),
        (&["wait", "blue", "--timeout"], &["1s", "-1", "NaN", "inf", "4294967295"], SECONDS),
        (&["watch", "--timeout"], &["1s", "-0.5", "1e99"], SECONDS),
        (&["id", "--pid"], &["0", "-1", "self", "2147483648"], PID),
        (&["id", "--assign", "blue", "--want"], &["-1", "auto", "2147483648"], WANT),
    ];
    for (arguments, values, expected) in cases {
        for value in values {
            let (code, _, errors) = ends([arguments, &[value]].concat());
            assert_eq!(code, Some(2), "{errors:#?}");
            let begin = format!("error: invalid value '{value}' for '");
            assert!(errors[0].starts_with(&begin) && errors[0].ends_with(expected), "{errors:#?}");
        }
    }
    let positive = "SECONDS is a number without a unit, as 2 or 0.5, more than 0 and up to 4294967294";
    for value in ["0", "-1", "soon"] {
        let (_, _, errors) = ends(["exec", "--timeout", value, "--", "true"]);
        assert!(errors[0].contains(value) && errors[0].ends_with(positive), "{errors:#?}");
    }
}

#[test]
fn a_missing_name_is_in_the_error() {
    sandbox();
    for arguments in [&["show", "red"][..], &["id", "--name", "red"], &["id", "--assign", "red"]] {
        assert_fails(ends(arguments.iter().copied()), &[" /run/netns/red: no such file"]);
    }
    for arguments in [&["show", "/run/d/x"][..], &["id", "--name", "/run/d/x"], &["id", "--assign", "/run/d/x"]] {
        assert_fails(ends(arguments.iter().copied()), &[" /run/d/x: no such file"]);
    }
    assert_fails(ends(["list", "--dir", "/run/d"]), &["cannot watch /run/d: no such file"]);
    for arguments in [&["id", "--pid", "2147483647"][..], &["show", "pid:2147483647"]] {
        assert_fails(ends(arguments.iter().copied()), &[" of process 2147483647: no such process"]);
    }
}

#[test]
fn signals_end_it_cleanly() {
    sandbox();
    for signal in [libc::SIGTERM, libc::SIGINT] {
        for arguments in [&["watch"][..], &["exec", "--on", "ready", "--", "true"]] {
            let running = Running::start(nswatch(arguments));
            running.until_signals_are_caught();
            let (code, _, err) = running.end_by(signal);
            assert_eq!((code, err), (Some(0), vec![]), "{arguments:?}");
        }
    }
}

#[test]
fn counters_at_exit_and_when_asked() {
    sandbox();
    placeholder(make_dir("/run/d").join("x"));
    let mut watch = Running::start(nswatch(["watch", "--json", "--stats", "--dir", "/run/d"]));
    watch.until("synced");
    assert_eq!(watch.counter_becomes("delivered", |n| n == 2), 2);
    placeholder("/run/d/y");
    watch.expect("created", Some("y"));
    assert_eq!(watch.counter_becomes("known", |n| n == 2), 2);
    let (code, _, err) = watch.end_by(libc::SIGINT);
    let expected = "nswatch: delivered=3 dropped=0 overflows=0 resyncs=1 queued=0 queued_max=2 pending=2 known=2";
    assert_eq!((code, err), (Some(0), vec![expected.to_owned()]));
}

#[test]
fn events_before_the_signal_are_printed() {
    sandbox();
    make_dir("/run/d");
    let mut watch = Running::start(nswatch(["watch", "--json", "--dir", "/run/d"]));
    watch.until("synced");
    watch.signal(libc::SIGSTOP);
    placeholder("/run/d/x");
    watch.signal(libc::SIGTERM);
    watch.signal(libc::SIGCONT);
    watch.expect("created", Some("x"));
    assert_eq!(watch.end(), (Some(0), vec![], vec![]));
}

/// Starts a watch of 2000 names, with a pipe that holds a page and that nobody reads.
fn unread() -> (Running, File) {
    make_dir("/run/d");
    for n in 0..2000 {
        placeholder(format!("/run/d/{n}"));
    }
    stalled(nswatch(["watch", "--json", "--dir", "/run/d"]))
}

/// Starts a command with a pipe that holds a page and that nobody reads; waits until there is something in it.
pub fn stalled(mut command: Command) -> (Running, File) {
    let (reader, writer) = pipe();
    // SAFETY: no pointers.
    assert!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } >= 4096);
    command.stdout(writer);
    let running = Running::start(command);
    prints(&reader);
    (running, reader)
}

fn prints(reader: &File) {
    assert!(api::readable(reader.as_raw_fd(), DEADLINE), "it prints nothing");
}

/// The command for a user without any privilege, not yet started.
pub fn nswatch_of_nobody(arguments: &[&str]) -> Command {
    // other users may not see the build directory; another process copies the command, so that no command that another
    // test starts at this moment inherits the copy open for writing
    run("cp", &[env!("CARGO_BIN_EXE_nswatch"), "/run/nswatch"]);
    let mut command = Command::new("/run/nswatch");
    command.args(arguments).uid(65534).gid(65534);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A pipe: the first end reads what is written to the second.
fn pipe() -> (File, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two numbers to an array of two.
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: two new descriptors that nobody else owns.
    let [reader, writer] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    (reader.into(), writer)
}

#[test]
fn a_reader_that_stalls_does_not_keep_a_signal_waiting() {
    sandbox();
    let (watch, mut reader) = unread();
    // two equal answers: the command has stopped
    let before = std::cell::Cell::new(0);
    watch.counter_becomes("delivered", |now| before.replace(now) == now);
    assert_eq!(watch.end_by(libc::SIGTERM), (Some(0), vec![], vec![]));
    let mut printed = String::new();
    reader.read_to_string(&mut printed).unwrap();
    assert!(printed.lines().count() < 2000 && printed.ends_with("}\n"), "{printed}");
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    sandbox();
    let (watch, reader) = unread();
    drop(reader);
    assert_eq!(watch.end(), (Some(0), vec![], vec![]), "while it has something to say");

    let (reader, writer) = pipe();
    let mut command = nswatch(["watch"]);
    command.stdout(writer);
    let watch = Running::start(command);
    prints(&reader);
    drop(reader);
    assert_eq!(watch.end(), (Some(0), vec![], vec![]), "while nothing happens");

    for arguments in [&["list", "--dir", "/run/d"][..], &["watch"], &["completions", "bash"], &["--help"]] {
        let (_, writer) = pipe();
        let mut command = nswatch(arguments);
        command.stdout(writer);
        assert_eq!(Running::start(command).end(), (Some(0), vec![], vec![]), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    sandbox();
    placeholder(make_dir("/run/d").join("x"));
    for subcommand in ["watch", "list"] {
        let mut command = nswatch([subcommand, "--dir", "/run/d"]);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert_fails(Running::start(command).end(), &["write to standard output", "No space left"]);
    }
}

#[test]
fn nobody_reads_errors_either() {
    sandbox();
    let (_, writer) = pipe();
    let mut command = nswatch(["watch", "--dir", "relative"]);
    command.stderr(writer);
    assert_eq!(Running::start(command).end().0, Some(1));
}
