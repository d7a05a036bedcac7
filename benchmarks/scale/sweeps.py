"""The three sweeps, and how one point of each is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contestants import BASELINE, OURS
from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.measures.warmth import checked_burst, warm_up
from benchmarks.procfs import cpu_ns, cpu_ns_since, family
from benchmarks.tasks import noop, weigh

WORKERS = 2
START_SECONDS = 20.0
BYTES_PER_BURST = 256_000_000
"""Bytes that all tasks of a burst carry together, so that small and large take about as long."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One thing that grows, and the steps it is measured at."""

    title: str
    across: str
    steps: dict[str, tuple[int, ...]]
    """By contestant."""
    measure: Callable[[Contestant, int, bool], Figures]
    """Called with the contestant, the step and whether the contestant is slow."""


def timed(contestant: Contestant, arguments: range | list[bytes], answers: list[int]) -> Figures:
    """Run one burst; return wall and processor time per task, in microseconds."""
    others, own = cpu_ns(family()), time.process_time_ns()
    burst = contestant.burst(arguments)
    own = time.process_time_ns() - own
    spent = own + cpu_ns_since(others, family())
    assert burst.results == answers, "results were lost or mixed up"
    count = len(arguments)
    return {
        "tasks": count,
        "wall_us": burst.seconds / count * 1e6,
        "cpu_us": spent / count / 1e3,
        "parent_cpu_us": own / count / 1e3,
    }


def waiting_tasks(contestant: Contestant, count: int, is_slow: bool) -> Figures:
    """Add so many no-ops at once and await all."""
    contestant.open(noop, WORKERS)
    warm_up(contestant, range(500))
    figures = timed(contestant, range(count), list(range(count)))
    contestant.close()
    return figures


def workers(contestant: Contestant, count: int, is_slow: bool) -> Figures:
    """Have so many workers, all of them started, do no-ops."""
    contestant.open(noop, count)
    deadline = time.monotonic() + START_SECONDS
    while len(family()) < count and time.monotonic() < deadline:
        checked_burst(contestant, range(2_000))
    warm_up(contestant, range(2_000))
    tasks = 3_000 if is_slow else 30_000
    figures = timed(contestant, range(tasks), list(range(tasks)))
    contestant.close()
    return figures


def payload_bytes(contestant: Contestant, size: int, is_slow: bool) -> Figures:
    """Give every task so many bytes; what comes back is their number."""
    most = 2_000 if is_slow else 10_000
    tasks = max(4, min(most, BYTES_PER_BURST // max(1, size)))
    contestant.open(weigh, WORKERS)
    arguments = [bytes(size)] * tasks
    contestant.burst(arguments[:WORKERS])
    warm_up_with = arguments[:100] if size < 100_000 else arguments[:WORKERS]
    for _ in range(3):
        contestant.burst(warm_up_with)
    figures = timed(contestant, arguments, [size] * tasks)
    contestant.close()
    return figures


_THOUSANDS = (1_000, 10_000, 100_000, 1_000_000)
_WORKERS = (1, 2, 4, 8, 16, 32, 64)
_BYTES = (0, 100, 1_000, 10_000, 32_000, 100_000, 1_000_000, 8_000_000, 64_000_000)

SWEEPS: dict[str, Sweep] = {
    "waiting": Sweep(
        "Waiting tasks",
        "tasks added at once",
        {OURS: _THOUSANDS, BASELINE: _THOUSANDS[:-1]},
        waiting_tasks,
    ),
    "workers": Sweep(
        "Workers",
        "worker processes, on the cores there are",
        {OURS: _WORKERS, BASELINE: _WORKERS},
        workers,
    ),
    "bytes": Sweep(
        "Payload", "bytes each task carries", {OURS: _BYTES, BASELINE: _BYTES}, payload_bytes
    ),
}
