"""workpool without asyncio: its blocking pool and its executor."""

from concurrent.futures import Executor as AnyExecutor

from benchmarks.contestants.base import BlockingContestant, Function
from benchmarks.contestants.futures import ExecutorContestant
from workpool import Executor
from workpool.sync import Task, WorkerPool


class WorkpoolSync(BlockingContestant[Task[float]]):
    """`workpool.sync.WorkerPool.add_task`."""

    # As many as workpool itself gets.
    burst_range = (100_000, 100_000)

    def open(self, function: Function, workers: int) -> None:
        """Make a pool that starts its workers on demand."""
        self._pool: WorkerPool[float, float] = WorkerPool(function, max_workers=workers)

    def close(self) -> None:
        """Close gracefully."""
        self._pool.close()

    def add(self, argument: float) -> Task[float]:
        """Add one task."""
        return self._pool.add_task(argument)

    def wait(self, handle: Task[float]) -> float:
        """Block for its result."""
        return handle.result()


class WorkpoolExecutor(ExecutorContestant):
    """`workpool.Executor.submit`."""

    burst_range = (100_000, 100_000)

    def executor(self, workers: int) -> AnyExecutor:
        """Make the executor."""
        return Executor(workers)
