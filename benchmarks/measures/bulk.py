"""Bulk work: results per second of one `map` over very many no-ops, made a list.

Meant for contestants that have a bulk call, and for the largest of which the standard library's pool chunks by
itself: 1,000,000 items, then 10,000,000.
"""

import gc
from itertools import compress, count
from operator import ne

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.measures.warmth import warm_up
from benchmarks.settings import Settings
from benchmarks.tasks import noop

SIZES = {"million": 1_000_000, "ten_million": 10_000_000}


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Map over each of the sizes once; every result is compared with its argument."""
    contestant.open(noop, settings.workers)
    warm_up(contestant, range(1000))
    figures: Figures = {}
    for name, size in SIZES.items():
        gc.collect()
        burst = contestant.burst(range(size))
        assert len(burst.results) == size, "results were lost"
        wrong = compress(count(), map(ne, burst.results, range(size)))
        assert next(wrong, None) is None, "results were mixed up"
        figures[f"{name}_per_s"] = size / burst.seconds
        del burst
    contestant.close()
    return figures
