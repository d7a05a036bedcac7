"""A thousand restarts of workers, and what the parent has more after them.

The workers end in every way there is, in turn. The first restarts come before the first census: they
fill the interpreter's caches and the allocator's arenas. Both censuses are taken in the same
state: garbage collected, all workers ready and idle.
"""

import asyncio
import os
import signal
import time
from itertools import cycle, islice
from typing import Any

from benchmarks.reliability.census import Census, take_census
from benchmarks.reliability.finding import Finding, none_of
from benchmarks.reliability.settings import Settings
from benchmarks.reliability.tasks import EXIT, NOOP, SEGFAULT, perform
from workpool import WorkerCrashed, WorkerPool

Pool = WorkerPool[str, int]

WORKERS = 2
RESIDENT_MB = 2
WAYS = ("SIGKILL from outside", "kill", "retire", EXIT, SEGFAULT)


def measure(settings: Settings) -> list[Finding]:
    """Compare the censuses before and after."""
    return asyncio.run(_measure(settings))


async def _measure(settings: Settings) -> list[Finding]:
    async with WorkerPool(perform, max_workers=WORKERS) as pool:
        starts = _Starts(pool)
        await _restart(pool, starts, settings.restarts_before, settings.patience)
        before, started = take_census(), starts.count
        await _restart(pool, starts, settings.restarts, settings.patience)
        after, restarts = take_census(), starts.count - started
    return [
        *_compare(before, after, f"after {restarts} restarts"),
        none_of("restarts that did not come about", max(0, settings.restarts - restarts)),
    ]


def _compare(before: Census, after: Census, remark: str) -> list[Finding]:
    names = ("descriptors", "memfds", "children", "zombies", "threads")
    counts = [
        none_of(f"{name} more", getattr(after, name) - getattr(before, name), remark)
        for name in names
    ]
    grown = (after.resident - before.resident) / 1e6
    resident = f"{before.resident / 1e6:.1f} MB before"
    return [*counts, Finding("resident memory more", grown, RESIDENT_MB, "MB", resident)]


class _Starts:
    """Counts the workers that a pool has launched."""

    def __init__(self, pool: Pool) -> None:
        self.count = 0
        pool.on("worker-launched", self._launched)

    def _launched(self, _worker: Any) -> None:
        self.count += 1


async def _restart(pool: Pool, starts: _Starts, restarts: int, patience: float) -> None:
    """End workers in one way after another until so many have been replaced."""
    await _all_idle(pool, patience)
    for way in islice(cycle(WAYS), restarts):
        before = starts.count
        await asyncio.wait_for(_end_one(pool, way), patience)
        await _all_idle(pool, patience)
        assert starts.count > before, f"a worker that ended by {way} was not replaced"


async def _end_one(pool: Pool, way: str) -> None:
    """End one worker and wait until the pool knows."""
    gone = asyncio.get_running_loop().create_future()

    def exited(*_: Any) -> None:
        pool.remove_listener("worker-exited", exited)
        gone.set_result(None)

    pool.on("worker-exited", exited)
    worker = pool.workers[0]
    if way == "SIGKILL from outside":
        os.kill(worker.pid, signal.SIGKILL)
    elif way == "kill":
        worker.kill()
    elif way == "retire":
        worker.retire()
    else:
        crashed = pool.add_task(way, worker=worker)
        await asyncio.wait([crashed])
        assert isinstance(crashed.exception(), WorkerCrashed), f"the task ended as {crashed!r}"
    await gone


async def _all_idle(pool: Pool, patience: float) -> None:
    """Start what is missing, have each worker run a task, and wait until all are idle."""
    pool.resize_up_to(WORKERS)
    give_up = time.monotonic() + patience
    for worker in pool.workers:
        await asyncio.wait_for(pool.add_task(NOOP, worker=worker, affinity="force"), patience)
    while [worker.state for worker in pool.workers] != ["idle"] * WORKERS:
        assert time.monotonic() < give_up, f"the workers are {pool.workers}"
        await asyncio.sleep(0.001)
