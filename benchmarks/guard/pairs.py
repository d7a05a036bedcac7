"""What is compared with what. Imports nothing but names: the runner needs no pool."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contestants import (
    BASELINE,
    MAPPED,
    OURS,
    OURS_EXECUTOR,
    OURS_EXECUTOR_MAP,
    OURS_MAP,
    OURS_SYNC,
    SUBMITTED,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a pair: how it is taken (a name in `figures.py`), and of how many tasks."""

    how: str
    ours: int
    theirs: int
    """Other numbers where the other is so slow that the same would take too long."""


TASKS = Figure("tasks", 1_000, 100)
ROUND_TRIP = Figure("round trip", 40, 40)
MAPPED_ITEMS = Figure("mapped items", 30_000, 30_000)
UNEVEN = Figure("uneven work", 1, 1)
ARRAY = Figure("16 MB array", 2, 2)
FIRST = Figure("first result", 1, 1)
WALL_ONLY = {UNEVEN.how}
"""Figures whose tasks use processor time until a certain time is over."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two contestants in one process, and what is measured of them in turns."""

    ours: str
    theirs: str
    function: str
    """The task, a name in `benchmarks.tasks`."""
    figures: tuple[Figure, ...]


PAIRS: dict[str, Pair] = {
    "asyncio": Pair(OURS, BASELINE, "noop", (TASKS, ROUND_TRIP)),
    "sync": Pair(OURS_SYNC, SUBMITTED, "noop", (TASKS, ROUND_TRIP)),
    "executor": Pair(OURS_EXECUTOR, SUBMITTED, "noop", (TASKS, ROUND_TRIP)),
    "map": Pair(OURS_MAP, MAPPED, "noop", (MAPPED_ITEMS,)),
    "executor map": Pair(OURS_EXECUTOR_MAP, MAPPED, "noop", (MAPPED_ITEMS,)),
    "uneven": Pair(OURS, BASELINE, "spin", (UNEVEN,)),
    "arrays": Pair(OURS, BASELINE, "deliver", (ARRAY,)),
    "start": Pair(OURS, SUBMITTED, "noop", (FIRST,)),
}
