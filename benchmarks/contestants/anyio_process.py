"""anyio: worker processes for asyncio and trio, one call each."""

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_process

from benchmarks.contestants.base import Function
from benchmarks.contestants.loops import AsyncioContestant

T = TypeVar("T")


class Anyio(AsyncioContestant):
    """`anyio.to_process.run_sync` on asyncio."""

    def __init__(self) -> None:
        self._runner = OneRootRunner()

    async def start(self, function: Function, workers: int) -> None:
        """Limit the calls to so many at a time; processes start on demand."""
        self._function = function
        self._limiter = CapacityLimiter(workers)

    async def stop(self) -> None:
        """Do nothing: the processes end with the loop's root task."""

    def call(self, argument: Any) -> Awaitable[Any]:
        """Make one call."""
        result: Awaitable[Any] = to_process.run_sync(
            self._function, argument, limiter=self._limiter
        )
        return result


class OneRootRunner:
    """Runs coroutines as `asyncio.Runner` does, but all under one root task.

    anyio's processes end with the root task under which they were made, so they would not
    outlive one `Runner.run`. The root task is in a thread; the main thread blocks meanwhile.
    """

    def __init__(self) -> None:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._finished = asyncio.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._root(ready),))
        self._thread.start()
        self._loop = ready.result()

    async def _root(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        ready.set_result(asyncio.get_running_loop())
        await self._finished.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine beside the root task and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """End the root task and the loop."""
        self._loop.call_soon_threadsafe(self._finished.set)
        self._thread.join()
