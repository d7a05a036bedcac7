"""trio-parallel: worker processes for trio."""

from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
import trio_parallel

from benchmarks.peer_faults.subjects.base import WORKERS, Experiment, Hook, Outcome, Subject
from benchmarks.peer_faults.tasks import Order, perform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FOR_EVER = float("inf")


class TrioParallel(Subject):
    """`run_sync(..., kill_on_cancel=True)`; trio runs in the main thread.

    Each call has a task of its own; to cancel it is to cancel its scope, and a time limit is
    `trio.fail_after`.
    """

    def conduct(self, experiment: Experiment, hook: Hook | None) -> None:
        """Run trio."""
        trio.run(self._conduct, experiment, hook)

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Start the task that makes the call."""
        outcome: Outcome = Future()
        self._scopes[outcome] = trio.CancelScope()
        self._token.run_sync_soon(
            self._nursery.start_soon, self._serve, outcome, order, seconds or FOR_EVER
        )
        return outcome

    def cancel(self, outcome: Outcome) -> None:
        """Cancel the call's scope."""
        if (scope := self._scopes.get(outcome)) is not None:
            self._token.run_sync_soon(scope.cancel)

    def script(self, orders: Sequence[Order]) -> None:
        """Start all calls in a nursery."""
        trio.run(_main, orders)

    async def _conduct(self, experiment: Experiment, hook: Hook | None) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._scopes: dict[Outcome, Any] = {}
        limiter = trio.CapacityLimiter(WORKERS)
        async with _workers(hook) as run_sync, trio.open_nursery() as self._nursery:
            self._call = partial(run_sync, perform, kill_on_cancel=True, limiter=limiter)
            await trio.to_thread.run_sync(experiment, self)
            self._nursery.cancel_scope.cancel()

    async def _serve(self, outcome: Outcome, order: Order, seconds: float) -> None:
        """Keep what comes of a call, whatever it is."""
        with self._scopes[outcome] as scope:
            try:
                with trio.fail_after(seconds):
                    outcome.set_result(await self._call(order))
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001 - an outcome too
                outcome.set_exception(error)
            finally:
                # An error's traceback may hold a worker's descriptors: nobody here may keep it.
                del self._scopes[outcome]
        if scope.cancelled_caught:
            outcome.set_exception(CancelledError())


@asynccontextmanager
async def _workers(hook: Hook | None) -> "AsyncIterator[Any]":
    """Yield what runs a call: the plain function, or that of a context whose workers have a hook."""
    if hook is None:
        yield trio_parallel.run_sync
        return
    async with trio_parallel.open_worker_context(init=hook) as context:
        yield context.run_sync


async def _main(orders: Sequence[Order]) -> None:
    limiter = trio.CapacityLimiter(WORKERS)
    call = partial(trio_parallel.run_sync, perform, kill_on_cancel=True, limiter=limiter)
    async with trio.open_nursery() as nursery:
        for order in orders:
            nursery.start_soon(call, order)
