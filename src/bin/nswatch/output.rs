//! Standard output and standard error, without panics.

use std::fmt::Display;
use std::io::{self, Write};

use nswatch::Stats;

use crate::ending::Ending;

/// Prints one line of [printable](nswatch::printable) text on standard error, and ignores a failure.
pub(crate) fn complain(what: impl Display) {
    // one write, so that lines of several processes do not mix
    io::stderr().write_all(format!("nswatch: {what}\n").as_bytes()).ok();
}

/// Prints the whole output of a subcommand that ends by itself.
pub(crate) fn print(all: &[u8]) -> Result<(), Ending> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(all).and_then(|()| stdout.flush()).map_err(Ending::unwritten)
}

/// Prints the counters in one line for people and `grep`.
pub(crate) fn counters(stats: &Stats) {
    let Stats { delivered, dropped, overflows, resyncs, queued, queued_max, pending, known, .. } = stats;
    complain(format!(
        "delivered={delivered} dropped={dropped} overflows={overflows} resyncs={resyncs} \
         queued={queued} queued_max={queued_max} pending={pending} known={known}"
    ));
}
