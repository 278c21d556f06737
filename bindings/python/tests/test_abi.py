"""Compares the table of prototypes with include/nswatch.h, and the version with Cargo.toml."""

import ctypes
import re
import unittest
from ctypes import POINTER, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from dataclasses import fields
from pathlib import Path
from typing import Any

import nswatch
from nswatch import EventType, Feature, Netns, _ffi

ROOT = Path(__file__).resolve().parents[3]

# the types of the header, without const, and their types in the table
TYPES: dict[str, Any] = {
    "void": None,
    "int": c_int,
    "int32_t": c_int32,
    "uint32_t": c_uint32,
    "uint64_t": c_uint64,
    "size_t": c_size_t,
    "char *": c_char_p,
    "int32_t *": POINTER(c_int32),
    "size_t *": POINTER(c_size_t),
    "nsw_watcher *": c_void_p,
    "nsw_options *": c_void_p,
    "nsw_event *": c_void_p,
    "struct nsw_netns *": POINTER(_ffi.nsw_netns),
    "nsw_watcher **": POINTER(c_void_p),
    "nsw_event **": POINTER(c_void_p),
}


def header() -> str:
    text = (ROOT / "include/nswatch.h").read_text()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def prototypes(text: str) -> dict[str, str]:
    """The functions of a header: name and prototype on one line."""
    found = {}
    for match in re.finditer(r"^[a-z][\w ]*[ *](\w+)\([^()]*\)(?=;)", text, flags=re.MULTILINE):
        found[match[1]] = " ".join(match[0].split())
    return found


def constants(text: str) -> dict[str, int]:
    found = re.findall(r"^#define (\w+) (.+)$", text, flags=re.MULTILINE)
    return {name: int(value.strip().strip("()"), 0) for name, value in found}


def structs(text: str) -> dict[str, list[tuple[str, Any]]]:
    """The public structs of a header: name, and name and type of each member."""
    found = re.findall(r"^typedef struct (\w+) \{(.*?)\} \1;", text, flags=re.MULTILINE | re.DOTALL)
    return {
        name: [(member, TYPES[kind]) for kind, member in re.findall(r"(\w+) (\w+);", members)]
        for name, members in found
    }


def types(prototype: str) -> list[Any]:
    """The types of a prototype as in the table: of the result, then of each argument."""
    match = re.fullmatch(r"(.*?)\w+\((.*)\)", prototype)
    assert match
    declared = [match[1]]
    if match[2] != "void":
        declared += [re.sub(r"\w+$", "", argument.strip()) for argument in match[2].split(",")]
    return [TYPES[re.sub(r"\bconst ", "", each).strip()] for each in declared]


class Abi(unittest.TestCase):
    maxDiff = None

    def test_every_function_of_the_header_is_in_the_table_as_it_is(self) -> None:
        table = {row[0].partition("(")[0].split()[-1].lstrip("*"): row[0] for row in _ffi.PROTOTYPES}
        self.assertGreater(len(table), 30)
        self.assertEqual(table, prototypes(header()))

    def test_the_types_are_those_of_the_prototype(self) -> None:
        for prototype, *given in _ffi.PROTOTYPES:
            with self.subTest(prototype):
                self.assertEqual(given, types(prototype))

    def test_every_constant_of_the_header_is_known(self) -> None:
        found = constants(header())
        version = [found.pop(f"NSW_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH")]
        self.assertEqual(_ffi.CONSTANTS, found)
        self.assertEqual(".".join(map(str, version)), nswatch.__version__)

    def test_the_public_struct_is_that_of_the_header(self) -> None:
        self.assertEqual(structs(header()), {"nsw_netns": list(_ffi.nsw_netns._fields_)})
        self.assertEqual(ctypes.sizeof(_ffi.nsw_netns), 32)
        self.assertEqual([name for name, _ in _ffi.nsw_netns._fields_], [each.name for each in fields(Netns)])

    def test_the_enumeration_is_that_of_the_header(self) -> None:
        prefix = "NSW_EVENT_"
        found = {name[len(prefix) :]: value for name, value in constants(header()).items() if name.startswith(prefix)}
        del found["REPLAYED"]  # a flag
        self.assertEqual({each.name: each.value for each in EventType}, found)
        for each in EventType:
            self.assertEqual(str(each), each.name.lower())

    def test_the_features_are_those_of_the_header(self) -> None:
        prefix = "NSW_FEATURE_"
        found = {name[len(prefix) :]: value for name, value in constants(header()).items() if name.startswith(prefix)}
        self.assertEqual({each.name: each.value for each in Feature}, found)

    def test_one_version_everywhere(self) -> None:
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), flags=re.MULTILINE)
        assert version
        self.assertEqual(nswatch.__version__, version[1])
        self.assertEqual(nswatch.library_version(), version[1])

    def test_this_test_sees_what_is_different(self) -> None:
        text = header()
        self.assertNotEqual(prototypes(text.replace("int timeout_ms", "uint32_t timeout_ms")), prototypes(text))
        self.assertNotEqual(prototypes(text + "\nint nsw_more(void);\n"), prototypes(text))
        self.assertNotEqual(constants(text + "\n#define NSW_MORE 1\n"), constants(text))
        self.assertNotEqual(structs(text.replace("uint64_t stamp;", "uint32_t stamp;")), structs(text))
        self.assertNotEqual(structs(text + "\ntypedef struct nsw_more { int a; } nsw_more;\n"), structs(text))
        self.assertNotEqual(types("int f(uint32_t a)"), types("int f(int32_t a)"))


if __name__ == "__main__":
    unittest.main()
