"""Tasks per second: no-ops added all at once, all results awaited."""

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures, median
from benchmarks.measures.warmth import checked_burst, warm_up
from benchmarks.settings import Settings
from benchmarks.tasks import noop


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Send bursts for about `burst_seconds`; the median of their rates counts."""
    contestant.open(noop, settings.workers)
    count = _burst_size(contestant, settings.burst_seconds)
    arguments = range(count)
    spent: list[float] = []
    # A burst that came out a little shorter than planned needs no second one.
    while sum(spent) < 0.7 * settings.burst_seconds:
        spent.append(checked_burst(contestant, arguments).seconds)
    contestant.close()
    return {"tasks": count, "tasks_per_s": median(count / seconds for seconds in spent)}


def _burst_size(contestant: Contestant, seconds: float) -> int:
    """Find how many tasks take about so long, within the contestant's bounds."""
    fewest, most = contestant.burst_range
    size = 200
    warm_up(contestant, [0.0] * size)
    while (spent := checked_burst(contestant, [0.0] * size).seconds) < 0.1 and size < most:
        size *= 4
    return round(min(most, max(fewest, size * seconds / spent)))
