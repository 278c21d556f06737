//! What `--source` takes.

use clap::ValueEnum;

use crate::record::Kind;

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Names in a directory, as `ip netns` makes them
    Named,
    /// Nsids, which the kernel assigns to peer namespaces
    Nsid,
    /// Every network namespace that can be seen, with or without a name
    All,
}

impl Source {
    /// The event that announces something.
    pub(crate) fn news(self) -> Kind {
        match self {
            Self::Named => Kind::Ready,
            Self::Nsid => Kind::NsidNew,
            Self::All => Kind::NetnsNew,
        }
    }
}
