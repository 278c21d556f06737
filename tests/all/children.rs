//! Without privilege a child makes the observation post. The program may wait for its children in any way.

use std::sync::atomic::{AtomicBool, Ordering};

use super::support::api::{How, Kind, Observer, Rust};
use super::support::thread::{Restriction, elsewhere};
use super::support::*;
use nswatch::Feature;

#[test]
fn no_child_is_left_and_no_child_of_the_program_is_reaped() {
    run_alone("children::alone_children", &["env"]);
}

/// The next child that has ended, of any kind; `None`: there is no child.
fn next_child(flags: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: the status is ours to write.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | flags) };
    (pid >= 0).then_some(pid)
}

#[test]
#[ignore = "alone"]
fn alone_children() {
    sandbox();
    let own = Sleeper::new();
    let watch = || {
        let sleeper = kernel::netns(own.namespace("net")).unwrap();
        elsewhere(&Restriction::powerless(), || {
            assert!(Feature::Deaths.is_available().unwrap());
            let watcher = Observer::<Rust>::open_synced(&How::all());
            assert!(watcher.log.iter().any(|event| event.kind == Kind::NetnsNew && event.netns() != sleeper));
        });
    };
    watch();
    assert_eq!(next_child(libc::WNOHANG), Some(0), "a child is left, or that of the program is gone");
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    watch();
    assert_eq!(next_child(libc::WNOHANG), Some(0), "a child is left, or that of the program is gone");
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                next_child(libc::WNOHANG);
            }
        });
        (0..20).for_each(|_| watch());
        over.store(true, Ordering::Release);
    });
    assert_eq!(next_child(libc::WNOHANG), Some(0), "a child is left, or that of the program is gone");
}
