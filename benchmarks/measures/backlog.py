"""Backlog: very many tasks added at once, before the parent awaits any."""

from benchmarks.contestants.base import Contestant
from benchmarks.contestants.ours import Workpool
from benchmarks.figures import Figures
from benchmarks.settings import Settings
from benchmarks.tasks import noop


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Measure the time to add, the memory per waiting task, and the time until all are done.

    The arguments exist before the clock starts: they are the user's, not the pool's.
    """
    count = settings.backlog if isinstance(contestant, Workpool) else settings.peer_backlog
    arguments = list(range(count))
    contestant.open(noop, settings.workers)
    backlog = contestant.backlog(arguments)
    assert backlog.results == arguments, "results were lost or mixed up"
    contestant.close()
    return {
        "tasks": count,
        "add_s": backlog.add_seconds,
        "adds_per_s": count / backlog.add_seconds,
        "total_s": backlog.total_seconds,
        "bytes_per_task": backlog.bytes_per_task,
    }
