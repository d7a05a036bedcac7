"""A run without processes: workers that take the time they are told, in a time of their own."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from workpool.pytest_plugin._collection import Collected, Place
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._schedule import LOOK_SECONDS, Broken, Due, Schedule

PLACE = Place("", "test_it.py", "", "", None)
WITHDRAWAL_SECONDS = 0.001
"""Time each test takes that is taken back slowly."""


class Simulation:
    """Runs tests of known seconds in workers that set a module's fixtures up when they come to it.

    Fixtures stay up for what a worker has been sent, or promised. The controller hears of everything
    at once, or, with `pauses`, looks only after so many seconds, which are gone through in turn. If it
    `withdraws_slowly`, what it asks back is taken back one by one, while the workers go on. What is to be
    remembered goes into the `cache`; one that `remembers` knows what tests take without.
    """

    def __init__(
        self,
        tests: Sequence[tuple[Place, float]],
        *,
        workers: int = 2,
        scope: str = "auto",
        remembers: bool = False,
        cache: dict[str, Any] | None = None,
        set_up_seconds: float | Mapping[str, float] = 0.0,
        keeps_order: bool = False,
        stops_early: bool = False,
        begins_in_order: bool = False,
        pauses: Sequence[float] = (),
        withdraws_slowly: bool = False,
    ) -> None:
        places = list(dict.fromkeys(place for place, _ in tests))
        names = [f"{place.module}::{number}" for number, (place, _) in enumerate(tests)]
        collected = Collected(names, [places.index(place) for place, _ in tests], places)
        self.now = 0.0
        self.seconds = dict(zip(names, (seconds for _, seconds in tests), strict=True))
        self.place = dict(zip(names, (place for place, _ in tests), strict=True))
        self._durations = durations = Durations(_config(cache if cache is not None else {}))
        if remembers:
            durations.known = self.seconds
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
        self.set_up_for: list[str] = []
        """Tests for which a module's fixtures were set up."""
        self.taken_from: dict[str, int] = {}
        """Workers that tests were taken back from, the last of each."""
        self._set_up_seconds = set_up_seconds
        """Of every module, or by module."""
        self._workers = range(workers)
        self._queues: list[list[Due]] = [[] for _ in range(workers)]
        self._running = [False] * workers
        self._modules = [""] * workers
        """Whose fixtures are up in each worker."""
        self._latest = [Due(worker, "", "") for worker in range(workers)]
        """What each worker began last."""
        self._ends: list[tuple[float, int, str, float]] = []
        """When which test will end, in which worker, and what of it is set-up."""
        self._unread: list[tuple[int, str, float, float]] = []
        """Tests that have ended, with their seconds of set-up and call."""
        self._pauses = itertools.cycle(pauses or [0.0])
        self._next_look = 0.0
        self._asked: deque[tuple[int, str]] = deque()
        """Tests that were asked back."""
        self._withdraws_slowly = withdraws_slowly

    def run(self, on_end: Callable[[str], Any] = lambda name: None) -> float:
        """Run everything; return the seconds it took. `on_end` may end it by returning true."""
        while True:
            if self.now >= self._next_look:
                ended = self._read()
                if any(map(on_end, ended)) or self.schedule.is_over():
                    self._durations.save()
                    return self.now
                self._look()
            self._begin_all()
            self._pass_time()

    @property
    def set_ups(self) -> int:
        """How often modules' fixtures were set up."""
        return len(self.set_up_for)

    # The controller

    def _read(self) -> list[str]:
        """Hear of what has ended."""
        unread, self._unread = self._unread, []
        for worker, name, set_up, call in unread:
            reports = [
                SimpleNamespace(when="setup", duration=set_up),
                SimpleNamespace(when="call", duration=call),
            ]
            self.schedule.ended(worker, name, reports)  # type: ignore[arg-type]
        return [name for _, name, _, _ in unread]

    def _look(self) -> None:
        """Send what is due, have moved what should be."""
        self._next_look = self.now + next(self._pauses)
        while True:
            for due in self.schedule.due(self._workers):
                self._queues[due.worker].append(due)
            self._asked += self.schedule.wanted_back(self._workers)
            for broken in self.schedule.broken_promises():
                self._break_promise(broken)
            if not self._asked:
                return
            self._withdraw_asked()
            if self._asked and self._withdraws_slowly:
                return  # they come later

    def _withdraw_asked(self) -> None:
        for _ in range(1 if self._withdraws_slowly else len(self._asked)):
            worker, name = self._asked.popleft()
            kept = [due for due in self._queues[worker] if due.name != name]
            is_withdrawn = len(kept) < len(self._queues[worker])
            self._queues[worker] = kept
            if is_withdrawn:
                self.taken_from[name] = worker
            self.schedule.was_asked_back(worker, name, is_withdrawn=is_withdrawn)

    def _pass_time(self) -> None:
        """Go to what happens next."""
        times = [self._ends[0][0]] if self._ends else []
        if self._unread:
            times.append(self._next_look)
        if self._asked:
            times.append(max(self.now + WITHDRAWAL_SECONDS, self._next_look))
        if self.schedule.has_idle:
            times.append(max(self.now + LOOK_SECONDS, self._next_look))
        assert times, "nothing goes on"
        self.now = max(self.now, min(times))
        if self._ends and self._ends[0][0] <= self.now:
            self._end(*heapq.heappop(self._ends))

    # The workers

    def _begin_all(self) -> None:
        for worker in self._workers:
            if not self._running[worker] and self._queues[worker]:
                self._begin(worker, self._queues[worker].pop(0))

    def _begin(self, worker: int, due: Due) -> None:
        self.begun.append((self.now, worker, due.name))
        self._running[worker] = True
        self._latest[worker] = due
        call, set_up, module = self.seconds[due.name], 0.0, self.place[due.name].module
        if self._modules[worker] != module:
            self._modules[worker] = module
            self.set_up_for.append(due.name)
            seconds = self._set_up_seconds
            set_up = seconds if isinstance(seconds, float) else seconds.get(module, 0.0)
        heapq.heappush(self._ends, (self.now + set_up + call, worker, due.name, set_up))

    def _end(self, time: float, worker: int, name: str, set_up: float) -> None:
        """End a test, and tear down as far as what follows, or is promised to, does not need it."""
        self.ended.append((time, worker, name))
        self._unread.append((worker, name, set_up, self.seconds[name]))
        self._running[worker] = False
        queue = self._queues[worker]
        following = queue[0].name if queue else self._latest[worker].following
        if not following or self.place[following].module != self._modules[worker]:
            self._modules[worker] = ""

    def _break_promise(self, broken: Broken) -> None:
        worker, name, following = broken
        self._queues[worker] = [_without_promise(due, name) for due in self._queues[worker]]
        if (self._latest[worker].name, self._latest[worker].following) == (name, following):
            self._latest[worker] = _without_promise(self._latest[worker], name)
            if not self._running[worker]:
                self._modules[worker] = ""


def _config(cache: dict[str, Any]) -> Any:
    """Return as much of a configuration as is needed to remember anything."""
    return SimpleNamespace(cache=SimpleNamespace(get=cache.get, set=cache.__setitem__))


def _without_promise(due: Due, name: str) -> Due:
    return due._replace(following="") if due.name == name else due
