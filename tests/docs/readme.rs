//! The Rust code of README.md, word for word: tests/examples/test_examples.py compares the two.

/// Never ends, so it is only compiled.
mod program {
    use std::process::Command;

    use nswatch::{EventKind, Options, Watcher, netns};

    fn main() -> nswatch::Result<()> {
        let mut watcher = Watcher::named(&Options::new())?;
        while let Some(event) = watcher.wait(None)? {
            let EventKind::Ready(name, _) = event.kind() else { continue };
            let lo_up = || Command::new("ip").args(["link", "set", "lo", "up"]).status();
            match watcher.open_netns(&event).and_then(|namespace| netns::enter(namespace, lo_up)) {
                Ok(done) => println!("{name}: {done:?}"),
                Err(error) => eprintln!("{name}: {error}"), // ENOENT, ESTALE: it is gone or replaced already
            }
        }
        Ok(())
    }

    pub(super) const MAIN: fn() -> nswatch::Result<()> = main;
}

#[test]
fn the_program_of_the_readme_compiles() {
    let _main = program::MAIN;
}
