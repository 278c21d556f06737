"""include/nswatch.hpp beside include/nswatch.h: all of C can be reached, and every compiler takes it. And the one thing
in nswatch.h that only compilers see, its enumeration. Started by ci/lint."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from header import HEADER, constants, functions

TEXT = (HEADER.parent / "nswatch.hpp").read_text()
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wold-style-cast", "-Werror"]
COMPILERS = [name for name in ("c++", "clang++") if shutil.which(name)]

# not in C++, and why
ELSEWHERE = {
    "nsw_event_dev": "nsw_event_netns() has it",
    "nsw_event_ino": "nsw_event_netns() has it",
    "nsw_event_cookie": "nsw_event_netns() has it",
}


def code(text: str) -> str:
    """Without its comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def used(text: str) -> set[str]:
    """The functions of C that the text calls."""
    return set(re.findall(r"(?<![\w:])::(ns\w+)\(", code(text)))


def named(text: str) -> set[str]:
    """The constants of C that the text has."""
    return set(re.findall(r"\b(?:NSW|NSID)_\w+", code(text)))


def compile_as(compiler: str, source: str, *arguments: str) -> str:
    """The compiler's messages; "" if there are none."""
    language = "c" if compiler.endswith("c") else "c++"
    command = [compiler, f"-I{HEADER.parent}", *arguments, "-x", language, "-"]
    done = subprocess.run(command, check=False, input=source, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


class Wrapper(unittest.TestCase):
    maxDiff = None

    def test_every_function_can_be_reached(self) -> None:
        declared = set(functions(HEADER.read_text()))
        self.assertEqual(declared - used(TEXT), set(ELSEWHERE))
        self.assertLessEqual(used(TEXT), declared)

    def test_every_constant_can_be_reached(self) -> None:
        declared = {name for name in constants(HEADER.read_text()) if not name.startswith("NSW_VERSION_")}
        self.assertEqual(declared, named(TEXT))

    def test_every_compiler_takes_it(self) -> None:
        for compiler in COMPILERS:
            for dialect in ("c++17", "c++20", "c++2b"):
                for exceptions in ("-fexceptions", "-fno-exceptions"):
                    with self.subTest(compiler, dialect=dialect, exceptions=exceptions):
                        options = [f"-std={dialect}", exceptions, *STRICT, "-fsyntax-only"]
                        self.assertEqual(compile_as(compiler, "#include <nswatch.hpp>\n", *options), "")
            self.assertIn("requires C++17", compile_as(compiler, "#include <nswatch.hpp>\n", "-std=c++14"))

    def test_it_defines_nothing_that_two_files_could_not_both_have(self) -> None:
        with tempfile.NamedTemporaryFile(suffix=".o") as made:
            source = "#include <nswatch.hpp>\nvoid use() { nswatch::watcher().next(); nswatch::list_all(); }\n"
            self.assertEqual(compile_as("c++", source, "-std=c++17", "-c", "-o", made.name), "")
            listed = subprocess.check_output(["nm", "-C", "--defined-only", made.name], text=True)
        strong = [line for line in listed.splitlines() if line.split()[1] in "TDBR"]
        self.assertEqual([line.split()[2] for line in strong], ["use()"])

    def test_its_example_is_a_program(self) -> None:
        lines = re.findall(r"^ \*     (.*)$|^ \*$", TEXT.partition("* Conventions")[0], flags=re.MULTILINE)
        program = "\n".join(lines)
        self.assertIn("int main()", program)
        for compiler in COMPILERS:
            self.assertEqual(compile_as(compiler, program, "-std=c++17", *STRICT, "-fsyntax-only"), "")

    def test_a_switch_that_leaves_out_a_type_is_seen(self) -> None:
        source = "#include <nswatch.hpp>\nint use(nswatch::event_type type) { switch (type) {} return 0; }\n"
        types = [name for name in constants(HEADER.read_text()) if name.startswith("NSW_EVENT_")]
        types.remove("NSW_EVENT_REPLAYED")
        for compiler in COMPILERS:
            said = compile_as(compiler, source, "-std=c++17", "-Wswitch", "-Werror", "-fsyntax-only")
            for name in types if compiler == "c++" else types[:3]:
                self.assertIn(name.removeprefix("NSW_EVENT_").lower(), said)

    def test_this_test_sees_a_missing_function(self) -> None:
        self.assertNotIn("nsw_resync", used(TEXT.replace("::nsw_resync(", "::nsw_sync(")))
        self.assertNotIn("NSW_NO_REPLAY", named(TEXT.replace("flag(NSW_NO_REPLAY", "flag(1")))
        self.assertNotEqual(compile_as("c++", "#include <nswatch.hpp>\nint use = 1.5;\n", *STRICT, "-fsyntax-only"), "")


class Enumeration(unittest.TestCase):
    """enum nsw_event_kind, for C."""

    def test_a_switch_that_leaves_out_a_type_is_seen(self) -> None:
        types = [name for name in constants(HEADER.read_text()) if name.startswith("NSW_EVENT_")]
        types.remove("NSW_EVENT_REPLAYED")
        for left_out in types:
            cases = "".join(f"case {name}: " for name in types if name != left_out)
            switch = f"switch ((enum nsw_event_kind)nsw_event_type(event)) {{ {cases}return 1; }}"
            source = f"#include <nswatch.h>\nint use(const nsw_event *event) {{ {switch} return 0; }}\n"
            strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
            said = compile_as("cc", source, *strict)
            self.assertIn(left_out.replace("NSW_EVENT_", "NSW_EVENT_KIND_"), said)
            whole = source.replace("case ", f"case {left_out}: case ", 1)
            self.assertEqual(compile_as("cc", whole, *strict), "")


if __name__ == "__main__":
    unittest.main()
