"""Large arrays: there, there and back, and there to be read, one call at a time."""

import numpy

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures, median
from benchmarks.settings import Settings
from benchmarks.tasks import deliver

MEGABYTE = 1_000_000
WAYS = {"ends": 1, "echo": 2, "sum": 1}
"""How often the array crosses the border, by what the task is to do with it."""
MOST_CALLS = 40


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Take the median speed of each way, in MB/s.

    Whoever maps a page only when it is read pays for that in "sum", not in "ends".
    """
    array = numpy.ones(settings.payload_mb * MEGABYTE // 8)
    contestant.open(deliver, settings.workers)
    figures: Figures = {}
    for wish, ways in WAYS.items():
        _check(contestant, wish, array, settings.workers)
        seconds = contestant.one_by_one((wish, array), MOST_CALLS, settings.payload_seconds)
        figures[f"{wish}_mb_per_s"] = ways * settings.payload_mb / median(seconds)
    contestant.close()
    return figures


def _check(contestant: Contestant, wish: str, array: "numpy.ndarray", workers: int) -> None:
    """Warm up every worker; raise AssertionError if something else comes back than should."""
    expected = {"ends": array[0] + array[-1], "echo": array, "sum": array.sum()}[wish]
    for result in contestant.burst([(wish, array)] * workers).results:
        assert numpy.array_equal(result, expected), "results were lost or changed"
