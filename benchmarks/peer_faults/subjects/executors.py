"""What all `concurrent.futures.Executor`s have in common."""

from collections.abc import Sequence
from concurrent.futures import Executor

from benchmarks.peer_faults.subjects.base import BlockingSubject, Outcome
from benchmarks.peer_faults.tasks import Order, perform


class ExecutorSubject(BlockingSubject):
    """Time limits are those of `Future.result`: the task does not know of them."""

    limits_tasks = False
    executor: Executor

    def close(self) -> None:
        """Shut down and wait."""
        self.executor.shutdown()

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Submit."""
        return self.executor.submit(perform, order)

    def script(self, orders: Sequence[Order]) -> None:
        """Map, in a block."""
        self.open(None)
        with self.executor as executor:
            list(executor.map(perform, orders))
