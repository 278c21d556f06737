//! Every network namespace of the host that can be seen, with or without a name.

mod census;

pub use census::{Sighting, census};
