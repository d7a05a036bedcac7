"""What looks at a run while it goes on: the notice of slow tests, and the view of the workers."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import pytest

from workpool.pytest_plugin._collection import nodeid_of
from workpool.pytest_plugin._console import begin_line
from workpool.pytest_plugin._extra_options import slow_seconds, wants_view
from workpool.pytest_plugin._live_view import LiveView

LOOK_SECONDS = 0.5
"""Time between two looks."""


class Running(NamedTuple):
    """A test that runs."""

    worker: int
    name: str
    seconds: float


class SlowTests:
    """Points out tests that take long, while they do."""

    def __init__(self, reporter: Any, limit: float) -> None:
        self._reporter = reporter
        self._limit = limit
        self._times: dict[str, int] = {}

    def look(self, running: list[Running]) -> None:
        """Write a line for each test that has run for the limit, or for the limit once more."""
        for worker, name, seconds in running:
            times = int(seconds / self._limit)
            if times > self._times.get(name, 0):
                self._times[name] = times
                begin_line(self._reporter)
                self._reporter.write_line(
                    f"SLOW [> {times * self._limit:g}s] gw{worker} runs {nodeid_of(name)}",
                    yellow=True,
                )


class Watch:
    """Looks at what runs, now and then."""

    def __init__(self, slow: SlowTests | None, view: LiveView | None) -> None:
        self._slow = slow
        self._view = view
        self._next = time.monotonic() + LOOK_SECONDS

    def look(self, schedule: Any) -> None:
        """Look, if it is time to. `schedule` knows what runs and what is left."""
        now = time.monotonic()
        if now < self._next or schedule is None:
            return
        self._next = now + LOOK_SECONDS
        running = [Running(worker, name, now - since) for worker, name, since in schedule.running()]
        if self._slow is not None:
            self._slow.look(running)
        if self._view is not None:
            elapsed = {name: seconds for _, name, seconds in running}
            self._view.show(running, *schedule.left(elapsed))

    def close(self) -> None:
        """Look no more."""
        if self._view is not None:
            self._view.close()


def make_watch(config: pytest.Config, workers: int) -> Watch | None:
    """Return what looks at the run, if anything does."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return None
    limit = slow_seconds(config)
    slow = None if limit is None else SlowTests(reporter, limit)
    view = LiveView(reporter._tw, workers) if _can_draw(config, reporter._tw) else None
    return Watch(slow, view) if slow or view else None


def _can_draw(config: pytest.Config, writer: Any) -> bool:
    """Whether there is somebody to look at it, and something that can show it."""
    if config.get_verbosity() < 0 or not wants_view(config):
        return False
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        return False
    return bool(getattr(writer._file, "isatty", bool)())
