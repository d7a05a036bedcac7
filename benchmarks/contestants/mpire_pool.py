"""mpire: a pool with worker state, progress bars and chunked maps."""

from collections.abc import Sequence
from typing import Any

from mpire import WorkerPool
from mpire.async_result import AsyncResult

from benchmarks.contestants.base import BlockingContestant, BulkContestant, Function


class MpireApply(BlockingContestant[AsyncResult]):
    """`mpire.WorkerPool.apply_async`."""

    def open(self, function: Function, workers: int) -> None:
        """Make the pool; it starts processes with the first task."""
        self._function = function
        self._pool = WorkerPool(n_jobs=workers, keep_alive=True)

    def close(self) -> None:
        """Close and wait."""
        self._pool.stop_and_join()

    def add(self, argument: Any) -> AsyncResult:
        """Add one task."""
        return self._pool.apply_async(self._function, (argument,))

    def wait(self, handle: AsyncResult) -> Any:
        """Block for its result."""
        result: Any = handle.get()
        return result


class MpireMap(BulkContestant):
    """`mpire.WorkerPool.map` with its own choice of the chunk size."""

    def open(self, function: Function, workers: int) -> None:
        """Make the pool; it starts processes with the first call."""
        self._function = function
        self._pool = WorkerPool(n_jobs=workers, keep_alive=True)

    def close(self) -> None:
        """Close and wait."""
        self._pool.stop_and_join()

    def apply(self, arguments: Sequence[Any]) -> list[Any]:
        """Map over all."""
        results: list[Any] = self._pool.map(self._function, arguments)
        return results
