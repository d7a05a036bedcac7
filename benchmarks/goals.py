"""What workpool promises of itself, held against the figures of a run."""

from dataclasses import dataclass
from math import isnan, nan

from benchmarks.contestants import (
    APPLIED,
    BARE_FUTURES,
    BASELINE,
    ENTRIES,
    MAPPED,
    MEMORY_COPY,
    OURS,
    OURS_EXECUTOR,
    OURS_EXECUTOR_MAP,
    OURS_MAP,
    OURS_SYNC,
    OURS_SYNC_MAP,
    PING_PONG,
    PYTHON_PASS,
    SUBMITTED,
)
from benchmarks.figures import Results

MEGABYTE_KB = 1024.0
CLOCK_TICK_MS = 10.0
"""What the kernel's own accounting resolves; less than this of all workers together over the
whole time is as good as nothing: 0.2 % of one core in 5 s."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise and what was measured; `value` is NaN where nothing was."""

    what: str
    value: float
    bound: float
    is_minimum: bool = False
    """Whether the value must be at least the bound, not at most."""
    unit: str = "x"
    ours: float = nan
    """Of a ratio: what workpool's figure was, what the other's, what the floor's, if there is one."""
    theirs: float = nan
    floor: float = nan
    figure_unit: str = ""

    @property
    def limit(self) -> str:
        """The promise as text."""
        return f"at {'least' if self.is_minimum else 'most'} {self.bound:,g} {self.unit}"

    @property
    def verdict(self) -> str:
        """`reached`, `missed` or `not measured`."""
        if isnan(self.value):
            return "not measured"
        is_met = self.value >= self.bound if self.is_minimum else self.value <= self.bound
        return "reached" if is_met else "missed"


def goals(results: Results) -> list[Goal]:
    """Return all goals with the values of this run, floors among those they are held against."""
    return [
        *_awaited(results),
        *_blocking(results, OURS_SYNC),
        *_blocking(results, OURS_EXECUTOR),
        *_mapped(results),
        *_skewed(results),
        *_arrays(results),
        _ratio(results, "first-result", "first_ms", OURS, PYTHON_PASS, 2),
        *_backlog(results),
        *_crowd(results),
    ]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a measure: what it is called in the table, which unit it has there."""

    title: str
    unit: str
    is_rate: bool = False
    """Whether more is better."""
    floor: str = ""
    """The contestant that is the floor of all faces."""


FIGURES = {
    "tasks_per_s": Figure("no-op tasks per second", "/s", is_rate=True),
    "ten_million_per_s": Figure("10,000,000 no-ops per second", "/s", is_rate=True),
    "p50_us": Figure("round trip p50", "us", floor=PING_PONG),
    "first_ms": Figure("first result of one worker", "ms", floor=PYTHON_PASS),
    "times_ideal": Figure("makespan of skewed work", "x ideal"),
    "ends_mb_per_s": Figure("64 MB array, one way", "MB/s", is_rate=True, floor=MEMORY_COPY),
    "echo_mb_per_s": Figure("64 MB array, there and back", "MB/s", is_rate=True, floor=MEMORY_COPY),
}


def _ratio(
    results: Results,
    measure: str,
    name: str,
    ours: str,
    theirs: str,
    bound: float,
    floor: str = "",
) -> Goal:
    """Hold one of workpool's figures against another contestant's; name a floor if there is one."""
    figure = FIGURES[name]
    return Goal(
        f"{ENTRIES[ours].title}: {figure.title}, to {_name(theirs)}",
        results.ratio(measure, ours, name, theirs),
        bound,
        is_minimum=figure.is_rate,
        ours=results.median(measure, ours, name),
        theirs=results.median(measure, theirs, name),
        floor=results.median(measure, floor or figure.floor, name),
        figure_unit=figure.unit,
    )


def _name(contestant: str) -> str:
    """Return a contestant's title as it stands in a sentence."""
    return ENTRIES[contestant].title.removeprefix("floor: ")


def _awaited(results: Results) -> list[Goal]:
    """Goals of the pool that is awaited."""
    return [
        _ratio(results, "rate", "tasks_per_s", OURS, BASELINE, 25, BARE_FUTURES),
        _ratio(results, "rate", "tasks_per_s", OURS, APPLIED, 7, BARE_FUTURES),
        _ratio(results, "rate", "tasks_per_s", OURS, BARE_FUTURES, 0.7, BARE_FUTURES),
        _ratio(results, "round-trip", "p50_us", OURS, BASELINE, 0.2),
        _ratio(results, "round-trip", "p50_us", OURS, PING_PONG, 3),
    ]


def _blocking(results: Results, face: str) -> list[Goal]:
    """Goals of a face without asyncio, to the executor that it can stand in for."""
    return [
        _ratio(results, "rate", "tasks_per_s", face, SUBMITTED, 8),
        _ratio(results, "round-trip", "p50_us", face, SUBMITTED, 0.5),
    ]


def _mapped(results: Results) -> list[Goal]:
    """Goals of bulk calls of 10,000,000 items."""
    faces = (OURS_MAP, OURS_SYNC_MAP, OURS_EXECUTOR_MAP)
    return [_ratio(results, "bulk", "ten_million_per_s", face, MAPPED, 1) for face in faces]


def _skewed(results: Results) -> list[Goal]:
    """Goals of uneven work: near the ideal, and before the best of the others."""
    peers = [
        name
        for (measure, name) in results.rounds
        if measure == "skew" and not name.startswith(OURS)
    ]
    ideal = results.median("skew", OURS, "times_ideal")
    found = [Goal("workpool: makespan of skewed work, to the ideal", ideal, 1.03)]
    if peers:
        best = min(peers, key=lambda name: results.median("skew", name, "times_ideal"))
        found.append(_ratio(results, "skew", "times_ideal", OURS, best, 1))
    return found


def _arrays(results: Results) -> list[Goal]:
    """Goals of large arrays, each with a task of its own or one for many."""
    copies = results.median("shared", OURS, "copies")
    return [
        _ratio(results, "payload", "ends_mb_per_s", OURS, BASELINE, 3.5),
        _ratio(results, "payload", "echo_mb_per_s", OURS, BASELINE, 3.5),
        _ratio(results, "payload", "ends_mb_per_s", OURS, MEMORY_COPY, 0.8),
        Goal(
            f"workpool: tasks per second that share 256 MB, to {_name(BASELINE)}",
            results.ratio("shared", OURS, "tasks_per_s", BASELINE),
            20,
            is_minimum=True,
            ours=results.median("shared", OURS, "tasks_per_s"),
            theirs=results.median("shared", BASELINE, "tasks_per_s"),
            figure_unit="/s",
        ),
        Goal("workpool: memory for what 100 tasks share", copies, 1.25, unit="copies"),
    ]


def _backlog(results: Results) -> list[Goal]:
    """Goals of very many waiting tasks."""
    added = results.median("backlog", OURS, "adds_per_s")
    size = results.median("backlog", OURS, "bytes_per_task")
    return [
        Goal("workpool: tasks added per second", added, 300_000, is_minimum=True, unit="/s"),
        Goal("workpool: parent's memory per waiting task", size, 500, unit="bytes"),
    ]


def _crowd(results: Results) -> list[Goal]:
    """Goals of the many idle workers; the largest worker counts, by the stricter figure."""
    cpu = results.median("crowd", OURS, "workers_cpu_ms")
    excess = [
        results.median("crowd", OURS, f"{kind}_largest_kb")
        - results.median("crowd", OURS, f"{kind}_reference_kb")
        for kind in ("Uss", "Pss", "Rss")
    ]
    return [
        Goal("workpool: processor time of all idle workers", cpu, CLOCK_TICK_MS, unit="ms"),
        Goal(
            "workpool: largest worker's memory above an interpreter with the same module",
            max(excess) / MEGABYTE_KB,
            4,
            unit="MB",
        ),
    ]
