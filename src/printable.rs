//! Printing text from others safely.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

/// Characters that a terminal obeys or that show nothing: controls, separators, and characters that format or reverse.
/// The same ranges are in `bindings/python/nswatch/_printable.py`, `bindings/go/printable.go` and
/// `examples/c/printable.h`.
const HIDDEN: [(u32, u32); 23] = [
    (0x0000, 0x0020),
    (0x007f, 0x00a0),
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x061c, 0x061c),
    (0x115f, 0x1160),
    (0x1680, 0x1680),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// Makes a name or a path safe to print: one word on one line, without characters that a terminal obeys.
///
/// Printable characters stay as they are, even if they look like others. It escapes spaces (`\x20`), backslashes and
/// quotes (`\\`, `\"`, `\'`), control characters and those that show nothing or reverse the text (`\n`, `\u{1b}`,
/// `\u{202e}`), and bytes that are not UTF-8 (`\xff`). [`Name`](crate::Name), the `nswatch` command and the bindings
/// print names in this form.
///
/// ```
/// use nswatch::printable;
///
/// assert_eq!(printable("blue"), "blue");
/// assert_eq!(printable("\x1b[2J two\nlines"), r"\u{1b}[2J\x20two\nlines");
/// ```
pub fn printable(text: impl AsRef<OsStr>) -> String {
    escaped(text.as_ref(), r"\x20")
}

/// As [`printable`], for a part of a sentence: spaces stay spaces.
pub(crate) fn in_sentence(text: &OsStr) -> String {
    escaped(text, " ")
}

fn escaped(text: &OsStr, space: &str) -> String {
    let mut safe = String::new();
    for chunk in text.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            // writing to a String cannot fail
            _ = match c {
                ' ' => safe.write_str(space),
                '\t' => safe.write_str(r"\t"),
                '\n' => safe.write_str(r"\n"),
                '\r' => safe.write_str(r"\r"),
                '\\' | '\'' | '"' => write!(safe, "\\{c}"),
                _ if is_hidden(c) => write!(safe, "\\u{{{:x}}}", u32::from(c)),
                _ => safe.write_char(c),
            };
        }
        for byte in chunk.invalid() {
            _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

fn is_hidden(c: char) -> bool {
    HIDDEN.iter().any(|&(first, last)| (first..=last).contains(&u32::from(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_harmless() {
        assert_eq!(printable("blue"), "blue");
        assert_eq!(printable("für-उदाहरण"), "für-उदाहरण");
        assert_eq!(printable("a\nready b"), r"a\nready\x20b");
        assert_eq!(printable("\x1b[2J\u{9b}\u{7f}"), r"\u{1b}[2J\u{9b}\u{7f}");
        assert_eq!(printable("\u{202e}\u{200b}\u{a0}\u{e0041}"), r"\u{202e}\u{200b}\u{a0}\u{e0041}");
        assert_eq!(printable(OsStr::from_bytes(b"x\xff\xed\xa0\x80y")), r"x\xff\xed\xa0\x80y");
        assert_ne!(printable(r"\xff"), printable(OsStr::from_bytes(b"\xff")));
        assert_eq!(in_sentence("a path\r".as_ref()), r"a path\r");
        let error = crate::Options::new().dir("\x1b[2J\n").unwrap_err();
        assert!(error.to_string().starts_with(r"cannot watch \u{1b}[2J\n: "), "{error}");
    }

    #[test]
    fn no_character_is_left_that_a_terminal_obeys_or_that_is_white() {
        for c in '\0'..=char::MAX {
            let shown = printable(c.to_string());
            assert!(!shown.chars().any(|c| c.is_control() || c.is_whitespace()), "{shown:?}");
        }
    }
}
