"""Round trip: one no-op awaited, then the next."""

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures, percentile
from benchmarks.measures.warmth import warm_up
from benchmarks.settings import Settings
from benchmarks.tasks import noop


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Take the median and the 99th percentile of the round trips, in microseconds."""
    contestant.open(noop, settings.workers)
    warm_up(contestant, [0.0] * 200)
    costs = contestant.one_by_one(0.0, settings.round_trips, settings.round_trip_seconds)
    contestant.close()
    return {"p50_us": percentile(costs, 50) * 1e6, "p99_us": percentile(costs, 99) * 1e6}
