"""How each figure of a pair is taken: wall times of its tasks, one or many, in seconds."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

from benchmarks.contestants.base import Contestant
from benchmarks.measures.warmth import checked_burst

ARRAY_NUMBERS = 2_000_000
"""Of 8 bytes each."""
LONG_SECONDS = 0.010
SHORT_SECONDS = 0.000_1
SEED = 20
FIRST_RESULT = """
import sys, time
from benchmarks.contestants import ENTRIES
from benchmarks.tasks import noop
contestant = ENTRIES[sys.argv[1]].make()
start = time.perf_counter()
contestant.open(noop, 1)
contestant.one_by_one(0.0, 1, 30.0)
print(time.perf_counter() - start)
contestant.close()
"""


def tasks(contestant: Contestant, count: int) -> list[float]:
    """Add tasks all at once and wait for all."""
    return [checked_burst(contestant, range(count)).seconds]


def round_trips(contestant: Contestant, count: int) -> list[float]:
    """Wait for each task before the next is added."""
    return contestant.one_by_one(0.0, count, 1.0)


def uneven_work(contestant: Contestant, count: int) -> list[float]:
    """Run 20 tasks of 10 ms among 400 of 0.1 ms, shuffled in the same way every time."""
    work = [LONG_SECONDS] * 20 * count + [SHORT_SECONDS] * 400 * count
    random.Random(SEED).shuffle(work)
    return [checked_burst(contestant, work).seconds]


def arrays(contestant: Contestant, count: int) -> list[float]:
    """Send an array there and back, one at a time."""
    import numpy

    numbers = numpy.ones(ARRAY_NUMBERS)
    return contestant.one_by_one(("echo", numbers), count, 1.0)


TAKERS: dict[str, Callable[[Contestant, int], list[float]]] = {
    "tasks": tasks,
    "mapped items": tasks,
    "round trip": round_trips,
    "uneven work": uneven_work,
    "16 MB array": arrays,
}


def first_result(name: str) -> list[float]:
    """Start an interpreter that makes a pool of one worker and runs one task."""
    command = [sys.executable, "-c", FIRST_RESULT, name]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(run.stdout)]


def bare_interpreter() -> list[float]:
    """Start and end an interpreter that does nothing."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return [perf_counter() - start]
