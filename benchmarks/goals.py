"""What workpool promises of itself, held against the figures of a run."""

from dataclasses import dataclass
from math import isnan

from benchmarks.contestants import (
    BASELINE,
    OURS,
    OURS_EXECUTOR,
    OURS_SYNC,
    PYTHON_PASS,
    SUBMITTED,
)
from benchmarks.figures import Results

MEGABYTE_KB = 1024.0
CLOCK_TICK_MS = 10.0
"""What the kernel's own accounting resolves; less than this of all workers together over the
whole time is as good as nothing: 0.2 % of one core in 5 s."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise and what was measured; `value` is NaN where nothing was."""

    what: str
    value: float
    bound: float
    is_minimum: bool = False
    """Whether the value must be at least the bound, not at most."""
    unit: str = "x"

    @property
    def limit(self) -> str:
        """The promise as text."""
        return f"at {'least' if self.is_minimum else 'most'} {self.bound:g} {self.unit}"

    @property
    def verdict(self) -> str:
        """`reached`, `missed` or `not measured`."""
        if isnan(self.value):
            return "not measured"
        is_met = self.value >= self.bound if self.is_minimum else self.value <= self.bound
        return "reached" if is_met else "missed"


def goals(results: Results) -> list[Goal]:
    """Return all goals with the values of this run."""
    baseline = "ProcessPoolExecutor under asyncio"
    return [
        Goal(
            f"awaited no-op tasks per second, to {baseline}",
            results.ratio("rate", OURS, "tasks_per_s", BASELINE),
            15,
            is_minimum=True,
        ),
        Goal(
            f"round trip p50, to {baseline}",
            results.ratio("round-trip", OURS, "p50_us", BASELINE),
            0.4,
        ),
        Goal(
            "first result of one worker, to `python -c pass`",
            results.ratio("first-result", OURS, "first_ms", PYTHON_PASS),
            3,
        ),
        Goal(
            "makespan of skewed work, to the ideal",
            results.median("skew", OURS, "times_ideal"),
            1.10,
        ),
        *_blocking(results, "workpool.sync", OURS_SYNC),
        *_blocking(results, "workpool.Executor", OURS_EXECUTOR),
        *_crowd(results),
        Goal(
            "parent's memory per waiting task",
            results.median("backlog", OURS, "bytes_per_task"),
            1000,
            unit="bytes",
        ),
    ]


def _blocking(results: Results, title: str, name: str) -> list[Goal]:
    """Goals of a face without asyncio, to the executor that it can stand in for."""
    return [
        Goal(
            f"{title}: no-op tasks per second, to ProcessPoolExecutor.submit",
            results.ratio("rate", name, "tasks_per_s", SUBMITTED),
            8,
            is_minimum=True,
        ),
        Goal(
            f"{title}: round trip p50, to ProcessPoolExecutor.submit",
            results.ratio("round-trip", name, "p50_us", SUBMITTED),
            0.6,
        ),
    ]


def _crowd(results: Results) -> list[Goal]:
    """Goals of the many idle workers; the largest worker counts, by the stricter figure."""
    cpu = results.median("crowd", OURS, "workers_cpu_ms")
    excess = [
        results.median("crowd", OURS, f"{kind}_largest_kb")
        - results.median("crowd", OURS, f"{kind}_reference_kb")
        for kind in ("Uss", "Pss", "Rss")
    ]
    return [
        Goal("processor time of all idle workers", cpu, CLOCK_TICK_MS, unit="ms"),
        Goal(
            "largest worker's memory above an interpreter with the same module",
            max(excess) / MEGABYTE_KB,
            4,
            unit="MB",
        ),
    ]
