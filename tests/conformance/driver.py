"""The driver of the conformance tests in Python: README.md has the protocol."""

import errno
import os
import sys

import nswatch

PATIENCE = 20.0


def options(words: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name in ("no-replay", "no-parent", "no-mount-events", "no-symlinks"):
            found[name.removeprefix("no-").replace("-", "_")] = False
        elif not value:
            found[name.replace("-", "_")] = True
        elif name == "dir":
            found["dir"] = value
        elif name == "settle":
            found["settle"] = int(value) / 1000
        elif name in ("rcvbuf", "max-names"):
            found[name.replace("-", "_")] = int(value)
        else:
            capacity, _, found["queue_policy"] = value.partition(",")
            found["queue"] = int(capacity)
    return found


def or_none(nsid: int | None) -> int:
    return -1 if nsid is None else nsid


def hexadecimal(text: str | None) -> str:
    return "-" if text is None else os.fsencode(text).hex()


def line(event: nswatch.Event) -> str:
    numbers = (event.dev or 0, event.ino or 0, event.cookie or 0, or_none(event.nsid), or_none(event.origin))
    more = (event.portid or 0, event.dropped or 0, event.time_ns, event.pid or 0, hexadecimal(event.path))
    return " ".join(map(str, ("event", event.type, int(event.replayed), hexadecimal(event.name), *numbers, *more)))


class Driver:
    watcher: nswatch.Watcher
    event: nswatch.Event
    kept: nswatch.Netns

    def open(self, source: str, *words: str) -> None:
        self.watcher = nswatch.Watcher(source, **options(list(words)))  # type: ignore[call-overload]

    def wait(self) -> str:
        event = self.watcher.poll(PATIENCE)
        if event is None:
            return "nothing"
        self.event = event
        return line(event)

    def until(self, kind: str) -> str:
        while (answer := self.wait()) != "nothing" and str(self.event.type) != kind:
            print(answer)
        return answer

    def resync(self) -> None:
        self.watcher.resync()

    def stat(self, name: str) -> str:
        return f"stat {getattr(self.watcher.stats, name)}"

    def feature(self, name: str) -> str:
        return f"feature {int(nswatch.feature(nswatch.Feature[name.upper()]))}"

    def netns(self) -> str:
        with self.event.open_netns() as fd:
            status = os.fstat(fd)
        return f"netns {status.st_dev} {status.st_ino}"

    def identity(self, way: str, subject: str = "") -> nswatch.Netns:
        if way == "event":
            assert self.event.netns
            return self.event.netns
        if way == "pid":
            return nswatch.Netns.for_pid(int(subject))
        if way == "nsid":
            return nswatch.Netns.for_nsid(int(subject))
        if way == "fd":
            with open(subject) as namespace:
                return nswatch.Netns.for_fd(namespace)
        if way == "ready":
            return nswatch.wait_ready(subject, PATIENCE)
        return nswatch.Netns.for_name(subject)

    def identify(self, *words: str) -> str:
        self.kept = self.identity(*words)
        return f"netns {self.kept.dev} {self.kept.ino}"

    def same(self, *words: str) -> str:
        return f"same {int(self.kept.same(self.identity(*words)))}"

    def reopen(self, path: str) -> str:
        with self.kept.open(path) as fd:
            status = os.fstat(fd)
        return f"netns {status.st_dev} {status.st_ino}"

    def pid(self, pid: str) -> str:
        return f"nsid {or_none(nswatch.nsid_for_pid(int(pid)))}"

    def fd(self, path: str) -> str:
        with open(path) as namespace:
            return f"nsid {or_none(nswatch.nsid_for_fd(namespace))}"

    def name(self, name: str) -> str:
        return f"nsid {or_none(nswatch.nsid_for_name(name))}"

    def assign(self, path: str, wanted: str | None = None) -> str:
        with open(path) as namespace:
            return f"nsid {nswatch.assign_nsid(namespace, None if wanted is None else int(wanted))}"

    def translate(self, nsid: str, peer: str) -> str:
        return f"nsid {or_none(nswatch.translate_nsid(int(nsid), int(peer)))}"

    def list(self) -> str:
        return " ".join(["nsids", *map(str, nswatch.list_nsids())])

    def close(self) -> None:
        self.watcher.close()


def main() -> None:
    driver = Driver()
    for command in sys.stdin:
        word, *arguments = command.split()
        try:
            answer = getattr(driver, word)(*arguments) or "ok"
        except OSError as error:
            answer = f"error {error.errno}"
        except ValueError:  # an invalid argument, as Python reports it
            answer = f"error {errno.EINVAL}"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
