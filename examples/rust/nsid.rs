//! Reports the death of the network namespace of a process, also without a name: `nsid PID`
//!
//! It queries the nsid of the namespace, assigns one if there is none, and waits for NsidDel. Try it on
//! `unshare --net sleep 10`; assigning requires CAP_NET_ADMIN.

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
            println!("the namespace with nsid {id} is dead");
            break;
        }
    }
    Ok(())
}

fn watch(pid: i32) -> nswatch::Result<(i32, Watcher)> {
    let known = nsid::get_for_pid(pid)?;
    // an open descriptor keeps the namespace alive until the watcher exists
    let namespace = nsid::open(format!("/proc/{pid}/ns/net"))?;
    let id = match known {
        Some(id) => {
            println!("process {pid} is in the namespace with nsid {id}");
            id
        }
        None => {
            println!("process {pid} is in a namespace without an nsid");
            let id = nsid::assign(&namespace, None)?;
            println!("assigned nsid {id}");
            id
        }
    };
    Ok((id, Watcher::nsid(&Options::new())?))
}
