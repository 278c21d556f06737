//! Every network namespace of the host that can be seen, with or without a name.

mod census;

pub(crate) use census::numbers_in;
pub use census::{Sighting, census};
