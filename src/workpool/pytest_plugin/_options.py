"""The options of a run, checked."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass
from math import isfinite

import pytest

from workpool.pytest_plugin import SCOPES, configured
from workpool.pytest_plugin._xdist_names import most_workers

MOST_WORKERS = 1000
"""More can only be a slip of the pen."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    workers: int
    """With `is_auto` the most there may be."""
    is_auto: bool
    """Whether fewer workers will do."""
    scope: str
    timeout: float | None
    """Seconds a test may take."""


def read_options(config: pytest.Config, wanted: str, given: Namespace) -> Options | None:
    """Return the options of a run; None if no workers are wanted. Raises `pytest.UsageError`.

    `given` is what is known so far of the command line.
    """
    if wanted == "no":
        return None
    is_auto = wanted == "auto"
    scope = given.workpool_scope or configured(config, "workpool_scope") or "auto"
    if scope not in SCOPES:
        raise pytest.UsageError(f"workpool_scope is {scope!r}: use one of {', '.join(SCOPES)}")
    return Options(
        workers=at_most(_cpus(), given) if is_auto else _worker_count(wanted),
        is_auto=is_auto,
        scope=scope,
        timeout=_timeout(config, given),
    )


def at_most(count: int, given: Namespace) -> int:
    """Return how many workers 'auto' means, where there may be no more than ``--maxprocesses`` says."""
    return min(count, most_workers(given) or count)


def _worker_count(wanted: str) -> int:
    count = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    if not 1 <= count <= MOST_WORKERS:
        raise pytest.UsageError(
            f"--workpool={wanted}: give a number of workers from 1 to {MOST_WORKERS}, 'auto', or 'no'"
        )
    return count


def _timeout(config: pytest.Config, given: Namespace) -> float | None:
    value = given.workpool_timeout
    if value is None:
        value = configured(config, "workpool_timeout") or None
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0 and isfinite(seconds)):
        raise pytest.UsageError(f"--workpool-timeout={value}: give a positive number of seconds")
    return seconds


def _cpus() -> int:
    return len(os.sched_getaffinity(0))
