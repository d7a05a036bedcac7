"""Which tests to send to which worker now. Pure but for the clock and the durations it is given.

How often fixtures are set up must not depend on how soon the controller gets to run. So a worker
is told with each test which one follows by the plan, a *promise*, and tears down no further than to
that one. What is taken from a worker later is a broken promise, and it is told of that too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from workpool.pytest_plugin._ahead import Ahead
from workpool.pytest_plugin._collection import Collected
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._grouping import Group, make_groups
from workpool.pytest_plugin._moves import Request, stretches, worth_moving
from workpool.pytest_plugin._plan import Plan

if TYPE_CHECKING:
    import pytest

    from workpool.pytest_plugin._options import Options

AHEAD_SECONDS = 0.1
"""Expected work that is sent ahead to a worker: what keeps it busy while the controller reports."""

STUCK_SECONDS = 0.05
"""A test that has run for so long may take much longer: those behind it are better run elsewhere."""

STEAL_SECONDS = 0.02
"""Expected work at which a worker takes more from others: before it runs dry."""

FEWEST_AHEAD = 2
"""The test that runs and the next one, so that a worker never waits for the controller."""

MOST_AHEAD = 200

HOLD_SECONDS = 0.1
"""How long a test may hold back those after it, in a run that ends with the first failure."""


class Due(NamedTuple):
    """A test that is to be sent to a worker."""

    worker: int
    name: str
    following: str
    """The test that by the plan follows it there; empty if none does."""


class Schedule:
    """Knows the tests of a run by name, and what each worker has been sent."""

    def __init__(
        self,
        collected: Collected,
        options: Options,
        durations: Durations,
        *,
        keeps_order: bool,
        stops_early: bool,
        begins_in_order: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._names = collected.nodeids
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._durations = durations
        scope = "test" if stops_early and options.scope == "auto" else options.scope
        self._begins_in_order = begins_in_order
        in_order = keeps_order or stops_early or begins_in_order
        groups, alone = make_groups(
            collected.places, collected.place_numbers, scope, keeps_order=in_order
        )
        self._plan = Plan(
            groups,
            alone,
            options.workers,
            self._cost,
            longest_first=bool(durations.known),
            in_order=in_order,
        )
        self._window = options.workers + 1 if stops_early else len(self._names)
        self._sent_at: dict[int, float] = {}
        self._newest = -1
        self.is_held_back = False
        """Whether a test was not sent because one before it may fail and end the run."""
        self.has_idle = False
        """Whether a worker got nothing, which may change with time alone."""
        self._idle: list[int] = []
        """Workers that have nothing to do, or nearly so."""
        self._begun: set[Group] = set()
        """Groups of which a test has ended."""
        self._request: Request | None = None
        """Tests that were asked back."""
        self._bare = set(range(options.workers))
        """Workers in which nothing is set up."""
        self._ahead = [Ahead(clock, durations.guess) for _ in range(options.workers)]
        self._provides = not (stops_early or begins_in_order)
        """Whether a worker may be promised what is not meant for it yet."""

    def due(self, workers: Sequence[int]) -> list[Due]:
        """Take what should be sent now to these workers."""
        due: list[Due] = []
        self.is_held_back = False
        self._idle = []
        # Those with nothing first: what was taken back for one must not be taken by others.
        for worker in sorted(workers, key=lambda worker: len(self._ahead[worker])):
            while self._has_room(worker):
                if self._must_wait():
                    self.is_held_back = True
                    return due
                test = self._next_for(worker, workers)
                if test is None:
                    if not self._ahead[worker] or (self._provides and self._may_steal(worker)):
                        self._idle.append(worker)
                    break
                due.append(self._send(worker, test, workers))
        return due

    def broken_promises(self) -> list[tuple[int, str]]:
        """Return what workers count on in vain, each once: what was to follow runs elsewhere."""
        broken = []
        for worker, ahead in enumerate(self._ahead):
            promise = ahead.promise
            if promise is not None and promise != self._plan.following(worker):
                ahead.promise = None
                if not ahead:
                    self._bare.add(worker)
                broken.append((worker, self._names[promise]))
        return broken

    def wanted_back(self, workers: Sequence[int]) -> list[tuple[int, str]]:
        """Return the tests that should be taken back from their workers, for others have nothing to do."""
        self.has_idle = bool(self._idle) and not self._plan.is_over()
        if self._request is not None or not self._idle:
            return []
        thief = self._idle[0]
        victims = [
            worker for worker in workers if worker != thief and self._may_lose(worker, thief)
        ]
        names = {victim: self._worth_moving(victim, thief) for victim in victims}
        victim = max(
            victims, key=lambda victim: self._urgency(victim, names[victim]), default=thief
        )
        if not names.get(victim):
            return []
        present = self._group_of(self._ahead[victim].running)
        groups = {self._group_of(name) for name in names[victim]}
        whole = {group for group in groups if group and not self._has_begun(group, present)}
        self._request = Request(victim, thief, whole, set(names[victim]))
        return [(victim, name) for name in names[victim]]

    def was_asked_back(self, worker: int, name: str, *, is_withdrawn: bool) -> None:
        """Note what came of asking a test back."""
        request = self._request
        assert request is not None
        if is_withdrawn:
            self._ahead[worker].take_out(name, has_run=False)
            self._sent_at.pop(self._numbers[name], None)
        if request.answer(name, is_withdrawn=is_withdrawn):
            self._request = None
            self._move(request)

    def ended(self, worker: int, name: str, reports: Iterable[pytest.TestReport]) -> None:
        """Note that a test has ended."""
        total = 0.0
        number = self._numbers[name]
        for report in reports:
            duration = getattr(report, "duration", 0.0)
            total += duration
            if report.when == "setup":
                self._plan.set_up_took(number, duration, is_bare=worker in self._bare)
        self._durations.note(name, total)
        group = self._plan.group_of(number)
        if group is not None:
            self._begun.add(group)
        ahead = self._ahead[worker]
        ahead.take_out(name, has_run=True)
        self._bare.discard(worker)
        if not ahead and ahead.promise is None:
            self._bare.add(worker)
        self._sent_at.pop(number, None)
        self._plan.ended(number)

    def give_back(self, worker: int, name: str) -> None:
        """Take back a test that a worker was sent and has not begun."""
        self._ahead[worker].take_out(name, has_run=False)
        self._plan.give_back(worker, [self._numbers[name]])

    def give_up(self, worker: int, name: str) -> None:
        """Note that a test that was sent will not be run."""
        self._ahead[worker].take_out(name, has_run=True)
        self._plan.ended(self._numbers[name])

    def leave_out(self, names: Iterable[str]) -> None:
        """Do not run these tests, as far as they have not been sent."""
        self._plan.leave_out({self._numbers[name] for name in names})

    def spare_seconds(self, workers: Iterable[int]) -> float:
        """Return for how long every worker has something to do; 0 if any test may end the run."""
        if self._window < len(self._names) or self._durations.is_guess:
            return 0.0
        return min((self._ahead[worker].seconds for worker in workers), default=0.0)

    def is_over(self) -> bool:
        """Whether all tests have ended."""
        return self._plan.is_over()

    def running(self) -> list[tuple[int, str, float]]:
        """Return what each worker runs, and since when, as far as reports have come."""
        return [
            (worker, ahead.running, ahead.first_since)
            for worker, ahead in enumerate(self._ahead)
            if ahead
        ]

    def left(self) -> tuple[int, float]:
        """Return how many tests have not ended, and the seconds they are expected to take."""
        return self._durations.left(self._names)

    def _move(self, request: Request) -> None:
        """Let those that were withdrawn be the thief's, but for groups that should be moved whole and have begun."""
        begun = {self._group_of(name) for name in request.kept}
        late = []
        for name in request.withdrawn:
            group, test = self._group_of(name), self._numbers[name]
            is_whole = group in request.whole
            if group in begun and (is_whole or not (group and group.may_split)):
                late.append(test)
            else:
                self._plan.hand_over(test, request.thief, whole=is_whole)
        self._plan.give_back(request.victim, late)

    def _must_wait(self) -> bool:
        """Whether too much has been sent beyond the first test that has not ended.

        If that one fails and so ends the run, what was run beyond it was run in vain. One that takes
        long holds up nobody: tests that fail mostly do so at once.
        """
        if not self._sent_at or self._window >= len(self._names):
            return False
        first = next(iter(self._sent_at))
        is_fresh = self._clock() - self._sent_at[first] < HOLD_SECONDS
        return is_fresh and self._newest - first + 1 >= self._window

    def _next_for(self, worker: int, workers: Sequence[int]) -> int | None:
        """Return the next test for a worker; None too if others have tests in front of them that are stuck.

        Those are taken back for it, which takes a moment, and come first: they stood first in the order.
        """
        if self._begins_in_order and self._any_stuck(workers, worker):
            return None
        test = self._plan.next_for(worker)
        if test is not None or not self._may_steal(worker):
            return test
        if self._any_stuck(workers, worker):
            return None
        return self._plan.next_for(worker, busy=self._busy(workers))

    def _may_steal(self, worker: int) -> bool:
        """Whether a worker will soon have nothing to do."""
        if not self._ahead[worker]:
            return True
        soon = self._ahead[worker].seconds < STEAL_SECONDS
        return soon and not self._has_run_for_long(worker)

    def _may_lose(self, victim: int, thief: int) -> bool:
        """Whether tests may be moved between these: to one that still has some, only from one that is stuck."""
        return not self._ahead[thief] or self._has_run_for_long(victim)

    def _any_stuck(self, workers: Sequence[int], thief: int) -> bool:
        """Whether tests wait behind one that has run for long, and may run elsewhere."""
        return any(
            self._has_run_for_long(worker) and bool(self._worth_moving(worker, thief))
            for worker in workers
            if worker != thief
        )

    def _has_run_for_long(self, worker: int, longer: float = 0.0) -> bool:
        """Whether a worker's first test has run for long, and will for longer, by what is expected of it or at all."""
        ahead = self._ahead[worker]
        seconds, expected = self._clock() - ahead.first_since, ahead.first_cost
        goes_on = expected - seconds > STUCK_SECONDS or seconds > 2 * expected
        return goes_on and seconds > STUCK_SECONDS + longer

    def _urgency(self, worker: int, names: Sequence[str]) -> tuple[bool, float]:
        """Return how much it helps to take these tests from a worker."""
        return bool(names) and self._has_run_for_long(worker), sum(map(self._expected, names))

    def _worth_moving(self, victim: int, thief: int) -> list[str]:
        """Return what waits in a worker and had better be run by another one."""
        waiting = self._ahead[victim].waiting
        if not waiting:
            return []
        present, toll = self._group_of(self._ahead[victim].running), self._toll(thief)
        return worth_moving(
            stretches(waiting, self._group_of, self._expected),
            lambda group: self._has_begun(group, present),
            self._plan.moving_cost,
            is_stuck=self._has_run_for_long(victim, toll),
            is_past_set_up=self._has_run_for_long(victim, 2 * self._plan.longest_set_up()),
            toll=toll,
        )

    def _has_begun(self, group: Group, present: Group | None) -> bool:
        """Whether a test of a group has ended, or runs in the worker that has it."""
        return group is present or group in self._begun

    def _toll(self, worker: int) -> float:
        """Return the seconds a worker needs for fixtures that others have up already."""
        return self._plan.broad_set_up() if worker in self._bare else 0.0

    def _group_of(self, name: str) -> Group | None:
        return self._plan.group_of(self._numbers[name])

    def _has_room(self, worker: int) -> bool:
        count, seconds = len(self._ahead[worker]), self._ahead[worker].seconds
        if self._request is not None and self._request.victim == worker:
            return False  # what it has of a group may be moved, and the rest with it
        if count < FEWEST_AHEAD:
            return True
        if self._begins_in_order:
            return False  # what is sent ahead to one worker is not begun by another
        return count < MOST_AHEAD and seconds < AHEAD_SECONDS

    def _send(self, worker: int, test: int, workers: Sequence[int]) -> Due:
        name = self._names[test]
        self._sent_at[test] = self._clock()
        self._newest = max(self._newest, test)
        ahead = self._ahead[worker]
        ahead.send(name, self._durations.known.get(name))
        following = self._plan.following(worker)
        if following is None and self._provides and not self._any_stuck(workers, worker):
            splits = not self._durations.is_guess
            self._plan.provide(worker, self._busy(workers), splits=splits)
            following = self._plan.following(worker)
        ahead.promise = following
        return Due(worker, name, "" if following is None else self._names[following])

    def _busy(self, workers: Sequence[int]) -> list[float]:
        """Return the seconds that each worker needs for what it was sent; no end of them if it is not ready."""
        return [
            ahead.seconds + self._toll(worker) if worker in workers else inf
            for worker, ahead in enumerate(self._ahead)
        ]

    def _expected(self, name: str) -> float:
        return self._durations.expected(name)

    def _cost(self, test: int) -> float:
        return self._durations.expected(self._names[test])
