//! The values of `--source`.

use clap::ValueEnum;

use crate::record::Kind;

/// The source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Names in a directory, as `ip netns` makes them
    Named,
    /// Nsids that the kernel assigns to peer namespaces
    Nsid,
    /// Every network namespace that you can see, with or without a name
    All,
}

impl Source {
    /// The option that selects the source, in quotes.
    pub(crate) fn option(self) -> String {
        let value = self.to_possible_value();
        format!("'--source {}'", value.as_ref().map_or("", |value| value.get_name()))
    }

    /// The event type of a new object.
    pub(crate) fn news(self) -> Kind {
        match self {
            Self::Named => Kind::Ready,
            Self::Nsid => Kind::NsidNew,
            Self::All => Kind::NetnsNew,
        }
    }
}
