"""Several workers started at once: how long until all are ready, and whose time it takes."""

from __future__ import annotations

import asyncio
import resource
from time import perf_counter
from typing import NamedTuple

from benchmarks.start_costs import entrypoints
from workpool import WorkerPool


class Crowd(NamedTuple):
    """Milliseconds for a number of workers, all started at the pool's entry."""

    entry: float
    """Until the block is entered: for so long the event loop is blocked."""
    ready: float
    """Until the last worker is ready."""
    ours: float
    """Processor time of the pool's process."""
    theirs: float
    """Processor time of the workers."""


def measure(sizes: tuple[int, ...], rounds: int) -> dict[int, Crowd]:
    """Return the least of each by number of workers; the numbers alternate."""
    seen = [{size: asyncio.run(_start(size)) for size in sizes} for _ in range(rounds)]
    columns = {size: zip(*(each[size] for each in seen), strict=True) for size in sizes}
    return {size: Crowd(*map(min, columns[size])) for size in sizes}


async def _start(size: int) -> Crowd:
    ours, theirs = _processor_time(resource.RUSAGE_SELF), _processor_time(resource.RUSAGE_CHILDREN)
    start = perf_counter()
    async with WorkerPool(entrypoints.when, max_workers=size, min_workers=size) as pool:
        entry = perf_counter() - start
        while sum(worker.state == "idle" for worker in pool.workers) < size:
            await asyncio.sleep(0.0005)
        ready = perf_counter() - start
    ours = _processor_time(resource.RUSAGE_SELF) - ours
    theirs = _processor_time(resource.RUSAGE_CHILDREN) - theirs
    return Crowd(*(1000 * seconds for seconds in (entry, ready, ours, theirs)))


def _processor_time(whose: int) -> float:
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime
