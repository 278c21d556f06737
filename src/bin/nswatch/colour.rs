//! Colours in the text output.

use std::io::{IsTerminal, stdout};

use clap::ValueEnum;

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    Auto,
    /// Always, even with NO_COLOR
    Always,
    /// Never
    Never,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    Green,
    Red,
    Yellow,
    Dim,
}

/// Adds colours, or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brush(bool);

impl Brush {
    /// The brush for standard output.
    pub(crate) fn new(when: When) -> Self {
        let set = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(match when {
            When::Auto => stdout().is_terminal() && !set("NO_COLOR") && !dumb(),
            When::Always => true,
            When::Never => false,
        })
    }

    /// Paints padded text: escape sequences have no width, so pad before.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Green => "32",
            Colour::Red => "31",
            Colour::Yellow => "33",
            Colour::Dim => "2",
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
