"""What Sphinx makes of the pages that docs/site/build collects."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ["SITE_BUILD"])

project = "nswatch"
version = release = re.findall(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text())[0]
extensions = ["myst_parser", "breathe", "sphinx.ext.autodoc"]
exclude_patterns = ["README.md"]  # index.md includes it
highlight_language = "none"
smartquotes = False
# types of others in signatures
nitpick_ignore_regex = [(r"(c|cpp):identifier", ".*"), (r"py:.*", r"(?!nswatch\.[A-Z]).*")]
suppress_warnings = ["misc.highlighting_failure"]  # code of which a part is left out, as `…`

myst_heading_anchors = 6

breathe_projects = {"c": str(BUILD / "doxygen/c"), "cpp": str(BUILD / "doxygen/cpp")}
breathe_show_define_initializer = True
breathe_domain_by_extension = {"h": "c", "hpp": "cpp"}

# autodoc imports the package, which loads the library; nothing calls it here
patch("ctypes.CDLL").start()
patch("ctypes.PyDLL").start()
sys.path.insert(0, str(ROOT / "bindings/python"))
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"nswatch {version}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_extra_path = [str(BUILD / "extra")]
html_copy_source = False
html_show_copyright = False
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}


def errors_as_list(_app: object, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Makes an item of a list of each line that begins with names of errors, as `EACCES, EPERM: `."""
    in_list = False
    for number, line in enumerate(list(lines)):
        if re.match(r"E[A-Z0-9]+(, E[A-Z0-9]+)*: ", line):
            lines[number] = f"* {line}" if in_list else f"\n* {line}"
            in_list = True
        elif not line or line.startswith(" "):
            in_list = False
        elif in_list:
            lines[number] = f"  {line}"
    lines[:] = "\n".join(lines).split("\n")


def setup(app: object) -> None:
    app.connect("autodoc-process-docstring", errors_as_list)  # type: ignore[attr-defined]
