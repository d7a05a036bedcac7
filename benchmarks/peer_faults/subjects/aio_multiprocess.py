"""aiomultiprocess: coroutines in worker processes, each with an event loop."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiomultiprocess import Pool

from benchmarks.peer_faults.subjects.base import WORKERS, Hook
from benchmarks.peer_faults.subjects.loops import AsyncioSubject
from benchmarks.peer_faults.tasks import Order, perform_async


class AioMultiprocess(AsyncioSubject):
    """`Pool.apply`. Leaving the block terminates the workers.

    They take one task at a time, as those of the others do. By default they take up to 16, and
    what a worker has taken shares its fate.
    """

    limits_tasks = False

    def pool(self, hook: Hook | None) -> Any:
        """Make the pool with all its processes."""
        self._pool = Pool(processes=WORKERS, initializer=hook, childconcurrency=1)
        return self._pool

    async def call(self, order: Order) -> Any:
        """Apply to one argument."""
        return await self._pool.apply(perform_async, (order,))

    def script(self, orders: Sequence[Order]) -> None:
        """Map, in a block."""
        asyncio.run(_main(orders))


async def _main(orders: Sequence[Order]) -> None:
    async with Pool(processes=WORKERS, childconcurrency=1) as pool:
        await pool.map(perform_async, orders)
