//! Watches by nlink's `NamespaceWatcher`, as its documentation says, and prints a line for each event.

use nlink::netlink::namespace_watcher::{NamespaceEvent, NamespaceWatcher};

fn report(what: &str, name: &str) {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    println!("{} {what} {name}", now.tv_sec * 1_000_000_000 + now.tv_nsec);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (names, mut watcher) = NamespaceWatcher::list_and_watch().await?;
    for name in names {
        report("created", &name);
    }
    report("synced", "");
    while let Some(event) = watcher.recv().await? {
        match event {
            NamespaceEvent::Created { name } => report("created", &name),
            NamespaceEvent::Deleted { name } => report("deleted", &name),
            other => report(&format!("{other:?}"), ""),
        }
    }
    Ok(())
}
