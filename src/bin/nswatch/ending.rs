//! Why the command ends early. Only one of the reasons is a failure.

use std::fmt::Display;
use std::io;

#[derive(Debug)]
pub(crate) enum Ending {
    /// SIGINT or SIGTERM.
    Asked,
    /// The reader of standard output is gone, as with `head -1`.
    NobodyReads,
    /// The time of `--timeout` is over.
    TimeIsOver,
    /// An error, in one sentence whose names and paths are [printable](nswatch::printable).
    Failed(String),
}

impl Ending {
    pub(crate) fn failed(doing: impl Display, error: io::Error) -> Self {
        Self::Failed(format!("cannot {doing}: {error}"))
    }

    /// The ending for a failure to write to standard output.
    pub(crate) fn unwritten(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::failed("write to standard output", error),
        }
    }
}

impl From<nswatch::Error> for Ending {
    fn from(error: nswatch::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
