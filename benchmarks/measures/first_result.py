"""First result: from no pool at all to the result of one task of one worker."""

from time import perf_counter

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.settings import Settings
from benchmarks.tasks import noop


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Time it once: only the first pool of a process is without help from an earlier one.

    The contestant's modules are imported already, as in a program that makes its pool when it
    needs it.
    """
    start = perf_counter()
    contestant.open(noop, 1)
    contestant.one_by_one(0.0, 1, settings.deadline)
    seconds = perf_counter() - start
    contestant.close()
    return {"first_ms": seconds * 1000}
