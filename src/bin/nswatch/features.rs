//! `nswatch features`: the optional features available here.

use nswatch::Feature;

use crate::args::FeaturesArgs;
use crate::colour::{Brush, Colour};
use crate::ending::Ending;
use crate::output;
use crate::record::{Value, json};
use crate::text::wrap;

/// The width of the line, and the indent of the last column.
const WIDTH: usize = 80;
const INDENT: usize = 20;

pub(crate) fn run(args: &FeaturesArgs) -> Result<(), Ending> {
    let brush = Brush::new(args.color);
    let mut lines = if args.json { String::new() } else { "FEATURE       HERE  PURPOSE AND REQUIREMENTS\n".into() };
    // prints the other results even if one probe fails
    let mut failed = Ok(());
    for feature in Feature::ALL {
        let line = match feature.is_available() {
            Ok(here) if args.json => {
                json(&[("feature", Value::Word(feature.name())), ("available", Value::Flag(here))])
            }
            Ok(here) => {
                let (colour, word) = if here { (Colour::Green, "yes ") } else { (Colour::Yellow, "no  ") };
                let purpose = wrap(feature.purpose(), WIDTH - INDENT).join(&format!("\n{:INDENT$}", ""));
                format!("{feature:<12}  {}  {purpose}\n", brush.paint(colour, word))
            }
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
