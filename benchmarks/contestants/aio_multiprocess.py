"""aiomultiprocess: coroutines in worker processes, each with an event loop."""

from collections.abc import Awaitable
from typing import Any

from aiomultiprocess import Pool

from benchmarks import tasks
from benchmarks.contestants.base import Function
from benchmarks.contestants.loops import AsyncioContestant

COROUTINES = {tasks.noop: tasks.noop_async, tasks.spin: tasks.spin_async}


class AioMultiprocess(AsyncioContestant):
    """`aiomultiprocess.Pool.apply` of the task's coroutine form."""

    async def start(self, function: Function, workers: int) -> None:
        """Make the pool with all its processes."""
        self._function = COROUTINES[function]
        self._pool = Pool(processes=workers)
        await self._pool.__aenter__()

    async def stop(self) -> None:
        """Close and wait."""
        self._pool.close()
        await self._pool.join()

    def call(self, argument: Any) -> Awaitable[Any]:
        """Apply to one argument."""
        result: Awaitable[Any] = self._pool.apply(self._function, (argument,))
        return result
