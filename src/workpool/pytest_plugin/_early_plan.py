"""What is decided before a run begins: whether it has workers, how many at most, how many at once."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from workpool.pytest_plugin import configured
from workpool.pytest_plugin._forecast import Forecast, foresee, worker_bytes
from workpool.pytest_plugin._memory import available_bytes
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._stages import AT_ONCE, Stages

TINY_SECONDS = 0.2
"""A run whose tests took no longer in all is not sooner done by workers: to start them takes 0.1 s."""


class EarlyPlan(NamedTuple):
    """The decision."""

    workers: int
    first: int
    """How many of them collect at once: the others when it is known that there is something to do for them."""
    is_known: bool
    """Whether that number is of the last run."""
    why_in_process: str
    """Why the tests are to run in this process; empty if they are not."""

    def stages(self) -> Stages:
        """Return what has the workers begin."""
        return Stages(self.workers, self.first, is_known=self.is_known)


def plan_early(config: pytest.Config, options: Options) -> EarlyPlan:
    """Decide. A number that was asked for is kept, as far as there are tests; 'auto' leaves it open."""
    forecast = foresee(config)
    if not options.is_auto:
        first = AT_ONCE if forecast is None else forecast.tests
        return EarlyPlan(options.workers, first, forecast is not None, "")
    workers = min(options.workers, _with_memory(config))
    first = 1 if forecast is None else forecast.tests
    reason = _why_in_process(config, options, forecast)
    return EarlyPlan(workers, first, forecast is not None, reason)


def _with_memory(config: pytest.Config) -> int:
    """Return how many workers such as those of the last run there is memory for."""
    needed, available = worker_bytes(config), available_bytes()
    if not needed or available is None:
        return sys.maxsize
    return max(1, available // needed)


def _why_in_process(config: pytest.Config, options: Options, forecast: Forecast | None) -> str:
    if forecast is None or not forecast.is_safe or forecast.seconds > TINY_SECONDS:
        return ""
    known = config.known_args_namespace
    if options.timeout is not None or known.workpool_slow or configured(config, "workpool_slow"):
        return ""  # they need workers
    count = f"{forecast.tests} test{'s' if forecast.tests > 1 else ''}"
    return (
        f"{count} took {forecast.seconds:.2f} s when last run, less than it takes to start workers "
        "(--workpool=N has them all the same)"
    )
