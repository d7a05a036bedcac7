"""The chart of a whole run: one panel for each thing that is asked most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan

from benchmarks.charts.bars import Bar, Panel, draw
from benchmarks.charts.drawing import FLOOR, OURS, PEER
from benchmarks.contestants import BASELINE, ENTRIES, MAPPED
from benchmarks.figures import Results


@dataclass(frozen=True, slots=True)
class Subject:
    """What one panel shows, and of whom."""

    title: str
    note: str
    measure: str
    figure: str
    takes_part: Callable[[str], bool]
    is_more_better: bool = True


def _takes_tasks(name: str) -> bool:
    """Whether it is a pool that takes task by task, or a floor of such pools."""
    return ("payload" in ENTRIES[name].measures and name != "joblib") or _is_floor(name)


def _maps(name: str) -> bool:
    return name.endswith("-map") or name == "joblib"


def _is_floor(name: str) -> bool:
    return ENTRIES[name].module == "floor"


def _anyone(name: str) -> bool:
    return True


SUBJECTS = (
    Subject(
        "Tasks per second",
        "no-ops added at once, each awaited",
        "rate",
        "tasks_per_s",
        _takes_tasks,
    ),
    Subject(
        "Round trip",
        "one no-op awaited, median, microseconds",
        "round-trip",
        "p50_us",
        _takes_tasks,
        is_more_better=False,
    ),
    Subject("Mapped items per second", "no-ops in one bulk call", "rate", "tasks_per_s", _maps),
    Subject("64 MB array, there and back", "MB per second", "payload", "echo_mb_per_s", _anyone),
    Subject("256 MB array shared by tasks", "tasks per second", "shared", "tasks_per_s", _anyone),
    Subject(
        "First result",
        "from no pool at all, milliseconds",
        "first-result",
        "first_ms",
        _takes_tasks,
        is_more_better=False,
    ),
)


def overview(described: dict[str, str], names: Sequence[str], results: Results) -> str:
    """Return the chart as SVG; contestants without a figure are left out."""
    panels = [_panel(subject, names, results) for subject in SUBJECTS]
    title = "workpool beside other process pools"
    note = "2 workers, medians of one run; " + "; ".join(
        described[part] for part in ("processor", "python")
    )
    return draw(title, note, [panel for panel in panels if panel.bars])


def _panel(subject: Subject, names: Sequence[str], results: Results) -> Panel:
    bars = [
        Bar(_label(name), value, _kind(name))
        for name in names
        if subject.takes_part(name)
        and not isnan(value := results.median(subject.measure, name, subject.figure))
    ]
    return Panel(subject.title, subject.note, bars, subject.is_more_better)


def _label(name: str) -> str:
    """Return a title that fits beside a bar."""
    short = {
        BASELINE: "asyncio + ProcessPoolExecutor",
        "executor": "ProcessPoolExecutor",
        "pool-apply": "multiprocessing.Pool",
        MAPPED: "multiprocessing.Pool.map",
        "bare-futures": "asyncio, no process",
        "ping-pong": "socket ping-pong",
        "ping-pong-together": "ping-pong, one core",
        "ping-pong-apart": "ping-pong, two cores",
        "memory-copy": "copy in memory",
    }
    return short.get(name, ENTRIES[name].title.removeprefix("floor: ").replace(", apply_async", ""))


def _kind(name: str) -> str:
    return FLOOR if _is_floor(name) else OURS if name.startswith("workpool") else PEER
