//! Keeps a connection of the crate rtnetlink in each named network namespace, in one tokio runtime, and prints the links
//! there: `rtnetlink-example`

use std::collections::HashMap;
use std::io;

use futures_util::TryStreamExt;
use nswatch::{Event, EventKind, Options, Watcher, netns, printable};
use rtnetlink::Handle;
use rtnetlink::packet_route::link::LinkAttribute;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut events = Watcher::named(&Options::new())?.into_stream()?;
    let mut handles = HashMap::new();
    loop {
        let event = tokio::select! {
            event = events.next() => event.transpose()?.expect("the stream does not end"),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let (EventKind::Ready(name, _) | EventKind::Detached(name) | EventKind::Deleted(name)) = event.kind() else {
            continue;
        };
        // gone or replaced: dropping the last handle closes the socket, which would keep the namespace alive
        if handles.remove(name).is_some() {
            println!("{name} closed");
        }
        if let EventKind::Ready(..) = event.kind() {
            match connect(events.get_ref(), &event).await {
                Ok((handle, links)) => {
                    println!("{name} {}", links.join(" "));
                    handles.insert(name.clone(), handle);
                }
                // ENOENT, ESTALE: gone or replaced already; an event for that follows
                Err(error) => eprintln!("{name}: {error}"),
            }
        }
    }
}

/// Makes the socket in a thread inside the namespace. It stays there, and the caller's runtime drives it.
async fn connect(watcher: &Watcher, ready: &Event) -> io::Result<(Handle, Vec<String>)> {
    let runtime = tokio::runtime::Handle::current();
    let (connection, handle, _) = netns::enter(watcher.open_netns(ready)?, || {
        let _in_its_reactor = runtime.enter();
        rtnetlink::new_connection()
    })??;
    tokio::spawn(connection);
    let mut names = Vec::new();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await.map_err(io::Error::other)? {
        names.extend(link.attributes.iter().filter_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(printable(name)),
            _ => None,
        }));
    }
    Ok((handle, names))
}
