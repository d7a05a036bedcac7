"""Bring a pool to the state in which it will be measured."""

from collections.abc import Sequence
from operator import eq
from time import perf_counter

from benchmarks.contestants.base import Burst, Contestant

WARM_SECONDS = 0.3
"""Long enough for all workers of every contestant to start, which takes up to 0.2 s."""


def warm_up(contestant: Contestant, arguments: Sequence[float]) -> Burst:
    """Send bursts until every worker has had the time to start; return the last one."""
    end = perf_counter() + WARM_SECONDS
    while True:
        burst = checked_burst(contestant, arguments)
        if perf_counter() > end:
            return burst


def checked_burst(contestant: Contestant, arguments: Sequence[float]) -> Burst:
    """Send a burst; raise AssertionError unless each task gave its argument back."""
    burst = contestant.burst(arguments)
    assert len(burst.results) == len(arguments), "results were lost"
    assert all(map(eq, burst.results, arguments)), "results were mixed up"
    return burst
