"""Idle: what a pool costs that has worked and has nothing to do."""

import time

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.measures.warmth import warm_up
from benchmarks.procfs import cpu_ns, cpu_ns_since, family
from benchmarks.settings import Settings
from benchmarks.tasks import noop


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Watch the workers, their helpers and the parent for `idle_seconds`."""
    contestant.open(noop, settings.workers)
    warm_up(contestant, [0.0] * 200)
    figures = idle_cpu(contestant, settings)
    contestant.close()
    return figures


def idle_cpu(contestant: Contestant, settings: Settings) -> Figures:
    """Return the processor time of all processes over `idle_seconds`, in milliseconds."""
    contestant.rest(settings.settle_seconds)
    before, own = cpu_ns(family()), time.process_time_ns()
    contestant.rest(settings.idle_seconds)
    own = time.process_time_ns() - own
    others = cpu_ns_since(before, family())
    workers, parent = others / 1e6, own / 1e6
    return {"workers_cpu_ms": workers, "parent_cpu_ms": parent, "cpu_ms": workers + parent}
