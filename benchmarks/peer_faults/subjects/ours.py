"""workpool itself."""

import asyncio
from collections.abc import Sequence
from typing import Any

from benchmarks.peer_faults import tasks
from benchmarks.peer_faults.subjects.base import WORKERS, Hook
from benchmarks.peer_faults.subjects.loops import AsyncioSubject
from benchmarks.peer_faults.tasks import Order
from workpool import Entrypoint, WorkerPool


class Workpool(AsyncioSubject):
    """`WorkerPool.add_task`."""

    def pool(self, hook: Hook | None) -> WorkerPool[Order, object]:
        """Make the pool."""
        entry = Entrypoint(tasks.__name__, tasks.perform.__name__, on_worker_start=hook)
        self._pool: WorkerPool[Order, object] = WorkerPool(entry, max_workers=WORKERS)
        return self._pool

    async def call(self, order: Order) -> Any:
        """Add a task and await it."""
        return await self._pool.add_task(order)

    async def call_within(self, order: Order, seconds: float) -> Any:
        """Add a task with a time limit."""
        return await self._pool.add_task(order, timeout=seconds)

    def script(self, orders: Sequence[Order]) -> None:
        """Gather, in a block."""
        asyncio.run(_main(orders))


async def _main(orders: Sequence[Order]) -> None:
    async with WorkerPool(tasks.perform, max_workers=WORKERS) as pool:
        await asyncio.gather(*[pool.add_task(order) for order in orders])
