"""pebble: a pool whose tasks can be cancelled and have time limits."""

from collections.abc import Sequence

from pebble import ProcessPool

from benchmarks.peer_faults.subjects.base import WORKERS, BlockingSubject, Hook, Outcome
from benchmarks.peer_faults.tasks import Order, perform


class Pebble(BlockingSubject):
    """`ProcessPool.schedule`."""

    def open(self, hook: Hook | None) -> None:
        """Make the pool; it starts processes with the first task."""
        self._pool = ProcessPool(WORKERS, initializer=hook)

    def close(self) -> None:
        """Close and wait."""
        self._pool.close()
        self._pool.join()

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Schedule."""
        outcome: Outcome = self._pool.schedule(perform, args=[order], timeout=seconds)
        return outcome

    def script(self, orders: Sequence[Order]) -> None:
        """Map, in a block."""
        with ProcessPool(WORKERS) as pool:
            list(pool.map(perform, orders).result())
