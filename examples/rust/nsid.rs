//! Tells when the network namespace of a process dies, though it has no name: `nsid PID`.
//!
//! It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its
//! death. Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.

use nswatch::{EventKind, Options, Watcher, nsid};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid: i32 = std::env::args().nth(1).ok_or("nsid PID")?.parse()?;
    // while it is open the namespace lives: it cannot die before there is a watcher to tell
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))?;
    let id = match nsid::get_for_pid(pid)? {
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
    let watcher = Watcher::nsid(&Options::new())?;
    drop(namespace);
    for event in watcher {
        if matches!(event?.kind(), EventKind::NsidDel { nsid, .. } if *nsid == id) {
            println!("{id} is gone");
            break;
        }
    }
    Ok(())
}
