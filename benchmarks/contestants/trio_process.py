"""trio-parallel: worker processes for trio."""

import threading
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import trio
import trio_parallel

from benchmarks.contestants.base import Burst, Contestant, Function
from benchmarks.contestants.sampling import sample_async


class TrioParallel(Contestant):
    """`trio_parallel.run_sync`.

    trio lets nobody leave its loop and come back, so it has a thread of its own here; the main
    thread blocks meanwhile and takes no part. The clock runs inside trio.
    """

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._thread.start()
        self._ready.wait()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._finished = trio.Event()
        self._ready.set()
        await self._finished.wait()

    def open(self, function: Function, workers: int) -> None:
        """Limit the calls to so many at a time; processes start on demand."""
        self._function = function
        self._limiter = trio.CapacityLimiter(workers)

    def close(self) -> None:
        """End trio, and the processes with it."""
        trio.from_thread.run_sync(self._finished.set, trio_token=self._token)
        self._thread.join()

    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Start one child task for each argument in a nursery."""
        burst: Burst = trio.from_thread.run(self._burst, arguments, trio_token=self._token)
        return burst

    def one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        """Await one after the other."""
        costs: list[float] = trio.from_thread.run(
            self._one_by_one, argument, samples, seconds, trio_token=self._token
        )
        return costs

    async def _call(self, argument: Any) -> Any:
        result: Any = await trio_parallel.run_sync(self._function, argument, limiter=self._limiter)
        return result

    async def _burst(self, arguments: Sequence[Any]) -> Burst:
        results: list[Any] = [None] * len(arguments)

        async def keep(index: int) -> None:
            results[index] = await self._call(arguments[index])

        start = perf_counter()
        async with trio.open_nursery() as nursery:
            for index in range(len(arguments)):
                nursery.start_soon(keep, index)
        return Burst(perf_counter() - start, results)

    async def _one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        return await sample_async(lambda: self._call(argument), samples, seconds)
