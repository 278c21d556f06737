//! Standard output and standard error, such that neither can make the command panic.

use std::fmt::Display;
use std::io::{self, Write};

use nswatch::Stats;

use crate::ending::Ending;

/// One line on standard error, of text that is [printable](nswatch::printable). If nobody reads that, there is nobody left
/// to tell.
pub(crate) fn complain(what: impl Display) {
    // one write, so that lines of several processes do not mix
    io::stderr().write_all(format!("nswatch: {what}\n").as_bytes()).ok();
}

/// All that there is to be printed, for subcommands that end by themselves.
pub(crate) fn print(all: &[u8]) -> Result<(), Ending> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(all).and_then(|()| stdout.flush()).map_err(Ending::unwritten)
}

/// The counters, in a line that both people and `grep` can read.
pub(crate) fn counters(stats: &Stats) {
    let Stats { delivered, dropped, overflows, resyncs, queued, queued_max, pending, known, .. } = stats;
    complain(format!(
        "delivered={delivered} dropped={dropped} overflows={overflows} resyncs={resyncs} \
         queued={queued} queued_max={queued_max} pending={pending} known={known}"
    ));
}
