"""workpool itself."""

import asyncio
from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import Any

from benchmarks.contestants.base import Burst, Function
from benchmarks.contestants.loops import AsyncioContestant
from workpool import WorkerPool, share


class Workpool(AsyncioContestant):
    """`WorkerPool.add_task`, awaited."""

    # What is promised is promised of a gather of this many.
    burst_range = (100_000, 100_000)

    async def start(self, function: Function, workers: int) -> None:
        """Make a pool that starts its workers on demand."""
        self._pool: WorkerPool[Any, Any] = WorkerPool(function, max_workers=workers)

    async def stop(self) -> None:
        """Close gracefully."""
        await self._pool.aclose()

    def call(self, argument: Any) -> Awaitable[Any]:
        """Add one task."""
        return self._pool.add_task(argument)

    def share(self, value: Any) -> Any:
        """Write the value once."""
        return share(value)

    def fill(self, workers: int, deadline: float) -> list[int]:
        """Start that many workers, wait until each has run a task and return their pids.

        The pool's function must be one that takes the seconds for which it holds a worker.
        Raises TimeoutError if they have not within `deadline` seconds.
        """
        self._runner.run(asyncio.wait_for(self._fill(workers), deadline))
        return [worker.pid for worker in self._pool.workers]

    async def _fill(self, workers: int) -> None:
        self._pool.resize_up_to(workers)
        while not self._all_have_worked(workers):
            # Tasks that hold a worker each: short ones might all go to those that started first.
            await asyncio.gather(*[self._pool.add_task(0.1) for _ in range(workers)])

    def _all_have_worked(self, workers: int) -> bool:
        found = self._pool.workers
        return len(found) == workers and all(worker.tasks_completed for worker in found)


class WorkpoolMap(Workpool):
    """`WorkerPool.map`, iterated over."""

    burst_range = (200, 1_000_000)

    async def _burst(self, arguments: Sequence[Any]) -> Burst:
        start = perf_counter()
        results = [result async for result in self._pool.map(arguments)]
        return Burst(perf_counter() - start, results)
