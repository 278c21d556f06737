//! With the feature `header`: generates `include/nswatch.h` from `src/capi`. Without it: does nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "header")]
    header::write();
}

#[cfg(feature = "header")]
mod header {
    use std::fmt::Write;
    use std::{env, fs};

    /// The chapters, in reading order.
    const CHAPTERS: [&str; 7] = ["watcher", "event", "netns", "options", "nsid", "feature", "about"];

    pub(super) fn write() {
        let root = env::var("CARGO_MANIFEST_DIR").unwrap();
        println!("cargo::rerun-if-changed=src/capi");
        println!("cargo::rerun-if-changed=cbindgen.toml");
        let config = cbindgen::Config::from_file(format!("{root}/cbindgen.toml")).unwrap();
        let conventions = fs::read_to_string(format!("{root}/src/capi/mod.rs")).unwrap();
        let mut header = head(&conventions) + config.header.as_deref().unwrap();
        for chapter in CHAPTERS {
            let path = format!("{root}/src/capi/{chapter}.rs");
            let source = fs::read_to_string(&path).unwrap();
            header.push_str(&heading(&source));
            let config = cbindgen::Config { header: None, trailer: None, ..config.clone() };
            let mut body = Vec::new();
            cbindgen::Builder::new().with_config(config).with_src(&path).generate().unwrap().write(&mut body);
            header.push_str(&with_kinds(&parenthesise(String::from_utf8(body).unwrap().trim_start())));
        }
        header.push_str(config.trailer.as_deref().unwrap());
        fs::write(format!("{root}/include/nswatch.h"), header).unwrap();
    }

    /// The first documentation of a source file, line by line.
    fn documentation(source: &str) -> impl Iterator<Item = &str> {
        source.lines().map_while(|line| line.strip_prefix("//!"))
    }

    /// The head of the header, as a C comment: the conventions and the grammar.
    fn head(source: &str) -> String {
        let mut lines = documentation(source);
        let mut comment = format!(
            "/*\n *{}\n *\n * SPDX-License-Identifier: MIT OR Apache-2.0\n *\n\
             \x20* Generated from src/capi by `make header`; edit there.\n",
            lines.next().unwrap()
        );
        let mut is_code = false;
        for line in lines {
            match line.trim_start().starts_with("```") {
                true => is_code = !is_code,
                false if is_code && !line.is_empty() => writeln!(comment, " *    {line}").unwrap(),
                false => writeln!(comment, " *{line}").unwrap(),
            }
        }
        comment + " */\n\n"
    }

    /// The first documentation of a source file, as a C comment under its title.
    fn heading(source: &str) -> String {
        let mut lines = documentation(source);
        let title = lines.next().unwrap().trim();
        let mut comment = format!("\n/*\n * {title}\n * {}\n", "=".repeat(title.len()));
        lines.for_each(|line| writeln!(comment, " *{line}").unwrap());
        comment + " */\n\n"
    }

    /// Puts negative numbers in parentheses, so that the macro is one operand in every expression.
    fn parenthesise(body: &str) -> String {
        let line = |line: &str| match line.rsplit_once(' ') {
            Some((define, number)) if line.starts_with("#define") && number.starts_with('-') => {
                format!("{define} ({number})\n")
            }
            _ => format!("{line}\n"),
        };
        body.lines().map(line).collect()
    }

    /// Repeats the event types after the last of them as an enumeration, for compiler warnings about a `switch`.
    fn with_kinds(body: &str) -> String {
        let kinds = body.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("#define NSW_EVENT_")?.split_once(' ')?;
            (name != "REPLAYED").then(|| format!("  NSW_EVENT_KIND_{name} = NSW_EVENT_{name},\n"))
        });
        let kinds: String = kinds.collect();
        let Some(at) = body.find("/**\n * A bit of nsw_event_flags()") else { return body.to_owned() };
        let comment = "\
            /**\n\
            \x20* The types as an enumeration, so that the compiler warns when a switch omits one (-Wswitch):\n\
            \x20* switch ((enum nsw_event_kind)nsw_event_type(event)) { case NSW_EVENT_READY: ... }.\n\
            \x20* Write no `default:`, and ignore types without a case: later versions may add types. No function takes\n\
            \x20* or returns this enumeration. Since: 0.1\n\
            \x20*/\n";
        format!("{}{comment}enum nsw_event_kind {{\n{kinds}}};\n\n{}", &body[..at], &body[at..])
    }
}
