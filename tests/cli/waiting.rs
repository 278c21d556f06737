//! `nswatch wait`: until a name can be opened, or is gone.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::endings::assert_fails;
use crate::running::{End, Running, ends, nswatch};
use crate::support::*;

/// The end of a wait that succeeded.
fn satisfied() -> End {
    (Some(0), vec![], vec![])
}

fn too_late() -> End {
    (Some(3), vec![], vec![])
}

/// Starts a wait; returns when a signal can reach it.
fn wait(arguments: &[&str]) -> Running {
    let wait = Running::start(nswatch([&["wait"], arguments].concat()));
    wait.until_caught(libc::SIGTERM);
    wait
}

#[test]
fn a_wait_that_is_over_returns_at_once() {
    sandbox();
    assert_eq!(ends(["wait", "--deleted", "blue"]), satisfied());
    ip_netns(&["add", "blue"]);
    assert_eq!(ends(["wait", "--timeout", "0", "blue"]), satisfied());
    assert_eq!(ends(["wait", "/run/netns/blue"]), satisfied());
    assert_eq!(ends(["wait", "--dir", "/run/netns", "blue"]), satisfied());
    assert_eq!(ends(["wait", "--deleted", "red"]), satisfied());
    assert_eq!(ends(["wait", "--deleted", "--dir", "/run/missing", "red"]), satisfied());
}

#[test]
fn until_a_name_can_be_opened() {
    sandbox();
    // neither the directory nor the name exists
    let waiting = [&["blue"][..], &["/run/netns/blue"], &["--dir", "/run/netns", "blue"]].map(wait);
    ip_netns(&["add", "red"]);
    ip_netns(&["add", "blue"]);
    for wait in waiting {
        assert_eq!(wait.end(), satisfied());
    }
}

#[test]
fn a_name_is_not_enough() {
    sandbox();
    make_dir("/run/d");
    placeholder("/run/d/x");
    placeholder("/run/d/y");
    mount_new_netns("/run/d/y");
    assert_eq!(ends(["wait", "--timeout", "0.2", "/run/d/x"]), too_late());
    let wait = wait(&["/run/d/x"]);
    mount_new_netns("/run/d/x");
    assert_eq!(wait.end(), satisfied());
}

#[test]
fn a_directory_that_is_made_later() {
    sandbox();
    let mut command = nswatch(["wait", "a/b/x"]);
    command.current_dir("/run");
    let wait = Running::start(command);
    wait.until_caught(libc::SIGTERM);
    make_dir("/run/a/b");
    placeholder("/run/a/b/x");
    mount_new_netns("/run/a/b/x");
    assert_eq!(wait.end(), satisfied());
}

#[test]
fn until_a_name_is_gone() {
    sandbox();
    ip_netns(&["add", "blue"]);
    placeholder("/run/netns/red");
    assert_eq!(ends(["wait", "--deleted", "--timeout", "0.1", "blue"]), too_late());
    let waiting = [&["--deleted", "blue"][..], &["--deleted", "--dir", "/run/netns", "red"]].map(wait);
    std::fs::remove_file("/run/netns/red").unwrap();
    ip_netns(&["del", "blue"]);
    for wait in waiting {
        assert_eq!(wait.end(), satisfied());
    }
}

#[test]
fn the_timeout_ends_it_whatever_happens_to_others() {
    sandbox();
    assert_eq!(ends(["wait", "--timeout", "0", "blue"]), too_late());
    ip_netns(&["add", "red"]);
    let begin = std::time::Instant::now();
    assert_eq!(ends(["wait", "--timeout", "0.3", "blue"]), too_late());
    assert!(begin.elapsed() >= std::time::Duration::from_millis(300));
}

#[test]
fn errors_end_it() {
    sandbox();
    std::fs::write("/run/file", "").unwrap();
    assert_fails(ends(["wait", "/run/file/blue"]), &["/run/file", "not a directory"]);
    assert_fails(ends(["wait", "--dir", "relative", "blue"]), &["relative", "must be absolute"]);
}

#[test]
fn a_signal_kills_it_even_if_it_was_blocked_and_sigterm_if_it_was_ignored() {
    sandbox();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        for prepare in [|_| {}, block].into_iter().chain((signal == libc::SIGTERM).then_some(ignore as fn(i32))) {
            let mut command = nswatch(["wait", "blue"]);
            // SAFETY: the functions called are async-signal-safe.
            unsafe {
                command.pre_exec(move || {
                    prepare(signal);
                    Ok(())
                })
            };
            let mut wait = Running::start(command);
            wait.until_caught(libc::SIGTERM);
            wait.signal(signal);
            // the end of its output comes within a deadline
            assert!(wait.out.rest().is_empty());
            assert_eq!(wait.child.wait().unwrap().signal(), Some(signal));
        }
    }
}

/// A handler is in place a moment before its action. Here strace makes that moment long.
#[test]
fn a_signal_is_not_lost_while_handlers_are_installed() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skipped("needs strace: ci/install-deps");
    }
    sandbox();
    let nswatch = std::path::Path::new(env!("CARGO_BIN_EXE_nswatch"));
    for (subcommand, ends) in [(&["wait", "blue"][..], (None, Some(libc::SIGTERM))), (&["watch"], (Some(0), None))] {
        let mut command = Command::new("strace");
        // -D: the command keeps the pid
        command.args(["-D", "-qq", "-o", "/dev/null", "-e", "inject=rt_sigaction:delay_exit=200000"]);
        command.arg(nswatch).args(subcommand).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(command);
        let exe = format!("/proc/{}/exe", running.child.id());
        eventually("the command", || (std::fs::read_link(&exe).unwrap() == nswatch).then_some(()));
        running.until_caught(libc::SIGTERM);
        running.signal(libc::SIGTERM);
        running.out.rest();
        let status = running.child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), ends, "{subcommand:?}");
    }
}

#[test]
fn nothing_is_left_of_it() {
    sandbox();
    let wait = wait(&["blue"]);
    let id = wait.child.id();
    let child = eventually("a process that watches", || {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().next().map(str::to_owned)
    });
    wait.end_by(libc::SIGKILL);
    eventually("its end", || (!std::path::Path::new("/proc").join(&child).exists()).then_some(()));
}

fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(std::time::Instant::now() < end, "no {what}");
        std::thread::yield_now();
    }
}

fn ignore(signal: i32) {
    // SAFETY: no pointers.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

fn block(signal: i32) {
    // SAFETY: the set is ours and lives until the calls return.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}
