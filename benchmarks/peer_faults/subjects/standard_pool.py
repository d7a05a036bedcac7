"""`multiprocessing.Pool`."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future

from benchmarks.peer_faults.subjects.base import WORKERS, BlockingSubject, Hook, NoWay, Outcome
from benchmarks.peer_faults.tasks import Order, perform


class StandardPool(BlockingSubject):
    """`Pool.apply_async`. Time limits are those of `AsyncResult.get`: only the wait ends."""

    limits_tasks = False

    def open(self, hook: Hook | None) -> None:
        """Start all processes."""
        self._pool = multiprocessing.Pool(WORKERS, hook)

    def close(self) -> None:
        """Close and wait."""
        self._pool.close()
        self._pool.join()

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Apply, and hear of the outcome by callback."""
        outcome: Outcome = Future()
        self._pool.apply_async(
            perform, (order,), callback=outcome.set_result, error_callback=outcome.set_exception
        )
        return outcome

    def cancel(self, outcome: Outcome) -> None:
        """Raise: there is nothing but `terminate`, for the whole pool."""
        raise NoWay("only the whole pool can be terminated")

    def script(self, orders: Sequence[Order]) -> None:
        """Map, in a block."""
        with multiprocessing.Pool(WORKERS) as pool:
            pool.map(perform, orders, chunksize=1)
