"""One large array that many tasks read: how fast, and in how much memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.procfs import family_memory
from benchmarks.settings import Settings
from benchmarks.tasks import NUMBERS_PER_PAGE, leaf_through

MEGABYTE = 1_000_000
MEMORY_BURSTS = 3
MEMORY_TASKS = 4
"""Bursts, and tasks for each worker, during which the memory is watched: all it takes is taken by then."""


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Time tasks that share an array, from before it is shared, then watch the memory.

    `copies` is what all processes took at the most while the tasks ran, beyond what they had
    when only the user's own array was there, in arrays: what they have in common counts once.
    """
    size = settings.shared_mb * MEGABYTE // 8
    contestant.open(leaf_through, settings.workers)
    count = _tasks_within(contestant, settings)
    array = numpy.ones(size)
    seconds = _burst(contestant, array, count)
    before = family_memory()
    with _watched_memory() as peak:
        for _ in range(MEMORY_BURSTS):
            _burst(contestant, array, min(count, MEMORY_TASKS * settings.workers))
    contestant.close()
    copies = (max(peak) - before) / array.nbytes
    return {"tasks": count, "tasks_per_s": count / seconds, "copies": copies}


def _tasks_within(contestant: Contestant, settings: Settings) -> int:
    """Start the workers; return how many tasks take so long as they may, of those that are wanted."""
    shared = contestant.share(numpy.zeros(settings.shared_mb * MEGABYTE // 8))
    contestant.burst([shared] * settings.workers)
    start = perf_counter()
    contestant.burst([shared] * settings.workers)
    within = settings.workers * settings.shared_seconds / (perf_counter() - start)
    return max(settings.workers, min(settings.shared_tasks, round(within)))


def _burst(contestant: Contestant, array: "numpy.ndarray", tasks: int) -> float:
    """Share the array and run tasks on it; return how long both took."""
    start = perf_counter()
    shared = contestant.share(array)
    results = contestant.burst([shared] * tasks).results
    seconds = perf_counter() - start
    assert set(results) == {float(array[::NUMBERS_PER_PAGE].sum())}, "results are wrong"
    assert len(results) == tasks, "results were lost"
    return seconds


@contextmanager
def _watched_memory() -> Iterator[list[int]]:
    """Look at the memory again and again in a thread of its own; yield what was found."""
    found = [family_memory()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            found.append(family_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
