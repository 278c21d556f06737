"""Prints a C library with only the declarations of an nswatch.h, whose debugging information abidw reads. The debugging
information of the real library contains Rust's private types, which change with every compiler. cbindgen, which
generates the header, keeps the library and the header equal."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/support"))

from header import constants, functions

text = Path(sys.argv[1]).read_text()
print("#include <nswatch.h>")
# programs have the constants compiled in, so their values belong to the ABI; each is a type of its own, so that a new
# constant is an addition and not a change
for name in constants(text):
    if not name.startswith("NSW_VERSION_"):
        print(f"enum type_{name} {{ value_{name} = {name} }};")
        print(f"void constant_{name}(enum type_{name} value) {{ (void)value; }}")
for function in functions(text).values():
    result = "" if function.prototype.startswith("void ") else "return 0; "
    print(f"{function.prototype} {{ {result}}}")
