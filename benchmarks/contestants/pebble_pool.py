"""pebble: a pool whose tasks have timeouts and can be stopped."""

from concurrent.futures import Future
from typing import Any

from pebble import ProcessPool

from benchmarks.contestants.base import BlockingContestant, Function


class Pebble(BlockingContestant["Future[Any]"]):
    """`pebble.ProcessPool.schedule`."""

    def open(self, function: Function, workers: int) -> None:
        """Make the pool; it starts processes with the first task."""
        self._function = function
        self._pool = ProcessPool(max_workers=workers)

    def close(self) -> None:
        """Close and wait."""
        self._pool.close()
        self._pool.join()

    def add(self, argument: Any) -> "Future[Any]":
        """Schedule one task."""
        future: Future[Any] = self._pool.schedule(self._function, args=[argument])
        return future

    def wait(self, handle: "Future[Any]") -> Any:
        """Block for its result."""
        return handle.result()
