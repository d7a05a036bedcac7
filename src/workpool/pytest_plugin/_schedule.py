"""Which tests to send to which worker now. Pure but for the clock and the durations it is given.

How often fixtures are set up must not depend on how soon the controller gets to run. So a worker
is told with each test which one follows by the plan, a *promise*, and tears down no further than to
that one. What is taken from a worker later is a broken promise, and it is told of that too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from workpool.pytest_plugin._collection import Collected
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._grouping import Group, home_of, make_groups
from workpool.pytest_plugin._moves import Request, stretches, worth_moving
from workpool.pytest_plugin._outlook import Outlook
from workpool.pytest_plugin._plan import Plan
from workpool.pytest_plugin._window import Window

if TYPE_CHECKING:
    import pytest

    from workpool.pytest_plugin._options import Options

AHEAD_SECONDS = 0.1
"""Expected work that is sent ahead to a worker: what keeps it busy while the controller reports."""

STEAL_SECONDS = 0.02
"""Expected work at which a worker takes more from others: before it runs dry."""

FEWEST_AHEAD = 2
"""The test that runs and the next one, so that a worker never waits for the controller."""

MOST_AHEAD = 200

LOOK_SECONDS = 0.1
"""Time after which a worker that has nothing to do may have something, though nothing has happened."""


class Due(NamedTuple):
    """A test that is to be sent to a worker."""

    worker: int
    name: str
    following: str
    """The test that by the plan follows it there; empty if none does."""


class Broken(NamedTuple):
    """A promise that is not kept."""

    worker: int
    name: str
    """The test it was given with."""
    following: str
    """The test that was to follow it."""


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
        self._names = collected.nodeids
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._durations = durations
        scope = "test" if stops_early and options.scope == "auto" else options.scope
        self._begins_in_order = begins_in_order
        is_serial = options.workers == 1
        in_order = keeps_order or stops_early or begins_in_order or is_serial
        groups, alone = make_groups(
            collected.places,
            collected.place_numbers,
            scope,
            keeps_order=in_order,
            is_serial=is_serial,
        )
        self._plan = Plan(
            groups,
            alone,
            options.workers,
            self._cost,
            set_ups=durations.set_ups,
            longest_first=bool(durations.known),
            in_order=in_order,
        )
        self._window = Window(options.workers) if stops_early else None
        """How far a test that may fail, and so end the run, lets others begin."""
        self.has_idle = False
        """Whether a worker got nothing, which may change with time alone."""
        self._idle: list[int] = []
        """Workers that have nothing to do, or nearly so."""
        self._begun: set[Group] = set()
        """Groups of which a test has ended."""
        self._request: Request | None = None
        """Tests that were asked back."""
        homes = [home_of(place) for place in collected.places]
        home_of_test = {
            name: homes[number]
            for name, number in zip(self._names, collected.place_numbers, strict=True)
        }
        self._outlook = Outlook(options.workers, home_of_test, durations, clock)
        self._ahead = self._outlook.ahead
        self._provides = not (stops_early or begins_in_order)
        """Whether a worker may be promised what is not meant for it yet."""

    def due(self, workers: Sequence[int]) -> list[Due]:
        """Take what should be sent now to these workers."""
        self._idle = []
        if self._window is not None:
            return self._due_within(self._window, workers)
        due: list[Due] = []
        # Those with nothing first: what was taken back for one must not be taken by others.
        for worker in sorted(workers, key=lambda worker: len(self._ahead[worker])):
            while self._has_room(worker):
                test = self._next_for(worker, workers)
                if test is None:
                    if not self._ahead[worker] or (self._provides and self._may_steal(worker)):
                        self._idle.append(worker)
                    break
                due.append(self._send(worker, test, workers))
        return due

    def _due_within(self, window: Window, workers: Sequence[int]) -> list[Due]:
        """Take what should be sent, one test at a time, each to who has least, as far as the window lets them."""
        due: list[Due] = []
        while not window.is_full:
            for worker in sorted(filter(self._has_room, workers), key=self._count):
                test = self._next_for(worker, workers)
                if test is not None:
                    due.append(self._send(worker, test, workers))
                    break
            else:
                break
        self._idle = [worker for worker in workers if not self._ahead[worker]]
        return due

    def broken_promises(self) -> list[Broken]:
        """Return what workers count on in vain, each once: what was to follow runs elsewhere."""
        broken = []
        for worker, ahead in enumerate(self._ahead):
            promise = ahead.promise
            if promise is not None and not self._may_follow(worker, promise):
                ahead.promise = None
                self._outlook.settle(worker)
                broken.append(Broken(worker, ahead.last, self._names[promise]))
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
            if self._window is not None:
                self._window.take_back(self._numbers[name])
        if request.answer(name, is_withdrawn=is_withdrawn):
            self._request = None
            self._move(request)

    def ended(self, worker: int, name: str, reports: Iterable[pytest.TestReport]) -> None:
        """Note that a test has ended."""
        number = self._numbers[name]
        self._outlook.ended(worker, name, reports)
        group = self._plan.group_of(number)
        if group is not None:
            self._begun.add(group)
        self._end(number)

    def give_back(self, worker: int, name: str) -> None:
        """Take back a test that a worker was sent and has not begun."""
        self._ahead[worker].take_out(name, has_run=False)
        if self._window is not None:
            self._window.forget(self._numbers[name])
        self._plan.give_back(worker, [self._numbers[name]])

    def give_up(self, worker: int, name: str) -> None:
        """Note that a test that was sent will not be run."""
        self._ahead[worker].take_out(name, has_run=True)
        self._end(self._numbers[name])

    def leave_out(self, names: Iterable[str]) -> None:
        """Do not run these tests, as far as they have not been sent."""
        self._plan.leave_out({self._numbers[name] for name in names})

    def spare_seconds(self, workers: Iterable[int]) -> float:
        """Return for how long every worker has something to do; 0 if any test may end the run."""
        if self._window is not None or self._durations.is_guess:
            return 0.0
        return min((self._ahead[worker].seconds for worker in workers), default=0.0)

    def is_over(self) -> bool:
        """Whether all tests have ended."""
        return self._plan.is_over()

    def running(self) -> list[tuple[int, str, float]]:
        """Return what each worker runs, and since when, as far as reports have come."""
        return self._outlook.running()

    def left(self, running: Mapping[str, float]) -> tuple[int, float]:
        """Return how many tests have not ended, and the seconds they are expected to take yet.

        `running` says of some for how many seconds they have run already.
        """
        return self._durations.left(self._names, running)

    def _move(self, request: Request) -> None:
        """Let those that were withdrawn be the thief's, but for groups that should be moved whole and have begun."""
        begun = {self._group_of(name) for name in request.kept}
        late: list[int] = []
        moved: list[int] = []
        for name in request.withdrawn:
            group = self._group_of(name)
            is_whole = group in request.whole
            stays = group in begun and (is_whole or not (group and group.may_split))
            (late if stays else moved).append(self._numbers[name])
        if self._window is not None:
            self._plan.put_first(request.victim, moved)
        else:
            for test in moved:
                is_whole = self._plan.group_of(test) in request.whole
                self._plan.hand_over(test, request.thief, whole=is_whole)
        self._plan.give_back(request.victim, late)

    def _end(self, test: int) -> None:
        self._plan.ended(test)
        if self._window is not None:
            self._window.end(test)

    def _may_follow(self, worker: int, promise: int) -> bool:
        """Whether a worker may count on a test, or had better keep up what that needs for the one that comes."""
        if self._request is not None and self._request.victim == worker:
            return True  # what it was asked for may yet be given back to it
        if not self._provides and self._plan.next_in_order() is not None:
            return True  # any worker may get that, and tears down what it does not need
        return promise == self._plan.following(worker)

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
        return self._plan.next_for(worker, busy=self._outlook.busy(workers))

    def _may_steal(self, worker: int) -> bool:
        """Whether a worker will soon have nothing to do."""
        if not self._ahead[worker]:
            return True
        soon = self._ahead[worker].seconds < STEAL_SECONDS
        return soon and not self._outlook.has_run_for_long(worker)

    def _may_lose(self, victim: int, thief: int) -> bool:
        """Whether tests may be moved between these: to one that still has some, only from one that is stuck.

        Also where few are sent ahead at all: they would mostly have begun.
        """
        is_dry = not self._ahead[thief]
        if not is_dry and self._outlook.is_new_to(thief):
            return False
        return (is_dry and self._window is None) or self._outlook.has_run_for_long(victim)

    def _any_stuck(self, workers: Sequence[int], thief: int) -> bool:
        """Whether tests wait behind one that has run for long, and may run elsewhere."""
        return any(
            self._outlook.has_run_for_long(worker) and bool(self._worth_moving(worker, thief))
            for worker in workers
            if worker != thief
        )

    def _urgency(self, worker: int, names: Sequence[str]) -> tuple[bool, float]:
        """Return how much it helps to take these tests from a worker."""
        return bool(names) and self._outlook.has_run_for_long(worker), sum(
            map(self._expected, names)
        )

    def _worth_moving(self, victim: int, thief: int) -> list[str]:
        """Return what waits in a worker and had better be run by another one."""
        waiting = self._ahead[victim].waiting
        if not waiting:
            return []
        present, toll = self._group_of(self._ahead[victim].running), self._outlook.toll(thief)
        return worth_moving(
            stretches(waiting, self._group_of, self._expected),
            lambda group: self._has_begun(group, present),
            self._plan.moving_cost,
            is_stuck=self._outlook.has_run_for_long(victim, toll),
            is_past_set_up=self._outlook.has_run_for_long(
                victim, 2 * self._outlook.set_up_at_most(victim)
            ),
            toll=toll,
        )

    def _has_begun(self, group: Group, present: Group | None) -> bool:
        """Whether a test of a group has ended, or one that shares its fixtures runs in the worker that has it."""
        if group is present or group in self._begun:
            return True
        return group.may_split and present is not None and group.home == present.home

    def _group_of(self, name: str) -> Group | None:
        return self._plan.group_of(self._numbers[name])

    def _count(self, worker: int) -> int:
        return len(self._ahead[worker])

    def _has_room(self, worker: int) -> bool:
        count, seconds = len(self._ahead[worker]), self._ahead[worker].seconds
        if self._request is not None:
            if self._window is not None:
                return False  # what is taken back comes first
            if self._request.victim == worker:
                return False  # what it has of a group may be moved, and the rest with it
        if count < FEWEST_AHEAD:
            return True
        if self._begins_in_order:
            return False  # what is sent ahead to one worker is not begun by another
        return count < MOST_AHEAD and seconds < AHEAD_SECONDS

    def _send(self, worker: int, test: int, workers: Sequence[int]) -> Due:
        name = self._names[test]
        self._outlook.send(worker, name)
        if self._window is not None:
            self._window.send(test)
        self._ahead[worker].promise = following = self._promise(worker, workers)
        return Due(worker, name, "" if following is None else self._names[following])

    def _promise(self, worker: int, workers: Sequence[int]) -> int | None:
        """Return the test that by the plan follows those a worker was sent; None if none does."""
        following = self._plan.following(worker)
        if following is not None:
            return following
        if not self._provides:
            return self._plan.next_in_order()
        if self._any_stuck(workers, worker):
            return None
        splits = not self._durations.is_guess
        self._plan.provide(worker, self._outlook.busy(workers), splits=splits)
        return self._plan.following(worker)

    def _expected(self, name: str) -> float:
        return self._durations.expected(name)

    def _cost(self, test: int) -> float:
        return self._durations.expected(self._names[test])
