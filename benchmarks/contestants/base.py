"""What every contestant can do, whatever its interface looks like."""

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, Generic, TypeVar

from benchmarks.contestants.sampling import sample
from benchmarks.procfs import own_memory

Function = Callable[[Any], Any]
HandleT = TypeVar("HandleT")


@dataclass(frozen=True, slots=True)
class Burst:
    """Tasks added all at once: seconds until the last result was there, and the results."""

    seconds: float
    results: list[Any]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Tasks added all at once, watched from the parent's side."""

    add_seconds: float
    total_seconds: float
    bytes_per_task: float
    results: list[Any]


class Contestant(ABC):
    """A process pool behind one interface.

    Its clock runs where the pool's user would read it: inside the event loop for asyncio pools,
    around the blocking call for the others. An instance is opened and closed once.
    """

    burst_range: ClassVar[tuple[int, int]] = (200, 100_000)
    """Fewest and most tasks of a burst that measures the rate."""

    @abstractmethod
    def open(self, function: Function, workers: int) -> None:
        """Make the pool; where it starts its workers on demand, they may not run yet."""

    @abstractmethod
    def close(self) -> None:
        """End the pool and its workers."""

    @abstractmethod
    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Add one task for each argument, then wait for all results, in the arguments' order."""

    @abstractmethod
    def one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        """Wait for each task before adding the next; return the seconds each one took.

        Ends after so many samples or, if that comes first, so many seconds; one at least.
        """

    def share(self, value: Any) -> Any:
        """Return what stands for one value that many tasks are given; the value itself if not told."""
        return value

    def rest(self, seconds: float) -> None:
        """Let the pool be idle, its event loop running if it has one."""
        time.sleep(seconds)

    def backlog(self, arguments: Sequence[Any]) -> Backlog:
        """Add one task for each argument and measure the parent's memory before any is awaited."""
        raise NotImplementedError(f"{type(self).__name__} cannot add a task without awaiting it")


class BlockingContestant(Contestant, Generic[HandleT]):
    """A pool whose tasks are added from a thread and waited for by blocking it."""

    @abstractmethod
    def add(self, argument: Any) -> HandleT:
        """Add one task."""

    @abstractmethod
    def wait(self, handle: HandleT) -> Any:
        """Block until that task's result is there and return it."""

    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Add all, then wait for each in turn."""
        start = perf_counter()
        handles = [self.add(argument) for argument in arguments]
        results = [self.wait(handle) for handle in handles]
        return Burst(perf_counter() - start, results)

    def one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        """Add one, wait for it, add the next."""
        return sample(lambda: self.wait(self.add(argument)), samples, seconds)

    def backlog(self, arguments: Sequence[Any]) -> Backlog:
        """Add all, look at the memory, then wait for each in turn."""
        gc.collect()
        before, start = own_memory(), perf_counter()
        handles = [self.add(argument) for argument in arguments]
        added, memory = perf_counter(), own_memory() - before
        results = [self.wait(handle) for handle in handles]
        total = perf_counter() - start
        return Backlog(added - start, total, memory / len(arguments), results)


class BulkContestant(Contestant):
    """A pool's `map`: takes many arguments in one call, in chunks, and gives one list back."""

    burst_range = (200, 1_000_000)

    @abstractmethod
    def apply(self, arguments: Sequence[Any]) -> list[Any]:
        """Run one bulk call to its end and return the results in order."""

    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Run all in one bulk call."""
        start = perf_counter()
        results = self.apply(arguments)
        return Burst(perf_counter() - start, results)

    def one_by_one(self, argument: Any, samples: int, seconds: float) -> list[float]:
        """Run bulk calls of one argument each."""
        return sample(lambda: self.apply([argument]), samples, seconds)
