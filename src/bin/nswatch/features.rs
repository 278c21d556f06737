//! `nswatch features`: what this kernel and these privileges have that not all have.

use nswatch::Feature;

use crate::args::FeaturesArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::{Value, json};

pub(crate) fn run(args: &FeaturesArgs) -> Result<(), Ending> {
    let mut lines = if args.json { String::new() } else { "FEATURE       HERE  WHAT FOR\n".into() };
    // what can be found out is told even if something else cannot
    let mut failed = Ok(());
    for feature in Feature::ALL {
        let line = match feature.is_available() {
            Ok(here) if args.json => {
                json(&[("feature", Value::Word(feature.name())), ("available", Value::Flag(here))])
            }
            Ok(here) => format!("{feature:<12}  {:<4}  {}\n", if here { "yes" } else { "no" }, feature.purpose()),
            Err(error) => {
                failed = Err(error.into());
                continue;
            }
        };
        lines.push_str(&line);
    }
    output::print(lines.as_bytes())?;
    failed
}
