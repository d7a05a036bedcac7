"""Skewed work: a few long tasks among many short ones, in an order nobody chose."""

import random

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.measures.warmth import checked_burst, warm_up
from benchmarks.settings import Settings
from benchmarks.tasks import spin

TASKS = 400
LONG_SECONDS = 0.040
SHORT_SECONDS = 0.000_1
SHORT_PER_LONG = 20
SEED = 20


def durations() -> list[float]:
    """Return the same 400 durations every time: 20 short ones for each long one, shuffled."""
    kinds = [LONG_SECONDS] + [SHORT_SECONDS] * SHORT_PER_LONG
    work = [kinds[index % len(kinds)] for index in range(TASKS)]
    random.Random(SEED).shuffle(work)
    return work


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Compare the time until all is done with the work's sum shared out evenly.

    The tasks spin for wall time, so what else runs on the machine does not lengthen them, and
    the ideal is below what any real schedule reaches.
    """
    work = durations()
    ideal = sum(work) / settings.workers
    contestant.open(spin, settings.workers)
    warm_up(contestant, [0.005] * 20)
    seconds = checked_burst(contestant, work).seconds
    contestant.close()
    return {"makespan_s": seconds, "times_ideal": seconds / ideal}
