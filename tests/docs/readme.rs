//! The Rust code of README.md, word for word: tests/examples/test_examples.py compares the two.
#![cfg(feature = "tokio")]

use std::error::Error;

use crate::support::*;

/// Never ends, so it is only compiled.
fn in_a_loop() -> Result<(), Box<dyn Error>> {
    for event in nswatch::Watcher::named(&nswatch::Options::new())? {
        println!("{}", event?);
    }
    Ok(())
}

async fn beside_other_things() -> Result<(), Box<dyn Error>> {
    let mut events = nswatch::Watcher::named(&nswatch::Options::new())?.into_stream()?;
    tokio::select! {
        event = events.next() => println!("{}", event.transpose()?.expect("it has not ended")),
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

#[test]
fn the_code_of_the_readme_runs() {
    sandbox();
    let _compiles: fn() -> Result<(), Box<dyn Error>> = in_a_loop;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(beside_other_things()).unwrap();
}
