"""What is in front of each worker, what is set up in it, and how long it will be busy. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from workpool.pytest_plugin._ahead import Ahead
from workpool.pytest_plugin._durations import Durations

if TYPE_CHECKING:
    import pytest

STUCK_SECONDS = 0.05
"""A test that has run for so long may take much longer: those behind it are better run elsewhere."""


class Outlook:
    """The workers of a run, by number, and the tests, by name; `home_of` says whose fixtures each shares."""

    def __init__(
        self,
        workers: int,
        home_of: Mapping[str, str],
        durations: Durations,
        clock: Callable[[], float],
    ) -> None:
        self.ahead = [Ahead(clock, durations.guess) for _ in range(workers)]
        self._home_of = home_of
        self._durations = durations
        self._set_ups = durations.set_ups
        self._clock = clock
        self._up: list[str] = [""] * workers
        """The home of the test that ended last; empty where nothing is set up."""

    def send(self, worker: int, name: str) -> None:
        """Note that a test was sent."""
        ahead = self.ahead[worker]
        ahead.send(name, self._known_cost(name, ahead.last))

    def ended(self, worker: int, name: str, reports: Iterable[pytest.TestReport]) -> None:
        """Note that a test has ended, and what it took: without what its neighbours share."""
        total = set_up = 0.0
        for report in reports:
            duration = getattr(report, "duration", 0.0)
            total += duration
            set_up += duration if report.when == "setup" else 0.0
        home = self._home_of[name]
        own = self._set_ups.note(home, name, set_up, worker, self._up[worker])
        self._durations.note(name, total - set_up + own)
        self._up[worker] = home
        self.ahead[worker].take_out(name, has_run=True)
        self.settle(worker)

    def settle(self, worker: int) -> None:
        """Note that a worker which has nothing in front of it, nor is promised anything, tears everything down."""
        ahead = self.ahead[worker]
        if not ahead and ahead.promise is None:
            self._up[worker] = ""

    def running(self) -> list[tuple[int, str, float]]:
        """Return what each worker runs, and since when, as far as reports have come."""
        return [
            (worker, ahead.running, ahead.first_since)
            for worker, ahead in enumerate(self.ahead)
            if ahead
        ]

    def busy(self, workers: Sequence[int]) -> list[float]:
        """Return the seconds that each worker needs for what it was sent; no end of them if it is not ready."""
        return [
            ahead.seconds + self._new_set_up(worker) + self.toll(worker)
            if worker in workers
            else inf
            for worker, ahead in enumerate(self.ahead)
        ]

    def _new_set_up(self, worker: int) -> float:
        """Return what is left, as far as one can tell from others, of a set-up of which nothing is known."""
        ahead = self.ahead[worker]
        home = self._home_of[ahead.running] if ahead else self._up[worker]
        if home == self._up[worker] or self._set_ups.known(home) is not None:
            return 0.0
        return max(self._set_ups.of(home) - (self._clock() - ahead.first_since), 0.0)

    def toll(self, worker: int) -> float:
        """Return the seconds a worker needs for fixtures that others have up already."""
        return 0.0 if self._up[worker] else self._set_ups.broad()

    def has_run_for_long(self, worker: int, longer: float = 0.0) -> bool:
        """Whether a worker's first test has run for long, and will for longer, by what is expected of it or at all."""
        ahead = self.ahead[worker]
        seconds, expected = self._clock() - ahead.first_since, ahead.first_cost
        goes_on = expected - seconds > STUCK_SECONDS or seconds > 2 * expected
        return goes_on and seconds > STUCK_SECONDS + longer

    def set_up_at_most(self, worker: int) -> float:
        """Return what the set-up of the test that a worker runs may take, by what is known."""
        known = self._set_ups.known(self._home_of[self.ahead[worker].running])
        return max(known or 0.0, self._set_ups.longest())

    def is_new_to(self, worker: int) -> bool:
        """Whether the test that a worker runs may first set up fixtures of which nothing is known."""
        return self._set_ups.known(self._home_of[self.ahead[worker].running]) is None

    def _known_cost(self, name: str, before: str) -> float | None:
        """Return what a test takes behind another one, what both share included; None if that is unknown."""
        cost, home = self._durations.known.get(name), self._home_of[name]
        if cost is None or (before and self._home_of[before] == home):
            return cost
        return cost + (self._set_ups.known(home) or 0.0)
