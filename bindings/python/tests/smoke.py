"""A short test of an installed wheel, in a sandbox. Requires mount(8) and umount(8)."""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

import nswatch
from nswatch import EventType

DEADLINE = 60.0  # an emulated machine is slow


def main() -> None:
    package = Path(nswatch.__file__).resolve().parent
    mapped = Path("/proc/self/maps").read_text()
    assert f"{package}/libnswatch.so.0\n" in mapped, "the library is not that of the wheel"
    assert nswatch.__version__ == nswatch.library_version()
    features = " ".join(each.name.lower() for each in nswatch.Feature if nswatch.feature(each))
    with tempfile.TemporaryDirectory() as directory, nswatch.Watcher(dir=directory) as watcher:
        name = Path(directory, "blue")
        name.touch()
        subprocess.run(["mount", "--bind", "/proc/self/ns/net", name], check=True)
        seen: list[EventType] = []
        while not seen or seen[-1] != EventType.DELETED:
            event = watcher.poll(DEADLINE)
            assert event is not None, f"no event after {seen}"
            if event.type == EventType.READY:
                assert event.name == "blue"
                assert event.netns is not None
                assert event.netns.same(nswatch.Netns.for_pid(os.getpid()))
                subprocess.run(["umount", name], check=True)
                name.unlink()
            seen.append(event.type)
        assert EventType.READY in seen, seen
    system = os.uname()
    print(f"Python {platform.python_version()}, nswatch {nswatch.__version__}, {system.release} {system.machine}")
    print(features)
    print(*seen)


main()
