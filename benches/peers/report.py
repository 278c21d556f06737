"""Writes docs/benchmarks.md and its pictures from the results of a run."""

import datetime
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

FLOOR, OURS = "system calls in C", "nswatch, C"
READINESS = "mount(2) is called → READY, p50"
NAMES = (
    "some 1,500 instructions an event, counted by callgrind, an eighth of them in malloc(3): to copy the name, to keep"
    " the table of names, and to hand the event over. The raw loop only reads. Where the kernel takes less time for"
    " that, the ratio is worse; with opt-level 2 or 3 it is the same"
)
SCANS = (
    "opening takes some 3,300 instructions a name, counted by callgrind: for the table of names, the identity and two"
    " events; a resync has no events to make. The floor makes the system calls only"
)
IDS = (
    "nswatch compares up to 512 notifications with one list of the nsids, since a notification can be stale; the floor"
    " only receives"
)
#: Why a figure misses its target, by the figure's name.
CAUSES = {
    READINESS: "nine system calls, the floor four: nswatch also finds out which name the mount is on and where the"
    " thread is, and identifies the namespace. The same calls in a C program take half of the difference; the rest is"
    " code of the library, in a process that was asleep",
    f"{READINESS}, against the best other program": "libmount's monitor of util-linux 2.42 waits for the"
    " same notifications of the kernel, and prints at once; nswatch first identifies the namespace. The monitor reports"
    " mounts: it knows no names, no identity, nothing that existed before",
    "plain names, come and gone": NAMES,
    "plain names, going": NAMES,
    "plain names, come and there": "nswatch probes each new name, since inotify does not distinguish a file from a link"
    " to a namespace, or from a mount; the raw loop does not probe. One statx(2) takes half of the time of the event,"
    " or more. There is no system call for many names: getdents64(2) does not see mounts, and io_uring takes longer"
    " than one system call each (the row of statx(2))",
    "open and replay, 10000 namespaces": SCANS,
    "resync, 10000 namespaces": SCANS,
    "ids assigned": IDS,
    "ids gone": IDS,
    "an id alone": "four system calls, for which the kernel takes some 4.4 µs here: to read the notification (1.3), to"
    " ask whether it still holds, since it can be stale (1.6), to read the answer (1.0), and to find the queue empty"
    " (0.5)",
    "all: birth, from before unshare(2)": "nearly all of the floor is unshare(2), whose time differs by a third from"
    " minute to minute; the next row is without it. nswatch reads the records and looks for deaths by six system calls,"
    " the floor by one, and then opens and identifies the namespace and asks for a report of its death by nine",
    "all: death, from before kill(2)": "nswatch reads the report by one system call, as the floor does; the rest is the"
    " end of a process and of its namespace, whose time differs by a tenth from turn to turn (0.97, 1.12 and 1.03 in"
    " three runs in a row)",
    "all: a fork, 5000 a second, watched or not": "the kernel writes a record at each fork, also of a process that"
    " makes no namespace; +17, +18 and +23 µs in three runs on this machine",
    "all: `nswatch list --all` against lsns, 200 namespaces": "nswatch also reads the descriptors of all processes, to"
    " find namespaces that only a descriptor keeps, which lsns does not list",
    "stripped libnswatch.so": "what each part weighs: [architecture.md](architecture.md). A library with nothing in it"
    " but one `catch_unwind` has 264 KiB: the message of a panic brings the standard library's symbolizer, which stable"
    " Rust cannot leave out",
}

INTRODUCTION = """\
`make bench` writes this page (as root, some ten minutes, nothing else running): do not edit it, change
`benches/peers/report.py`. `benches/peers/install` installs the other programs. All run in `tests/sandbox` in turns, so
that other load affects all alike. How cost grows: [scaling.md](scaling.md).

The *floor* is the cost of the bare system calls in C. Such a program would be wrong for ever after an overflow, a
replaced name or a directory that disappears. *-*: the program cannot do this.
"""
NOTE = """\
Nanoseconds, microseconds of scans, and rates are processor time of the watching thread; *open and close* and all times
of readiness are elapsed time. Ratios are the median over the rounds. The languages have the least of 27 replays: what a
neighbor on the same processor takes only adds to it (up to seven tenths, for seconds). Heap is memory from malloc(3).
"""
VERSIONS = """\
The programs of Debian are the newest of its archive that run here, with the C library of their suite.
"""
EARLY = """\
Made as `ip netns add` does; the time begins before the call of mount(2). *-*: the program reports the file, and does
not report when the namespace can be opened. *Too early*: before mount(2) was called.
"""
COST = """\
*libmount monitor* reports mounts. Our program prints the last part of the path as the name: it reports neither plain
names nor existing namespaces. Processor time covers making and removing the namespaces, output included.
"""
STORM = """\
The kernel's queue holds 16 384 events. If it overflows, nswatch reports the overflow and then the differences. It does
not report names that appeared and disappeared in the gap. *queue*: a thread of the library reads from the kernel while
Python is busy (`queue=`).
"""
LIST = """\
Each namespace has one process. Elapsed time from the start of the program to its end.
"""
IDLE = """\
Counted by strace, all programs at the same time.
"""


def row(cells: list[Any], width: int) -> list[Any]:
    return cells + [""] * (width - len(cells))


def absent(results: dict[str, Any], load: str) -> dict[str, list[str]]:
    """The contestants that did not run in a load, and why: one reason a round."""
    return results.get("not run", {}).get(load, {})


def reason(reasons: list[str] | None) -> str:
    """Of the last round, for a cell."""
    return one_line(reasons[-1]) if reasons else "not run"


def one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def remarks(results: dict[str, Any], load: str, versions: dict[str, str]) -> str:
    """Below a table: which programs failed in some rounds, and which cannot do this."""
    samples, lines = results[load], []
    for name, reasons in absent(results, load).items():
        if samples.get(name):
            rounds = len(reasons) + len(samples[name])
            lines.append(f"{name}: {len(reasons)} of {rounds} rounds: {reason(reasons)}.\n")
    if others := [name for name in versions if name not in samples and name not in absent(results, load)]:
        lines.append(f"Not in this table, as they are not made for it: {'; '.join(others)}.\n")
    return "\n".join(lines)


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[round((len(values) - 1) * q)]


def table(heads: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def pooled(samples: list[dict], key: str) -> list[float]:
    return [value for sample in samples for value in sample[key]]


def is_of_use(samples: list[dict]) -> bool:
    """Whether it reports that namespaces can be opened: most of them, and hardly any before."""
    if not all(sample.get("readiness", True) for sample in samples):
        return False
    late = pooled(samples, "us")
    missing = sum(sample["missing"] for sample in samples)
    return len(late) > missing and early(late) <= len(late) / 50


def early(late: list[float]) -> int:
    """How many were reported before mount(2) was called."""
    return sum(us < 0 for us in late)


def readiness(load: dict[str, list[dict]], why: dict[str, list[str]] | None = None) -> tuple[str, list[Any]]:
    rows, facts = [], []
    floor = quantile(pooled(load[FLOOR], "us"), 0.5) if load.get(FLOOR) else None
    heads = [
        "Program",
        "From mount(2), p50 µs",
        "p99 µs",
        "Ratio to the floor",
        "Reported too early",
        "Reported",
        "Processor time, µs per namespace",
    ]
    for name, samples in load.items():
        if not samples:
            rows.append(row([name, reason((why or {}).get(name))], len(heads)))
            continue
        late = pooled(samples, "us")
        made = len(late) + sum(sample["missing"] for sample in samples)
        too_early = f"{early(late)} of {made}" if early(late) else "0"
        cost = number(statistics.median(sample["cpu_us"] for sample in samples))
        if not is_of_use(samples):
            rows.append([name, "-", "-", "-", too_early, f"{len(late)} of {made}", cost])
            continue
        median = quantile(late, 0.5)
        rows.append(
            [
                name,
                number(median),
                number(quantile(late, 0.99)),
                f"{median / floor:.2f}" if floor else "-",
                too_early,
                f"{len(late)} of {made}",
                cost,
            ]
        )
        facts.append((name, median))
    return table(heads, rows), facts


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def of_readiness(load: dict[str, list[dict]]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    medians = dict(readiness(load)[1])
    if OURS not in medians:
        return rows
    ours = medians[OURS]
    if FLOOR in medians:
        ratio, floor = ours / medians[FLOOR], f"{number(medians[FLOOR])} µs"
        rows.append([READINESS, f"{number(ours)} µs", floor, f"{ratio:.2f}", "<= 1.10", verdict(ratio <= 1.1)])
    peers = {name: late for name, late in medians.items() if name != FLOOR and not name.startswith("nswatch")}
    watchers = {name: late for name, late in peers.items() if not name.startswith("libmount")}
    for what, rivals in (("program", peers), ("watcher of namespaces", watchers)):
        if rivals:
            best = min(rivals, key=lambda name: rivals[name])
            times = rivals[best] / ours
            rows.append(
                [
                    f"{READINESS}, against the best other {what}",
                    f"{number(ours)} µs",
                    f"{number(rivals[best])} µs ({best})",
                    f"{number(times)} times as fast",
                    ">= 5",
                    verdict(times >= 5),
                ]
            )
    return rows


def of_plain_names(load: dict[str, list[dict]]) -> list[list[Any]]:
    queued = load.get("nswatch, Python, queue")
    if not queued:
        return []
    count = queued[0]["appeared"]
    figure = "100 000 plain names, Python with a queue: reported"
    return [[figure, f"{count:,}", "-", "-", "100,000", verdict(count == 100_000)]]


def of_floor(rows: list[list[str]]) -> list[list[Any]]:
    return [
        [
            figure,
            f"{number(float(ours))} {unit}",
            "-" if floor == "-" else f"{number(float(floor))} {unit}",
            ratio,
            target,
            met,
        ]
        for figure, unit, ours, _, floor, _, ratio, target, met in rows
    ]


def of_idle(load: dict[str, dict]) -> list[list[Any]]:
    if OURS not in load:
        return []
    calls = load[OURS]["calls"]
    return [["idle system calls in 60 s", calls, "0", "-", "0", verdict(calls == 0)]]


def of_languages(load: dict[str, list[dict]]) -> list[list[Any]]:
    least = {name: min(one["ns"] for one in samples) for name, samples in load.items() if samples}
    rows: list[list[Any]] = []
    for name, target in (("nswatch, Python", 4), ("nswatch, Go", 2)):
        if name in least and OURS in least:
            over = (least[name] - least[OURS]) / 1e3
            figure, floor = f"{name[9:]}: event to user code, over the C API", f"{number(least[OURS] / 1e3)} µs (C)"
            rows.append([figure, f"{number(over)} µs", floor, "-", f"<= {target} µs", verdict(over <= target)])
    return rows


def of_size(target: Path) -> list[list[Any]]:
    library, archive = target / "peers/libnswatch.stripped.so", target / "stage/lib/libnswatch.a"
    if not library.exists() or not archive.exists():
        return []
    size = library.stat().st_size / 1024
    return [
        [
            "stripped libnswatch.so",
            f"{size:.0f} KiB",
            "264 KiB",
            f"{size / 264:.2f}",
            "<= 560 KiB",
            verdict(size <= 560),
        ],
        ["libnswatch.a, not stripped", f"{archive.stat().st_size / 1024:,.0f} KiB", "-", "-", "-", "-"],
    ]


def targets(results: dict[str, Any], root: Path) -> str:
    rows = of_readiness(results.get("spaced", {}))
    rows += of_plain_names(results.get("plain", {}))
    rows += of_floor(results.get("floor", {}).get("rows", []))
    rows += of_idle(results.get("idle", {}))
    rows += of_languages(results.get("drain", {}))
    rows += of_size(Path(os.environ.get("CARGO_TARGET_DIR", root / "target")))
    for cells in rows:
        if cells[-1] == "MISSED" and cells[0] in CAUSES:
            cells[-1] += f": {CAUSES[cells[0]]}"
    return table(["Figure", "nswatch", "Floor, or other program", "Ratio or difference", "Target", "Result"], rows)


def storm(load: dict[str, list[dict]], expected: int, why: dict[str, list[str]]) -> str:
    heads = [
        "Program",
        "Reported as new",
        "Reported as gone",
        "Missing",
        "Processor time, µs per event and output line",
    ]
    rows = []
    for name, samples in load.items():
        if not samples:
            rows.append(row([name, reason(why.get(name))], len(heads)))
            continue
        one = samples[0]
        events = one["appeared"] + one["vanished"]
        each = f"{one['cpu_ms'] * 1e3 / events:.1f}" if events > expected / 10 else "-"
        said = (
            "new names: it reports namespaces only"
            if not one["appeared"] and one["vanished"] == expected
            else "nothing"
            if events == 2 * expected
            else "reports an overflow"
            if one["overflow"]
            else "**silently lost**"
            if events
            else "everything"
        )
        rows.append([name, f"{one['appeared']:,}", f"{one['vanished']:,}", said, each])
    return table(heads, rows)


def by_count(results: dict[str, Any], kind: str, head: str) -> str:
    """A column for each size of a load: the median, in milliseconds."""
    loads = [load for load in results if load.split()[0] == kind and load != kind]
    rows = []
    for name in results[loads[0]] if loads else []:
        cells = []
        for load in loads:
            if not (samples := results[load].get(name)):
                why = reason(absent(results, load).get(name))
                cells.append("" if why in cells else why)
                continue
            ms = [ms for one in samples for ms in (one["ms"] if isinstance(one["ms"], list) else [one["ms"]])]
            lost = [one for one in samples if one.get("listed") != one.get("made")]
            cells.append(number(statistics.median(ms)) + "".join(f" ({one['listed']} listed)" for one in lost[:1]))
        rows.append([name, *cells])
    return table([head, *(load.split()[1] for load in loads)], rows)


def idle(load: dict[str, Any], why: dict[str, list[str]]) -> str:
    rows = [[name, one["calls"]] for name, one in load.items()]
    rows += [[name, reason(reasons)] for name, reasons in why.items()]
    return table(["Program", "System calls in 60 s"], rows)


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{cpu}, {os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"


def plots(results: dict[str, Any], where: Path) -> list[str]:
    try:
        import matplotlib
    except ImportError:
        print("report: no pictures: matplotlib is missing (benches/peers/install)", file=sys.stderr)
        return [path.name for path in sorted(where.glob("*.svg"))]
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams |= {
        "svg.hashsalt": "nswatch",
        "svg.fonttype": "none",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    where.mkdir(exist_ok=True)
    made = []

    def save(name: str) -> None:
        plt.savefig(where / name, metadata={"Date": None}, bbox_inches="tight")
        plt.close()
        made.append(name)

    def colour(name: str) -> str:
        return "#1b6ca8" if name.startswith("nswatch") else "#999999" if name == FLOOR else "#d98032"

    if "spaced" in results:
        load = {
            name: pooled(samples, "us") for name, samples in results["spaced"].items() if samples and is_of_use(samples)
        }
        never = [name for name, samples in results["spaced"].items() if samples and not is_of_use(samples)]
        _, axes = plt.subplots(figsize=(7, 0.5 * len(load) + 1))
        for at, (name, late) in enumerate(reversed(load.items())):
            median, high = quantile(late, 0.5), quantile(late, 0.99)
            axes.barh(at, median, color=colour(name))
            axes.plot([median, high], [at, at], color=colour(name), linewidth=2)
            axes.text(high * 1.15, at, f"{number(median)} µs", va="center")
        axes.set_yticks(range(len(load)), list(reversed(load)))
        axes.set_xscale("log")
        axes.set_xlim(1, 3e7)
        axes.set_xlabel(
            "µs from mount(2) to the report that the namespace can be opened: median, line to the 99th percentile"
        )
        axes.set_title(
            "Report that a namespace can be opened"
            + (f"\n(before it can be, or never: {', '.join(never)})" if never else ""),
            loc="left",
        )
        save("ready.svg")
    if "floor" in results:
        # a target without a unit is a ratio
        rows = [row for row in results["floor"]["rows"] if len(row[7].split()) == 2]
        _, axes = plt.subplots(figsize=(7, 0.38 * len(rows) + 1))
        for at, (*_, ratio, target, met) in enumerate(reversed(rows)):
            value, limit = float(ratio), float(target.split()[1])
            if target.startswith(">="):
                value, limit = 1 / value, 1 / limit
            axes.barh(at, value, color="#d98032" if met == "MISSED" else "#1b6ca8")
            axes.plot([limit, limit], [at - 0.4, at + 0.4], color="black")
            axes.text(max(value, limit) + 0.08, at, f"{value:.2f}", va="center")
        axes.axvline(1, color="#999999", linestyle=":")
        axes.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        axes.set_xlabel("cost relative to the bare system calls in C; black: the target")
        axes.set_title("Cost of nswatch relative to the system calls", loc="left")
        save("floor.svg")
    return made


def write(results: dict[str, Any], versions: dict[str, str], root: Path) -> None:
    docs = root / "docs"
    pictures = plots(results, docs / "benchmarks")
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    parts = [
        "# Benchmarks\n",
        INTRODUCTION,
        f"{datetime.date.today()}, {machine()}; load average {load}.\n",
        table(["Program", "Version"], [[name, one_line(version)] for name, version in versions.items()]),
        VERSIONS,
        "## Targets\n",
        targets(results, root),
        NOTE,
    ]
    parts += [f"![{name[:-4]}](benchmarks/{name})\n" for name in pictures]

    def section(load: str, title: str, *texts: str) -> None:
        if load in results:
            parts.extend([f"## {title}\n", *texts, remarks(results, load, versions)])

    def ready(load: str) -> str:
        return readiness(results[load], absent(results, load))[0] if load in results else ""

    def stormy(load: str, expected: int) -> str:
        return storm(results[load], expected, absent(results, load)) if load in results else ""

    section("spaced", "Time to READY, one namespace every 2 ms", EARLY, COST, ready("spaced"))
    section("full", "Time to READY, at full speed", ready("full"))
    section("plain", "100 000 plain names, each made and removed at once", STORM, stormy("plain", 100_000))
    section("ids", "10 000 nsids assigned, their namespaces removed at once", stormy("ids", 10_000))
    head = "Program: ms from its start until everything is listed"
    section("open 10", "Listing names at the start", by_count(results, "open", head))
    head = "Program: ms from its start to its end"
    section("list 10", "Listing all namespaces", LIST, by_count(results, "list", head))
    if "idle" in results:
        section("idle", "Idle for 60 s", IDLE, idle(results["idle"], absent(results, "idle")))
    (docs / "benchmarks.md").write_text("\n".join(filter(None, parts)))
