"""A run without processes: workers that take the time they are told, in a time of their own."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from workpool.pytest_plugin._collection import Collected, Place
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._schedule import HOLD_SECONDS, Schedule

PLACE = Place("", "test_it.py", "", "", None)


class Simulation:
    """Runs tests of known seconds in workers that set a module's fixtures up when they come to it."""

    def __init__(
        self,
        tests: Sequence[tuple[Place, float]],
        *,
        workers: int = 2,
        scope: str = "auto",
        remembers: bool = False,
        set_up_seconds: float = 0.0,
        keeps_order: bool = False,
        stops_early: bool = False,
        begins_in_order: bool = False,
    ) -> None:
        places = list(dict.fromkeys(place for place, _ in tests))
        names = [f"{place.module}::{number}" for number, (place, _) in enumerate(tests)]
        collected = Collected(names, [places.index(place) for place, _ in tests], places)
        self.now = 0.0
        self.seconds = dict(zip(names, (seconds for _, seconds in tests), strict=True))
        self.place = dict(zip(names, (place for place, _ in tests), strict=True))
        known = self.seconds if remembers else {}
        cache = SimpleNamespace(get=lambda *_: known, set=lambda *_: None)
        durations = Durations(SimpleNamespace(cache=cache))  # type: ignore[arg-type]
        options = Options(workers, is_auto=False, scope=scope, timeout=None)
        self.schedule = Schedule(
            collected,
            options,
            durations,
            keeps_order=keeps_order,
            stops_early=stops_early,
            begins_in_order=begins_in_order,
            clock=lambda: self.now,
        )
        self.begun: list[tuple[float, int, str]] = []
        self.ended: list[tuple[float, int, str]] = []
        self.set_ups = 0
        self._set_up_seconds = set_up_seconds
        self._workers = range(workers)
        self._queues: list[list[str]] = [[] for _ in range(workers)]
        self._running: list[str | None] = [None] * workers
        self._modules: list[str] = [""] * workers
        self._due: list[tuple[float, int, str]] = []

    def run(self, on_end: Callable[[str], Any] = lambda name: None) -> float:
        """Run everything; return the seconds it took. `on_end` may end it by returning true."""
        while not self.schedule.is_over():
            for worker, name in self.schedule.due(self._workers):
                self._queues[worker].append(name)
            wanted = self.schedule.wanted_back(self._workers)
            for worker, name in wanted:
                waits = name in self._queues[worker]
                if waits:
                    self._queues[worker].remove(name)
                self.schedule.was_asked_back(worker, name, is_withdrawn=waits)
            self._begin_all()
            if wanted:
                continue
            assert self._due or self.schedule.has_idle or self.schedule.is_held_back, (
                "nothing goes on"
            )
            if not self._pass_time() and on_end(self.ended[-1][2]):
                break
        return self.now

    def _begin_all(self) -> None:
        for worker in self._workers:
            if self._running[worker] is None and self._queues[worker]:
                name = self._running[worker] = self._queues[worker].pop(0)
                self.begun.append((self.now, worker, name))
                set_up = self._set_up(worker, self.place[name].module)
                heapq.heappush(self._due, (self.now + set_up + self.seconds[name], worker, name))

    def _set_up(self, worker: int, module: str) -> float:
        if self._modules[worker] == module:
            return 0.0
        self._modules[worker] = module
        self.set_ups += 1
        return self._set_up_seconds

    def _pass_time(self) -> bool:
        """Go to what happens next; return whether it is only that the schedule wants to be asked."""
        next_look = self.now + HOLD_SECONDS
        is_restless = self.schedule.has_idle or self.schedule.is_held_back
        if is_restless and (not self._due or self._due[0][0] > next_look):
            self.now = next_look
            return True
        self.now, worker, name = heapq.heappop(self._due)
        self._running[worker] = None
        self.ended.append((self.now, worker, name))
        begun = next(start for start, _, other in self.begun if other == name)
        total = self.now - begun
        reports = [
            SimpleNamespace(when="setup", duration=total - self.seconds[name]),
            SimpleNamespace(when="call", duration=self.seconds[name]),
        ]
        self.schedule.ended(worker, name, reports)  # type: ignore[arg-type]
        return False
