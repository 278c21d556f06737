"""Computes the tag of a wheel that carries the library, which pyproject.toml cannot do."""

import platform
import re
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel

LIBRARY = Path(__file__).parent / "nswatch/libnswatch.so.0"

# the libraries that manylinux promises on every system; the version of libgcc is that of the oldest manylinux
SYSTEM = re.compile(r"(libc|libm|libdl|libpthread|librt|libgcc_s|ld-linux[-\w]*)\.so\.\d+")
LIBGCC = (4, 8)
MUSL = re.compile(r"libc\.(so|musl-\w+\.so\.1)")
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}


def readelf(option: str) -> str:
    return subprocess.run(["readelf", "-W", option, str(LIBRARY)], check=True, capture_output=True, text=True).stdout


def newest(kind: str, versions: str) -> tuple[int, ...]:
    found = re.findall(rf"Name: {kind}_([\d.]+)", versions)
    return max((tuple(map(int, each.split("."))) for each in found), default=(0,))


def machine() -> str:
    """The machine of the library, which may differ from the machine that packs it."""
    name = re.findall(r"Machine: +(.*)", readelf("--file-header"))[0]
    return MACHINES.get(name, platform.machine())


def platform_tag() -> str:
    """manylinux_X_Y_ARCH for the oldest glibc with all the symbols; musllinux_1_2_ARCH if the library needs only musl;
    linux_ARCH if it needs more."""
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic"))
    versions = readelf("--version-info")
    glibc = newest("GLIBC", versions)
    if needed and all(map(MUSL.fullmatch, needed)):
        return f"musllinux_1_2_{machine()}"
    # pip requires both numbers, and no manylinux is older than this
    if all(map(SYSTEM.fullmatch, needed)) and newest("GCC", versions) <= LIBGCC and glibc > (2,):
        major, minor = max(glibc[:2], (2, 17))
        return f"manylinux_{major}_{minor}_{machine()}"
    return f"linux_{machine()}"


class Package(Distribution):
    def has_ext_modules(self) -> bool:
        return LIBRARY.exists()


class Wheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        # ctypes loads it, so the tag names no ABI of Python
        return ("py3", "none", platform_tag()) if LIBRARY.exists() else super().get_tag()


setup(distclass=Package, cmdclass={"bdist_wheel": Wheel})
