"""Which worker runs which tests, and who gives some of them up for whom. Pure.

Each worker has a stretch of the groups, in their order, so that neighbours meet what their
predecessors have set up. One that has nothing left takes whole groups from the far end of the
stretch that has most; when no whole group is left, it takes a part of one that is being run, if
that saves enough to be worth setting its fixtures up again.

Where the order of the tests matters, all take their groups from the front of one sequence instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf

from workpool.pytest_plugin._dealing import cut_out_long, deal_out, sort_by_length
from workpool.pytest_plugin._grouping import Group
from workpool.pytest_plugin._moves import CHEAP_SECONDS
from workpool.pytest_plugin._set_ups import SetUps

WORTH_SECONDS = 0.005
"""A part of a group that takes less is not worth the messages."""

LEAST_LEFT = 1.5
"""How many times as long as a set-up what is left of a group must take, set-up included, to be split: both are
done sooner then by a quarter of the set-up that it costs, if enough can be taken."""

LEAST_PART = 0.2
"""Of a set-up: what can be taken must make up as much, or it had better be waited for."""

_ROUNDING = 1e-6
"""Seconds: sums of the same times in another order may differ, by much less."""


class Plan:
    """What is left to run, by worker. `cost(test)` is the seconds a test is expected to take."""

    def __init__(
        self,
        groups: Sequence[Group],
        alone: Sequence[int],
        workers: int,
        cost: Callable[[int], float],
        *,
        set_ups: SetUps | None = None,
        longest_first: bool = False,
        in_order: bool = False,
    ) -> None:
        self._cost = cost
        self._set_ups = set_ups or SetUps({})
        self._alone = deque(alone)
        self._alone_worker: int | None = None
        self._group_of: dict[int, Group] = {}
        for group in groups:
            self._group_of.update(dict.fromkeys(group.tests, group))
        self._common = deque(groups if in_order else ())
        self.left = sum(len(group.tests) for group in groups)
        """Tests nobody has taken, those that run alone not among them."""
        long: list[Group] = []
        if longest_first and not in_order:
            long = cut_out_long(groups, workers, cost, self.moving_cost)
            self._group_of.update({group.tests[0]: group for group in long})
        stretches = deal_out(() if in_order else groups, long, workers, self._whole_seconds)
        if longest_first:
            stretches = [sort_by_length(stretch, self._whole_seconds) for stretch in stretches]
        self._stretches = [deque(stretch) for stretch in stretches]
        self._has_come = [False] * workers
        """Which workers have asked for a test."""
        self._current: list[Group | None] = [None] * workers
        self.taken: set[int] = set()
        """Tests that were taken and have not ended."""

    def next_for(self, worker: int, *, busy: Sequence[float] | None = None) -> int | None:
        """Take the next test of a worker; None if it can have none now.

        From others too if `busy` is given: the seconds that each worker needs for what it has taken,
        infinity for one that may never begin.
        """
        if not self._has_come[worker]:
            self._welcome(worker)
        if not self.left:
            test = self._next_alone(worker)
        else:
            test = self._next_in_group(worker, busy)
            if test is not None:
                self.left -= 1
        if test is not None:
            self.taken.add(test)
        return test

    def ended(self, test: int) -> None:
        """Note that a test has ended."""
        self.taken.discard(test)

    def give_back(self, worker: int, tests: Sequence[int]) -> None:
        """Take tests back that a worker was given and has not begun, for it or anybody to take."""
        for test in reversed(tests):
            if test not in self.taken:
                continue
            self.taken.discard(test)
            group = self._group_of.get(test)
            if group is None:
                self._alone.appendleft(test)
                continue
            self._reopen(worker, group)
            group.tests.appendleft(test)
            self.left += 1

    def put_first(self, worker: int, tests: Sequence[int]) -> None:
        """Take tests back that a worker was given and has not begun, for whoever takes one next.

        Where the order matters, that is: with what is left of their groups they are the first of the sequence.
        """
        groups = list(dict.fromkeys(self._group_of[test] for test in tests if test in self.taken))
        self.give_back(worker, tests)
        current = self._current[worker]
        self._current[worker] = None if current in groups else current
        own = self._stretches[worker]
        self._stretches[worker] = deque(group for group in own if group not in groups)
        self._common.extendleft(reversed(groups))

    def following(self, worker: int) -> int | None:
        """Return the test that a worker takes next of what is meant for it; None if nothing is."""
        group = self._current[worker]
        if group is None or not group.tests:
            group = next((group for group in self._stretches[worker] if group.tests), None)
        return None if group is None else group.tests[0]

    def next_in_order(self) -> int | None:
        """Return the next test of the sequence that all take from; None if there is none."""
        return next((group.tests[0] for group in self._common if group.tests), None)

    def provide(self, worker: int, busy: Sequence[float], *, splits: bool) -> None:
        """Let a worker for which nothing is meant any more have already what it would get later.

        Only what it comes to sooner than those it is taken from, and parts of groups only if it `splits`
        them. For `busy` see `next_for`.
        """
        own = self._stretches[worker]
        if self._common:
            own.append(self._common.popleft())
            return
        own.extend(self._steal_groups(worker, busy))
        if splits and not own:
            own.extend(self._split(worker, busy))

    def group_of(self, test: int) -> Group | None:
        """Return the group of a test, or the part of it that was cut off; None of one that runs alone."""
        return self._group_of.get(test)

    def moving_cost(self, group: Group) -> float:
        """Return the seconds it takes to set up elsewhere what a group needs: if unknown, not too little."""
        known = self._set_ups.known(group.home)
        return WORTH_SECONDS + (
            max(self._set_ups.of(group.home), CHEAP_SECONDS) if known is None else known
        )

    def hand_over(self, test: int, thief: int, *, whole: bool = False) -> None:
        """Let a test that was taken, and has not begun, be another worker's.

        If `whole`, or if its group must not be split, what is left of the group goes with it.
        """
        if test not in self.taken:
            return
        self.taken.discard(test)
        self.left += 1
        group, stretch = self._group_of[test], self._stretches[thief]
        new = next((each for each in stretch if each.moved_from is group), None)
        if new is None:
            new = group.part(())
            new.moved_from = group
            stretch.append(new)
        if group.may_split and not whole:
            new.tests.append(test)
            self._group_of[test] = new
        else:
            self._move_rest(group, new, test)

    def _move_rest(self, group: Group, new: Group, test: int) -> None:
        """Put a test where it belongs in a group that moves: before those that nobody had taken."""
        rest = list(group.tests)
        group.tests.clear()
        new.tests.extend(rest)
        position = sum(1 for other in new.tests if other < test)
        new.tests.insert(position, test)
        self._group_of.update(dict.fromkeys([test, *rest], new))

    def leave_out(self, tests: set[int]) -> None:
        """Strike out tests that nobody has taken."""
        for group in self._waiting_groups():
            kept = [test for test in group.tests if test not in tests]
            self.left -= len(group.tests) - len(kept)
            group.tests = deque(kept)
        self._alone = deque(test for test in self._alone if test not in tests)

    def is_over(self) -> bool:
        """Whether every test has been taken and has ended."""
        return not (self.left or self._alone or self.taken)

    def seconds(self, group: Group) -> float:
        """Return what is left of a group, in seconds."""
        return sum(map(self._cost, group.tests))

    def _welcome(self, worker: int) -> None:
        """Let who comes first have the stretch that comes first: others may come much later."""
        stretches = self._stretches
        late = [other for other, has_come in enumerate(self._has_come) if not has_come]
        first = min(late, key=lambda other: _first_test(stretches[other]))
        stretches[worker], stretches[first] = stretches[first], stretches[worker]
        self._has_come[worker] = True

    def _whole_seconds(self, group: Group) -> float:
        """Return what a group takes that is to be begun, its fixtures included."""
        return self.seconds(group) + (self._set_ups.known(group.home) or 0.0)

    def _waiting_groups(self) -> list[Group]:
        waiting = [group for stretch in self._stretches for group in stretch]
        waiting += [group for group in self._current if group is not None]
        return [*waiting, *self._common]

    def _next_in_group(self, worker: int, busy: Sequence[float] | None) -> int | None:
        group = self._current[worker]
        if group is None or not group.tests:
            group = self._current[worker] = self._next_group(worker, busy)
        return group.tests.popleft() if group is not None else None

    def _next_group(self, worker: int, busy: Sequence[float] | None) -> Group | None:
        own = self._stretches[worker]
        if not own and self._common:
            return self._common.popleft()
        if not own and busy is not None:
            own.extend(self._steal_groups(worker, busy) or self._split(worker, busy))
        while own:
            group = own.popleft()
            if group.tests:
                return group
        return None

    def _next_alone(self, worker: int) -> int | None:
        """Return the next test that runs alone: when nothing else runs, and all in one worker."""
        if not self._alone or (self.taken and self._alone_worker is None):
            return None
        if self._alone_worker is None or not self.taken:
            self._alone_worker = worker
        return self._alone.popleft() if worker == self._alone_worker else None

    def _reopen(self, worker: int, group: Group) -> None:
        """Let a group that may have been used up be found again."""
        current = self._current[worker]
        if group is current or any(group in stretch for stretch in self._stretches):
            return
        if group in self._current:
            return
        if current is not None and current.tests:
            self._stretches[worker].appendleft(current)
        self._current[worker] = group

    def _steal_groups(self, thief: int, busy: Sequence[float]) -> list[Group]:
        """Take half of the whole groups of who has most of them, from the far end.

        None that their owner would begin sooner.
        """
        waiting = [sum(map(self._whole_seconds, stretch)) for stretch in self._stretches]
        victim = max(range(len(waiting)), key=waiting.__getitem__)
        stretch, goal = self._stretches[victim], waiting[victim] / 2
        if not stretch:
            return []
        start = busy[victim] + self._current_seconds(victim) + waiting[victim]
        taken: list[Group] = []
        seconds = 0.0
        while stretch:
            last = self._whole_seconds(stretch[-1])
            start -= last
            is_late = start < busy[thief] + seconds - _ROUNDING
            if is_late or (taken and seconds + last > goal):
                break
            taken.append(stretch.pop())
            seconds += last
        return taken[::-1]

    def _split(self, thief: int, busy: Sequence[float]) -> list[Group]:
        """Take a far part of a group that is being run, if it is worth it: what lets both end together.

        The thief has to set the fixtures up again first.
        """
        victim = max(range(len(busy)), key=self._splittable_seconds)
        seconds, group = self._splittable_seconds(victim), self._current[victim]
        if group is None or not seconds:
            return []
        left, cost = busy[victim] + seconds - busy[thief], self.moving_cost(group)
        share = min((left - self._set_ups.of(group.home)) / 2, seconds)
        if left < LEAST_LEFT * cost or share < LEAST_PART * cost:
            return []
        part, kept = self._far_part(list(group.tests), share)
        group.tests = deque(kept)
        new = group.part(part)
        self._group_of.update(dict.fromkeys(part, new))
        return [new]

    def _current_seconds(self, worker: int) -> float:
        group = self._current[worker]
        return self.seconds(group) if group is not None else 0.0

    def _splittable_seconds(self, worker: int) -> float:
        group = self._current[worker]
        return self.seconds(group) if group is not None and group.may_split else 0.0

    def _far_part(self, tests: list[int], seconds: float) -> tuple[list[int], list[int]]:
        """Cut tests in two: from the end what makes up so many seconds, but what is too long for that."""
        part: list[int] = []
        kept: list[int] = []
        for test in reversed(tests):
            cost = self._cost(test)
            if not part or seconds > cost / 2:
                part.append(test)
                seconds -= cost
            else:
                kept.append(test)
        return part[::-1], kept[::-1]


def _first_test(stretch: Iterable[Group]) -> float:
    return min((group.tests[0] for group in stretch if group.tests), default=inf)
