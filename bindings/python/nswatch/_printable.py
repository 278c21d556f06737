"""Names that others chose, escaped for a terminal."""

import re

# characters that control a terminal or show nothing: the ranges of src/printable.rs, and the surrogates that
# os.fsdecode() makes of bytes that are not UTF-8
_ESCAPED = re.compile(
    "[\\\\'\"\0-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHORT = {" ": r"\x20", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\\": r"\\", "'": r"\'", '"': r"\""}


def printable(text: str) -> str:
    r"""Returns a name or a path escaped for a terminal, as one word on one line.

    text: a string from os.fsdecode(), as Event.name and Event.path.

    Escapes spaces (``\x20``), backslashes and quotes (``\\``, ``\"``, ``\'``), control characters and those that show
    nothing or reverse the text (``\n``, ``\u{1b}``), and bytes that are not UTF-8 (``\xff``). Printable characters
    stay, also those that look like others. ``str()`` of an event, the ``nswatch`` command, Rust and Go use the same
    form.
    """
    return _ESCAPED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if (short := _SHORT.get(character)) is not None:
        return short
    number = ord(character)
    return rf"\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else rf"\u{{{number:x}}}"
