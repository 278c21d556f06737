//! One JSON object per line.
//!
//! Written without a crate, because a line must be harmless on a terminal too: it escapes more than JSON requires. The
//! result has no control characters and is valid UTF-8.

use std::ffi::{OsStr, OsString};
use std::fmt::{Display, Write};
use std::os::unix::ffi::OsStrExt;

/// An object. Members appear in the order of the calls.
#[derive(Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn word(&mut self, key: &str, word: &str) {
        self.member(key, quoted(word));
    }

    pub(crate) fn number(&mut self, key: &str, number: impl Display) {
        self.member(key, number);
    }

    pub(crate) fn flag(&mut self, key: &str, flag: bool) {
        self.member(key, flag);
    }

    /// A member for bytes; if they are not UTF-8, it is `KEY_hex`.
    pub(crate) fn name(&mut self, key: &str, name: &OsStr) {
        self.member(key, quoted(&name.to_string_lossy()));
        if name.to_str().is_none() {
            self.member(&format!("{key}_hex"), hex(name));
        }
    }

    /// A member for a list of bytes; if one of them is not UTF-8, it is `KEY_hex` for all.
    pub(crate) fn names(&mut self, key: &str, names: &[OsString]) {
        self.list(key, names.iter().map(|name| quoted(&name.to_string_lossy())));
        if names.iter().any(|name| name.to_str().is_none()) {
            self.list(&format!("{key}_hex"), names.iter().map(|name| hex(name)));
        }
    }

    pub(crate) fn numbers(&mut self, key: &str, numbers: &[i32]) {
        self.list(key, numbers);
    }

    pub(crate) fn line(self) -> String {
        format!("{{{}}}\n", self.0)
    }

    fn list(&mut self, key: &str, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
        self.member(key, format_args!("[{}]", values.join(",")));
    }

    fn member(&mut self, key: &str, value: impl Display) {
        let comma = if self.0.is_empty() { "" } else { "," };
        // writing to a String cannot fail
        write!(self.0, "{comma}\"{key}\":{value}").ok();
    }
}

fn hex(bytes: &OsStr) -> String {
    let digits: String = bytes.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    quoted(&digits)
}

/// A JSON string that is safe on a terminal: it also escapes DEL, the C1 controls, and characters that break or reverse
/// lines.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                write!(quoted, "\\u{:04x}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_survives_and_no_control_is_left() {
        for c in '\0'..=char::MAX {
            let quoted = quoted(&c.to_string());
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), c.to_string());
            assert!(!quoted.chars().any(char::is_control), "{quoted:?}");
        }
    }
}
