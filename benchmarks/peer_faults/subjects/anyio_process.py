"""anyio: worker processes for asyncio and trio, one call each."""

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio

from benchmarks.peer_faults.subjects.base import WORKERS, Hook
from benchmarks.peer_faults.subjects.loops import AsyncioSubject
from benchmarks.peer_faults.tasks import Order, perform


class Anyio(AsyncioSubject):
    """`to_process.run_sync(..., cancellable=True)` on asyncio.

    There are no start hooks: instead, the function's module ends the worker when it is imported.
    """

    def pool(self, hook: Hook | None) -> "contextlib.AbstractAsyncContextManager[Any]":
        """Limit the calls to so many at a time; processes start on demand."""
        self._limiter = anyio.CapacityLimiter(WORKERS)
        self._function = perform
        if hook is not None:
            from benchmarks.peer_faults import deadly_module

            self._function = deadly_module.run
        return contextlib.nullcontext()

    async def call(self, order: Order) -> Any:
        """Make one call."""
        return await anyio.to_process.run_sync(
            self._function, order, cancellable=True, limiter=self._limiter
        )

    async def call_within(self, order: Order, seconds: float) -> Any:
        """Make one call under `fail_after`."""
        with anyio.fail_after(seconds):
            return await self.call(order)

    def script(self, orders: Sequence[Order]) -> None:
        """Start all calls in a task group."""
        anyio.run(_main, orders)


async def _main(orders: Sequence[Order]) -> None:
    limiter = anyio.CapacityLimiter(WORKERS)
    call = partial(anyio.to_process.run_sync, perform, cancellable=True, limiter=limiter)
    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(call, order)
