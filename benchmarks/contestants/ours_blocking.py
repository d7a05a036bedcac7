"""workpool without asyncio: its blocking pool and its executor."""

from collections.abc import Sequence
from concurrent.futures import Executor as AnyExecutor
from typing import Any

from benchmarks.contestants.base import BlockingContestant, BulkContestant, Function
from benchmarks.contestants.futures import ExecutorContestant
from workpool import Executor, share
from workpool.sync import Task, WorkerPool


class WorkpoolSync(BlockingContestant[Task[Any]]):
    """`workpool.sync.WorkerPool.add_task`."""

    # As many as workpool itself gets.
    burst_range = (100_000, 100_000)

    def open(self, function: Function, workers: int) -> None:
        """Make a pool that starts its workers on demand."""
        self._pool: WorkerPool[Any, Any] = WorkerPool(function, max_workers=workers)

    def close(self) -> None:
        """Close gracefully."""
        self._pool.close()

    def add(self, argument: Any) -> Task[Any]:
        """Add one task."""
        return self._pool.add_task(argument)

    def wait(self, handle: Task[Any]) -> Any:
        """Block for its result."""
        return handle.result()

    def share(self, value: Any) -> Any:
        """Write the value once."""
        return share(value)


class WorkpoolExecutor(ExecutorContestant):
    """`workpool.Executor.submit`."""

    burst_range = (100_000, 100_000)

    def executor(self, workers: int) -> AnyExecutor:
        """Make the executor."""
        return Executor(workers)

    def share(self, value: Any) -> Any:
        """Write the value once."""
        return share(value)


class WorkpoolSyncMap(BulkContestant):
    """`workpool.sync.WorkerPool.map`, made a list."""

    def open(self, function: Function, workers: int) -> None:
        """Make a pool that starts its workers on demand."""
        self._pool: WorkerPool[Any, Any] = WorkerPool(function, max_workers=workers)

    def close(self) -> None:
        """Close gracefully."""
        self._pool.close()

    def apply(self, arguments: Sequence[Any]) -> list[Any]:
        """Map over all."""
        return list(self._pool.map(arguments))


class WorkpoolExecutorMap(BulkContestant):
    """`workpool.Executor.map`, made a list, with its own choice of the chunk size."""

    def open(self, function: Function, workers: int) -> None:
        """Make the executor."""
        self._function = function
        self._executor = Executor(workers)

    def close(self) -> None:
        """Shut down and wait."""
        self._executor.shutdown()

    def apply(self, arguments: Sequence[Any]) -> list[Any]:
        """Map over all."""
        return list(self._executor.map(self._function, arguments))
