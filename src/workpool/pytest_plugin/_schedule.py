"""Which tests to send to which worker now. Pure but for the clock and the durations it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from workpool.pytest_plugin._collection import Collected
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._grouping import Group, make_groups
from workpool.pytest_plugin._moves import stretches, worth_moving
from workpool.pytest_plugin._plan import Plan

if TYPE_CHECKING:
    import pytest

    from workpool.pytest_plugin._options import Options

AHEAD_SECONDS = 0.1
"""Expected work that is sent ahead to a worker: what keeps it busy while the controller reports."""

GROUP_SECONDS = 0.3
"""The same, while what follows is of the same group: a worker that runs dry tears its fixtures down."""

STUCK_SECONDS = 0.05
"""A test that has run for so long may take much longer: those behind it are better run elsewhere."""

STEAL_SECONDS = 0.02
"""Expected work at which a worker looks for more with others: before it runs dry, and tears its fixtures down."""

FEWEST_AHEAD = 2
"""The test that runs and the next one, so that a worker never waits for the controller."""

MOST_AHEAD = 200

HOLD_SECONDS = 0.1
"""How long a test may hold back those after it, in a run that ends with the first failure."""


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
        self._first_since = [0.0] * options.workers
        """When the first test sent to a worker, of those that have not ended, became the first."""
        self._idle: list[int] = []
        """Workers that have nothing to do."""
        self._begun: set[Group] = set()
        """Groups of which a test has ended."""
        self._withdrawn: list[str] = []
        self._kept: list[str] = []
        """What came of the tests that were asked back together."""
        self._thieves: dict[str, int] = {}
        """Tests that were asked back, and for whom."""
        self._ahead: list[dict[str, float]] = [{} for _ in range(options.workers)]
        self._ahead_seconds = [0.0] * options.workers

    def due(self, workers: Sequence[int]) -> list[tuple[int, str]]:
        """Take what should be sent now to these workers."""
        due: list[tuple[int, str]] = []
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
                    if not self._ahead[worker]:
                        self._idle.append(worker)
                    break
                name = self._names[test]
                self._sent_at[test] = self._clock()
                self._newest = max(self._newest, test)
                self._send(worker, name)
                due.append((worker, name))
        return due

    def wanted_back(self, workers: Sequence[int]) -> list[tuple[int, str]]:
        """Return the tests that should be taken back from their workers, for others have nothing to do."""
        self.has_idle = bool(self._idle) and not self._plan.is_over()
        if self._thieves or not self._idle:
            return []
        thief = self._idle[0]
        victim = max(workers, key=self._urgency)
        names = self._worth_moving(victim) if victim != thief else []
        self._thieves.update(dict.fromkeys(names, thief))
        return [(victim, name) for name in names]

    def was_asked_back(self, worker: int, name: str, *, is_withdrawn: bool) -> None:
        """Note what came of asking a test back."""
        thief = self._thieves.pop(name)
        (self._withdrawn if is_withdrawn else self._kept).append(name)
        if is_withdrawn:
            self._forget(worker, name)
            self._sent_at.pop(self._numbers[name], None)
        if not self._thieves:
            self._move(worker, thief)

    def ended(self, worker: int, name: str, reports: Iterable[pytest.TestReport]) -> None:
        """Note that a test has ended."""
        total = 0.0
        number = self._numbers[name]
        for report in reports:
            duration = getattr(report, "duration", 0.0)
            total += duration
            if report.when == "setup":
                self._plan.set_up_took(number, duration)
        self._durations.note(name, total)
        group = self._plan.group_of(number)
        if group is not None:
            self._begun.add(group)
        self._forget(worker, name)
        self._sent_at.pop(number, None)
        self._plan.ended(number)

    def give_back(self, worker: int, name: str) -> None:
        """Take back a test that a worker was sent and has not begun."""
        self._forget(worker, name)
        self._plan.give_back(worker, [self._numbers[name]])

    def give_up(self, worker: int, name: str) -> None:
        """Note that a test that was sent will not be run."""
        self._forget(worker, name)
        self._plan.ended(self._numbers[name])

    def leave_out(self, names: Iterable[str]) -> None:
        """Do not run these tests, as far as they have not been sent."""
        self._plan.leave_out({self._numbers[name] for name in names})

    def spare_seconds(self, workers: Iterable[int]) -> float:
        """Return for how long every worker has something to do; 0 if any test may end the run."""
        if self._window < len(self._names) or self._durations.is_guess:
            return 0.0
        return min((self._ahead_seconds[worker] for worker in workers), default=0.0)

    def is_over(self) -> bool:
        """Whether all tests have ended."""
        return self._plan.is_over()

    def running(self) -> list[tuple[int, str, float]]:
        """Return what each worker runs, and since when, as far as reports have come."""
        return [
            (worker, next(iter(ahead)), self._first_since[worker])
            for worker, ahead in enumerate(self._ahead)
            if ahead
        ]

    def left(self) -> tuple[int, float]:
        """Return how many tests have not ended, and the seconds they are expected to take."""
        return self._durations.left(self._names)

    def _move(self, worker: int, thief: int) -> None:
        """Let those that were withdrawn be the thief's, but for groups that have begun and must not be split."""
        begun = {self._group_of(name) for name in self._kept}
        withdrawn, self._withdrawn, self._kept = self._withdrawn, [], []
        late = []
        for name in withdrawn:
            group = self._group_of(name)
            if group is not None and group in begun and not group.may_split:
                late.append(self._numbers[name])
            else:
                self._plan.hand_over(self._numbers[name], thief)
        self._plan.give_back(worker, late)

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
        test = self._plan.next_for(worker, steals=False)
        if test is not None or not self._may_steal(worker):
            return test
        if any(self._is_stuck(other) for other in workers if other != worker):
            return None
        return self._plan.next_for(worker)

    def _may_steal(self, worker: int) -> bool:
        """Whether a worker will soon have nothing to do."""
        if not self._ahead[worker]:
            return True
        soon = self._ahead_seconds[worker] < STEAL_SECONDS
        return soon and not self._has_run_for_long(worker)

    def _is_stuck(self, worker: int) -> bool:
        """Whether tests wait behind one that has run for long, and may run elsewhere."""
        return self._has_run_for_long(worker) and bool(self._worth_moving(worker))

    def _has_run_for_long(self, worker: int, longer: float = 0.0) -> bool:
        return self._clock() - self._first_since[worker] > STUCK_SECONDS + longer

    def _urgency(self, worker: int) -> tuple[bool, float]:
        """Return how much it helps to take tests from a worker."""
        ahead = self._ahead[worker]
        names = self._worth_moving(worker)
        return bool(names) and self._has_run_for_long(worker), sum(ahead[name] for name in names)

    def _worth_moving(self, victim: int) -> list[str]:
        """Return what waits in a worker and had better run elsewhere."""
        running, *waiting = self._ahead[victim] or [""]
        if not waiting:
            return []
        present = self._group_of(running)
        return worth_moving(
            stretches(waiting, self._group_of, self._durations.expected),
            lambda group: group is present or group in self._begun,
            self._plan.moving_cost,
            is_stuck=self._has_run_for_long(victim),
            is_past_set_up=self._has_run_for_long(victim, 2 * self._plan.longest_set_up()),
        )

    def _group_of(self, name: str) -> Group | None:
        return self._plan.group_of(self._numbers[name]) if name else None

    def _has_room(self, worker: int) -> bool:
        count, seconds = len(self._ahead[worker]), self._ahead_seconds[worker]
        if count < FEWEST_AHEAD:
            return True
        if self._begins_in_order:
            return False  # what is sent ahead to one worker is not begun by another
        limit = GROUP_SECONDS if self._plan.continues(worker) else AHEAD_SECONDS
        return count < MOST_AHEAD and seconds < limit

    def _send(self, worker: int, name: str) -> None:
        cost = self._durations.expected(name)
        if not self._ahead[worker]:
            self._first_since[worker] = self._clock()
        self._ahead[worker][name] = cost
        self._ahead_seconds[worker] += cost

    def _forget(self, worker: int, name: str) -> None:
        ahead = self._ahead[worker]
        if next(iter(ahead)) == name:
            self._first_since[worker] = self._clock()
        self._ahead_seconds[worker] -= ahead.pop(name)
        if not self._ahead[worker]:
            self._ahead_seconds[worker] = 0.0

    def _cost(self, test: int) -> float:
        return self._durations.expected(self._names[test])
