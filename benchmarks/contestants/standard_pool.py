"""`multiprocessing.Pool`, task by task and in bulk."""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.pool import AsyncResult
from typing import Any

from benchmarks.contestants.base import BlockingContestant, BulkContestant, Function


class PoolApply(BlockingContestant["AsyncResult[Any]"]):
    """`Pool.apply_async`."""

    def open(self, function: Function, workers: int) -> None:
        """Start all processes."""
        self._function = function
        self._pool = multiprocessing.Pool(workers)

    def close(self) -> None:
        """Close and wait."""
        self._pool.close()
        self._pool.join()

    def add(self, argument: Any) -> "AsyncResult[Any]":
        """Add one task."""
        return self._pool.apply_async(self._function, (argument,))

    def wait(self, handle: "AsyncResult[Any]") -> Any:
        """Block for its result."""
        return handle.get()


class PoolMap(BulkContestant):
    """`Pool.map` with its own choice of the chunk size."""

    def open(self, function: Function, workers: int) -> None:
        """Start all processes."""
        self._function = function
        self._pool = multiprocessing.Pool(workers)

    def close(self) -> None:
        """Close and wait."""
        self._pool.close()
        self._pool.join()

    def apply(self, arguments: Sequence[Any]) -> list[Any]:
        """Map over all."""
        return self._pool.map(self._function, arguments)
