//! A thread that keeps its rights, beside one that gives them up.

use std::sync::mpsc::{Sender, channel};

type Act = Box<dyn FnOnce() + Send>;

/// Runs closures in the sandbox and with the rights of the thread that made it.
pub struct Actor(Sender<(Act, Sender<()>)>);

impl Actor {
    pub fn new() -> Self {
        let (sender, acts) = channel::<(Act, Sender<()>)>();
        std::thread::spawn(move || {
            for (act, done) in acts {
                act();
                done.send(()).unwrap();
            }
        });
        Self(sender)
    }

    /// Waits until it is done.
    pub fn act(&self, act: impl FnOnce() + Send + 'static) {
        let (done, waits) = channel();
        self.0.send((Box::new(act), done)).unwrap();
        waits.recv().expect("the actor has failed");
    }
}
