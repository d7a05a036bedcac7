"""Where the time of a `gather` of tiny tasks goes, beside a `gather` of futures that nobody works for."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from operator import pos
from typing import Any, NamedTuple

from benchmarks.figures import median
from benchmarks.report import table
from workpool import Task, WorkerPool

TASKS = 100_000
WORKERS = 2
ROUNDS = 5

Adder = Callable[[int], "asyncio.Future[Any]"]


class Slotted(asyncio.Future[Any]):
    """A future as large as a task, with nothing in it."""

    __slots__ = tuple(f"slot_{number}" for number in range(len(Task.__slots__)))


class Split(NamedTuple):
    """One gather of `TASKS`, microseconds per task."""

    added: float
    gathered: float
    awaited: float
    all: float
    collecting: float
    """How much of `all` went into garbage collection."""


async def split(add: Adder, work: Callable[[list[Any]], None]) -> Split:
    """Measure one gather; `work` is told the futures that nobody else would give a result."""
    loop = asyncio.get_running_loop()
    gc.collect()
    with _collections_timed() as collecting:
        times = [time.perf_counter()]
        futures = [add(number) for number in range(TASKS)]
        times.append(time.perf_counter())
        loop.call_soon(work, futures)
        gathered = asyncio.gather(*futures)
        times.append(time.perf_counter())
        await gathered
        times.append(time.perf_counter())
    parts = [after - before for before, after in pairwise(times)]
    scale = 1e6 / TASKS
    return Split(*(part * scale for part in (*parts, times[-1] - times[0], sum(collecting))))


async def measure() -> dict[str, list[Split]]:
    """Return the splits of `ROUNDS` rounds by what was gathered, taken in turns."""
    loop = asyncio.get_running_loop()
    async with WorkerPool[int, int](pos, max_workers=WORKERS) as pool:
        await asyncio.gather(*map(pool.add_task, range(TASKS)))
        ways: dict[str, tuple[Adder, Callable[[list[Any]], None]]] = {
            "bare futures": (lambda _: loop.create_future(), _end_all),
            "futures as large as tasks": (lambda _: Slotted(loop=loop), _end_all),
            "tasks of workpool": (pool.add_task, lambda _: None),
        }
        splits: dict[str, list[Split]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                splits[name].append(await split(*way))
    return splits


def gathers() -> str:
    """Return the table, medians of the rounds."""
    rows = [
        [name, *(f"{median(column):.2f}" for column in zip(*rounds, strict=True))]
        for name, rounds in asyncio.run(measure()).items()
    ]
    headings = ["us of each", "making or adding", "gather", "awaiting it", "all"]
    return table([*headings, "of it garbage collection"], rows)


def _end_all(futures: list[Any]) -> None:
    for number, future in enumerate(futures):
        future.set_result(number)


@contextmanager
def _collections_timed() -> Iterator[list[float]]:
    seconds: list[float] = []
    began = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            seconds.append(time.perf_counter() - began)

    gc.callbacks.append(note)
    try:
        yield seconds
    finally:
        gc.callbacks.remove(note)
