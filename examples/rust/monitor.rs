//! Prints each event of the namespaces in a directory: `monitor [DIR]`.

use nswatch::{DEFAULT_DIR, EventKind, Options, Watcher};

fn main() -> nswatch::Result<()> {
    let dir = std::env::args_os().nth(1).unwrap_or(DEFAULT_DIR.into());
    for event in Watcher::named(&Options::new().dir(dir)?)? {
        let event = event?;
        let existing = if event.is_replayed() { " (existing)" } else { "" };
        match event.kind() {
            EventKind::Created(name) => println!("created  {name}{existing}"),
            EventKind::Ready(name, netns) => println!("ready    {name} net:[{}]{existing}", netns.ino()),
            EventKind::Detached(name) => println!("detached {name}"),
            EventKind::Deleted(name) => println!("deleted  {name}"),
            EventKind::Synced => println!("that is all there is for now"),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
