"""Prints a C library that has nothing but what a nswatch.h declares: the ABI, for abidw to read from its debugging
information. That of the real library tells of Rust's private types, which change with every compiler; that they and the
header agree is the business of cbindgen, which generates the header."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/support"))

from header import constants, functions

text = Path(sys.argv[1]).read_text()
print("#include <nswatch.h>")
# a program has the constants compiled in: their values are as fixed as a prototype; each is a type of its own, so that
# another is an addition and no change of this one
for name in constants(text):
    if not name.startswith("NSW_VERSION_"):
        print(f"enum type_{name} {{ value_{name} = {name} }};")
        print(f"void constant_{name}(enum type_{name} value) {{ (void)value; }}")
for function in functions(text).values():
    result = "" if function.prototype.startswith("void ") else "return 0; "
    print(f"{function.prototype} {{ {result}}}")
