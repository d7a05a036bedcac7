"""mpire: a pool whose tasks have time limits."""

from collections.abc import Sequence
from concurrent.futures import Future

from mpire import WorkerPool

from benchmarks.peer_faults.subjects.base import WORKERS, BlockingSubject, Hook, NoWay, Outcome
from benchmarks.peer_faults.tasks import Order, perform


class Mpire(BlockingSubject):
    """`WorkerPool.apply_async`."""

    is_useless_after_crash = True

    def open(self, hook: Hook | None) -> None:
        """Make the pool; it starts processes with the first task."""
        self._hook = hook
        self._pool = WorkerPool(n_jobs=WORKERS)

    def close(self) -> None:
        """Close and wait."""
        self._pool.stop_and_join()

    def renew(self) -> None:
        """Terminate the broken one first."""
        self._pool.terminate()
        self.open(None)

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Apply, and hear of the outcome by callback."""
        outcome: Outcome = Future()
        self._pool.apply_async(
            perform,
            (order,),
            callback=outcome.set_result,
            error_callback=outcome.set_exception,
            worker_init=self._hook,
            task_timeout=seconds,
        )
        return outcome

    def cancel(self, outcome: Outcome) -> None:
        """Raise: there is nothing but `terminate`, for the whole pool."""
        raise NoWay("only the whole pool can be terminated")

    def script(self, orders: Sequence[Order]) -> None:
        """Map, in a block."""
        with WorkerPool(n_jobs=WORKERS) as pool:
            # Each item is a tuple of the function's arguments.
            pool.map(perform, [(order,) for order in orders], chunk_size=1)
