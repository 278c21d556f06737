//! `nswatch serve`: the library over messages, for a program that cannot link it, such as bindings/go without cgo.
//!
//! Standard input is a Unix socket of type SOCK_SEQPACKET. The first message is a greeting; then each request gets its
//! answer, in order. The process ends when the client closes its end, and not before.

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

/// The server, with at most one open watcher.
#[derive(Debug, Default)]
struct Server {
    watcher: Option<Watcher>,
}

pub(crate) fn run(args: &ServeArgs) -> Result<(), Ending> {
    // the client handles signals to the process group
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

/// Executing this program as root has restored capabilities that the calling thread had dropped.
fn give_up_all_but(mask: u64) -> io::Result<()> {
    let mask = CapabilitySet::from_bits_retain(mask);
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None)?;
    let (effective, permitted, inheritable) = (effective & mask, permitted & mask, inheritable & mask);
    Ok(set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?)
}
