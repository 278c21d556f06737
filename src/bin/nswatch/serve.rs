//! `nswatch serve`: the library by messages, for a program that cannot link it. bindings/go without cgo is one.
//!
//! Standard input is a Unix socket of type SOCK_SEQPACKET. The first message is a greeting; then each request gets its
//! answer, in order. The process ends when the other end is closed, and never before: whoever asks decides.

mod answers;
mod message;
mod opening;

use std::io;

use nix::sys::signal::SigSet;
use nswatch::Watcher;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::args::ServeArgs;
use crate::ending::Ending;
use answers::answer;
use message::{Answer, Socket};

/// What is asked, and the one watcher that may be open.
#[derive(Debug, Default)]
struct Server {
    watcher: Option<Watcher>,
}

pub(crate) fn run(args: &ServeArgs) -> Result<(), Ending> {
    // a signal for the whole process group is for the program that asks to answer
    SigSet::all().thread_block().map_err(|error| Ending::failed("block signals", error.into()))?;
    if let Some(mask) = args.capabilities {
        give_up_all_but(mask).map_err(|error| Ending::failed("give up capabilities", error))?;
    }
    let socket = Socket::of_stdin()?;
    socket.send(&Answer::new("nswatch").word(env!("CARGO_PKG_VERSION")))?;
    let mut server = Server::default();
    while let Some(request) = socket.receive()? {
        for answer in answer(&mut server, request) {
            socket.send(&answer)?;
        }
    }
    Ok(())
}

/// Executing this program gave root back what the thread that asked for it had given up.
fn give_up_all_but(mask: u64) -> io::Result<()> {
    let mask = CapabilitySet::from_bits_retain(mask);
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None)?;
    let (effective, permitted, inheritable) = (effective & mask, permitted & mask, inheritable & mask);
    Ok(set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?)
}
