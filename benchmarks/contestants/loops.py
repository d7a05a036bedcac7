"""Contestants that are used from asyncio code."""

import asyncio
import gc
from abc import abstractmethod
from collections.abc import Awaitable, Coroutine, Sequence
from time import perf_counter
from typing import Any, Protocol, TypeVar

from benchmarks.contestants.base import Backlog, Burst, Contestant, Function
from benchmarks.contestants.sampling import sample_async
from benchmarks.procfs import own_memory

T = TypeVar("T")


class Runner(Protocol):
    """What serves an instance: `asyncio.Runner`, or what stands in for it."""

    def run(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Run a coroutine to its end in the one loop."""
        ...

    def close(self) -> None:
        """End the loop."""
        ...


class AsyncioContestant(Contestant):
    """A pool whose tasks are awaited.

    One event loop serves the instance from beginning to end. It exists before `open`, as it does
    in a program that runs already.
    """

    _runner: Runner

    def __init__(self) -> None:
        runner = asyncio.Runner()
        runner.get_loop()
        self._runner = runner

    @abstractmethod
    async def start(self, function: Function, workers: int) -> None:
        """Make the pool inside the loop."""

    @abstractmethod
    async def stop(self) -> None:
        """End the pool inside the loop."""

    @abstractmethod
    def call(self, argument: Any) -> Awaitable[Any]:
        """Return what awaits one task's result; a future's task is under way already."""

    def open(self, function: Function, workers: int) -> None:
        """Run `start`."""
        self._runner.run(self.start(function, workers))

    def close(self) -> None:
        """Run `stop` and end the loop."""
        self._runner.run(self.stop())
        self._runner.close()

    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Gather all."""
        return self._runner.run(self._burst(arguments))

    def one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        """Await one after the other."""
        return self._runner.run(self._one_by_one(argument, samples, seconds))

    def rest(self, seconds: float) -> None:
        """Let the loop wait too: timers of the pool in the parent would show."""
        self._runner.run(asyncio.sleep(seconds))

    def backlog(self, arguments: Sequence[Any]) -> Backlog:
        """Add all, look at the memory, then gather."""
        return self._runner.run(self._backlog(arguments))

    async def _burst(self, arguments: Sequence[Any]) -> Burst:
        start = perf_counter()
        results = await asyncio.gather(*[self.call(argument) for argument in arguments])
        return Burst(perf_counter() - start, results)

    async def _one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        return await sample_async(lambda: self.call(argument), samples, seconds)

    async def _backlog(self, arguments: Sequence[Any]) -> Backlog:
        gc.collect()
        before, start = own_memory(), perf_counter()
        tasks = [self.call(argument) for argument in arguments]
        added, memory = perf_counter(), own_memory() - before
        results = await asyncio.gather(*tasks)
        total = perf_counter() - start
        return Backlog(added - start, total, memory / len(arguments), results)
