"""The declarations in include/nswatch.h, for tests that compare something with them."""

import re
from dataclasses import dataclass
from pathlib import Path

HEADER = Path(__file__).resolve().parents[2] / "include/nswatch.h"


@dataclass(frozen=True)
class Function:
    prototype: str  # on one line
    comment: str  # the one above it


def functions(text: str) -> dict[str, Function]:
    """Each function, by its name, in the order of the header."""
    found = {}
    pattern = r"/\*\*((?:(?!\*/).)*)\*/\s*^([a-z][\w ]*[ *](\w+)\([^()]*\));"
    for comment, prototype, name in re.findall(pattern, text, flags=re.MULTILINE | re.DOTALL):
        found[name] = Function(" ".join(prototype.split()), comment)
    # guards against a pattern that misses a declaration of another form
    declared = re.findall(r"^[a-z].*?\b(ns\w+)\(", text, flags=re.MULTILINE)
    assert list(found) == declared, set(found) ^ set(declared)
    return found


def constants(text: str) -> dict[str, int]:
    found = re.findall(r"^#define (\w+) (.+)$", text, flags=re.MULTILINE)
    return {name: int(value.strip("()"), 0) for name, value in found}
