"""The manual pages beside include/nswatch.h: every function and constant, its prototype, its errors; that their
examples are C; and that no terminal breaks a command into two lines. Started by ci/lint."""

import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from header import HEADER, constants, functions

MANUAL = HEADER.parents[1] / "docs/man"
PAGES = {page.name: page.read_text() for page in sorted(MANUAL.glob("*.3"))}
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]


def section(page: str, name: str) -> str:
    match = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def names(page: str) -> list[str]:
    """The subjects of the page, for which `make install` makes links."""
    return re.findall(r"^\.Nm (\w+)", section(page, "NAME"), flags=re.MULTILINE)


def prototypes(page: str) -> dict[str, str]:
    """The prototypes in the synopsis, as the header writes them."""
    found = {}
    pattern = r"^\.Ft (.+)\n\.Fn (\w+) (.+)$"
    for result, name, arguments in re.findall(pattern, section(page, "SYNOPSIS"), flags=re.MULTILINE):
        space = "" if result.endswith("*") else " "
        listed = ", ".join(re.findall(r'"([^"]*)"', arguments)) or arguments
        found[name] = f"{result}{space}{name}({listed})"
    return found


def errors(page: str) -> dict[str, set[str]]:
    """By function, the errors that the page lists."""
    found: dict[str, set[str]] = {}
    for paragraph in filter(None, re.split(r"^\.Pp\n", section(page, "ERRORS"), flags=re.MULTILINE)):
        opening, _, items = paragraph.partition("\n.Bl")
        about = re.match(r"(?:\.Fn \w+(?: ,)?\n(?:and\n)?)+", opening + "\n")
        assert about, paragraph
        for name in re.findall(r"\.Fn (\w+)", about[0]):
            assert name not in found, f"two paragraphs on the errors of {name}"
            found[name] = {
                error
                for item in re.findall(r"^\.It Er (.+)$", items, flags=re.MULTILINE)
                for error in item.split(" , ")
            }
    return found


def errors_of_header(comment: str) -> set[str]:
    """The errors that a comment names behind "Returns"; those before belong to other functions."""
    return set(re.findall(r"-(E[A-Z0-9]+)\b", comment.partition("Returns")[2]))


def examples(page: str) -> list[str]:
    found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", page, flags=re.MULTILINE | re.DOTALL)
    return [text.replace(r"\e", "\\").replace(r"\&", "") for text in found]


def literals(page: str) -> list[str]:
    """The lines that are shown as they are, without the text around them."""
    lines = [
        line for text in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", page, re.M | re.S) for line in text.split("\n")
    ]
    lines += re.findall(r"^\.Dl (.*)$", page, re.M)
    escapes = {r"\e": "\\", r"\&": "", r"\-": "-", r"\(dq": '"'}
    return [re.sub(r"\\(?:\(dq|.)", lambda match: escapes[match[0]], line).strip() for line in lines]


def rendered(page: str, width: int) -> str:
    command = ["mandoc", "-T", "utf8", "-O", f"width={width}"]
    return subprocess.run(command, check=True, input=page, capture_output=True, text=True).stdout


def broken(page: str, width: int) -> list[str]:
    """Texts that are one in the page and two lines in a terminal of this width: examples, and quotations."""
    text = re.sub(".\b", "", rendered(page, width))
    lines = text.split("\n")
    wide = [line.strip() for line in lines if len(line) > width]
    whole = {line.strip() for line in lines}
    quoted = re.findall("\u2018[^\u2019]*\n[^\u2019]*\u2019", text)
    return wide + [line for line in literals(page) if line not in whole] + quoted


class Lines(unittest.TestCase):
    def test_no_command_is_broken(self) -> None:
        # man(1) leaves two columns free of a terminal's 80, or does not
        for width in 78, 80:
            with self.subTest(width=width):
                self.assertEqual(broken((MANUAL / "nswatch.1").read_text(), width), [])

    def test_this_test_sees_a_broken_line(self) -> None:
        page = (MANUAL / "nswatch.1").read_text()
        long = "$ nswatch watch " + "--json " * 10
        self.assertEqual(broken(f"{page}\n.Dl {long}", 80), [long.strip()])
        self.assertEqual(broken(f"{page}\n.Bd -literal -offset indent\n{long}\n.Ed", 80), [long.strip()])
        self.assertEqual(broken(f"{page}\n.Pp\n" + ".Ql ip netns\n" * 7, 80), ["\u2018ip\n     netns\u2019"])


class Manual(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.header = HEADER.read_text()
        self.functions = functions(self.header)

    def test_every_function_has_one_page(self) -> None:
        documented = [name for page in PAGES.values() for name in names(page)]
        self.assertEqual(sorted(documented), sorted(["nswatch", *self.functions]))

    def test_the_prototypes_are_those_of_the_header(self) -> None:
        for file, page in PAGES.items():
            with self.subTest(file):
                about = [name for name in names(page) if name != "nswatch"]
                self.assertEqual(prototypes(page), {name: self.functions[name].prototype for name in about})

    def test_the_errors_are_those_of_the_header(self) -> None:
        documented = {name: each for page in PAGES.values() for name, each in errors(page).items()}
        declared = {name: errors_of_header(function.comment) for name, function in self.functions.items()}
        self.assertEqual({name: documented.get(name, set()) for name in declared}, declared)
        self.assertLessEqual(set(documented), set(declared))

    def test_every_constant_is_documented(self) -> None:
        documented = {
            name
            for page in PAGES.values()
            for line in re.findall(r"^\.(?:It )?Dv (.+)$", page, flags=re.MULTILINE)
            for name in line.split()
        }
        self.assertEqual(set(constants(self.header)) - documented, set())
        self.assertEqual(
            {name for name in documented if name.startswith(("NSW_", "NSID_"))} - set(constants(self.header)), set()
        )

    def test_the_examples_are_c(self) -> None:
        for file, page in PAGES.items():
            self.assertTrue(examples(page), f"{file} has no example")
            for program in examples(page):
                with self.subTest(file):
                    command = ["cc", *STRICT, f"-I{HEADER.parent}", "-fsyntax-only", "-x", "c", "-"]
                    done = subprocess.run(command, check=False, input=program, capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_this_test_sees_what_is_different(self) -> None:
        page = PAGES["nsw_open.3"]
        self.assertNotEqual(prototypes(page.replace("int timeout_ms", "uint32_t timeout_ms")), prototypes(page))
        self.assertNotEqual(errors(page.replace(".It Er ESTALE", ".It Er EBUSY")), errors(page))
        self.assertNotEqual(names(page.replace(".Nm nsw_stat", ".Nm nsw_state")), names(page))
        self.assertEqual(
            errors_of_header("Needs -EX.\n\n Returns 0, or\n -EINVAL: a\n -EA, -EB: c"), {"EINVAL", "EA", "EB"}
        )


if __name__ == "__main__":
    unittest.main()
