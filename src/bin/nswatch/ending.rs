//! Why the command ends before it has come to an end by itself. Only one of the reasons is a failure.

use std::fmt::Display;
use std::io;

#[derive(Debug)]
pub(crate) enum Ending {
    /// By SIGINT or SIGTERM.
    Asked,
    /// Whoever read standard output has gone, as `head -1` does.
    NobodyReads,
    /// The time of `--timeout` is over.
    TimeIsOver,
    /// By an error, in one sentence whose names and paths are [printable](nswatch::printable).
    Failed(String),
}

impl Ending {
    pub(crate) fn failed(doing: impl Display, error: io::Error) -> Self {
        Self::Failed(format!("cannot {doing}: {error}"))
    }

    /// What a failure to write to standard output means.
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
