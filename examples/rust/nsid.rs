//! Tells when the network namespace of a process dies, though it has no name: `nsid PID`
//!
//! It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its
//! death. Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.

use std::process::ExitCode;

use nswatch::{EventKind, Options, Watcher, nsid};

fn main() -> ExitCode {
    let pid = std::env::args().nth(1).and_then(|pid| pid.parse().ok()).unwrap_or(0);
    match until_death(pid) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nsid: {error}");
            ExitCode::FAILURE
        }
    }
}

fn until_death(pid: i32) -> nswatch::Result<()> {
    let (id, watcher) = watch(pid)?;
    for event in watcher {
        if matches!(event?.kind(), EventKind::NsidDel { nsid, .. } if *nsid == id) {
            println!("{id} is gone");
            break;
        }
    }
    Ok(())
}

fn watch(pid: i32) -> nswatch::Result<(i32, Watcher)> {
    let known = nsid::get_for_pid(pid)?;
    // while it is open the namespace lives: it cannot die before there is a watcher to tell
    let namespace = nsid::open(format!("/proc/{pid}/ns/net"))?;
    let id = match known {
        Some(id) => {
            println!("process {pid} is in the namespace that is {id} here");
            id
        }
        None => {
            println!("process {pid} is in a namespace without an id");
            let id = nsid::assign(&namespace, None)?;
            println!("now it is {id}");
            id
        }
    };
    Ok((id, Watcher::nsid(&Options::new())?))
}
