"""Which worker runs which tests, and who gives some of them up for whom. Pure.

Each worker has a stretch of the groups, in their order, so that neighbours meet what their
predecessors have set up. One that has nothing left takes whole groups from the far end of the
stretch that has most; when no whole group is left, it takes a part of one that is being run, if
that saves more than setting its fixtures up again costs.

Where the order of the tests matters, all take their groups from the front of one sequence instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from workpool.pytest_plugin._grouping import Group

WORTH_SECONDS = 0.005
"""A part of a group that takes less is not worth the messages."""

LONG_SHARE = 1 / 3
"""A test that is expected to take more of the run, evenly divided, begins first, without its group."""

LONG_SECONDS = 0.25
"""One that takes less does not: its fixtures may be set up once more for that."""

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
        longest_first: bool = False,
        in_order: bool = False,
    ) -> None:
        self._cost = cost
        self._setup_costs: dict[object, float] = {}
        self._bare_set_ups: dict[object, float] = {}
        """Of groups whose first test had everything set up for it, the session's fixtures too."""
        self._alone = deque(alone)
        self._alone_worker: int | None = None
        self._group_of: dict[int, Group] = {}
        for group in groups:
            self._group_of.update(dict.fromkeys(group.tests, group))
        self._common = deque(groups if in_order else ())
        self.left = sum(len(group.tests) for group in groups)
        """Tests nobody has taken, those that run alone not among them."""
        long = self._cut_out_long(groups, workers) if longest_first and not in_order else []
        stretches = _stretches(() if in_order else groups, long, workers, self.seconds)
        if longest_first:
            stretches = [self._longest_first(stretch) for stretch in stretches]
        self._stretches = [deque(stretch) for stretch in stretches]
        self._current: list[Group | None] = [None] * workers
        self.taken: set[int] = set()
        """Tests that were taken and have not ended."""

    def next_for(self, worker: int, *, busy: Sequence[float] | None = None) -> int | None:
        """Take the next test of a worker; None if it can have none now.

        From others too if `busy` is given: the seconds that each worker needs for what it has taken,
        infinity for one that may never begin.
        """
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

    def following(self, worker: int) -> int | None:
        """Return the test that a worker takes next of what is meant for it; None if nothing is."""
        group = self._current[worker]
        if group is None or not group.tests:
            group = next((group for group in self._stretches[worker] if group.tests), None)
        return None if group is None else group.tests[0]

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

    def longest_set_up(self) -> float:
        """Return the seconds of the longest set-up so far."""
        return max(self._setup_costs.values(), default=0.0)

    def broad_set_up(self) -> float:
        """Return the seconds it takes to set up what is shared beyond groups, by what is known of it."""
        groups = self._setup_costs.items()
        within = min((cost for key, cost in groups if key not in self._bare_set_ups), default=0.0)
        return max(min(self._bare_set_ups.values(), default=0.0) - within, 0.0)

    def moving_cost(self, group: Group) -> float:
        """Return the seconds it takes to set up elsewhere what a group needs: if unknown, what others need."""
        known = self._setup_costs
        set_up = known.get(group.key)
        if set_up is None:
            set_up = sum(known.values()) / len(known) if known else 0.0
        return WORTH_SECONDS + set_up

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
            new = Group(group.key, group.cluster, (), may_split=group.may_split)
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

    def lose(self, worker: int, heir: int) -> None:
        """Give what was meant for a worker that will never come back to another one."""
        current, self._current[worker] = self._current[worker], None
        stretch = self._stretches[heir]
        if current is not None and current.tests:
            stretch.append(current)
        stretch.extend(self._stretches[worker])
        self._stretches[worker].clear()

    def set_up_took(self, test: int, seconds: float, *, is_bare: bool = False) -> None:
        """Note how long the set-up of a test took: the longest in a group is that of its fixtures.

        `is_bare` says that nothing was up before it in its worker.
        """
        group = self._group_of.get(test)
        if group is None:
            return
        if is_bare:
            self._bare_set_ups[group.key] = seconds
        if seconds > self._setup_costs.get(group.key, 0.0):
            self._setup_costs[group.key] = seconds

    def is_over(self) -> bool:
        """Whether every test has been taken and has ended."""
        return not (self.left or self._alone or self.taken)

    def untaken(self) -> list[int]:
        """Return the tests nobody has taken."""
        waiting = self._waiting_groups()
        return sorted({*(test for group in waiting for test in group.tests), *self._alone})

    def seconds(self, group: Group) -> float:
        """Return what is left of a group, in seconds."""
        return sum(map(self._cost, group.tests))

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
        waiting = [sum(map(self.seconds, stretch)) for stretch in self._stretches]
        victim = max(range(len(waiting)), key=waiting.__getitem__)
        stretch, goal = self._stretches[victim], waiting[victim] / 2
        if not stretch:
            return []
        start = busy[victim] + self._current_seconds(victim) + waiting[victim]
        taken: list[Group] = []
        seconds = 0.0
        while stretch:
            last = self.seconds(stretch[-1])
            start -= last
            is_late = start < busy[thief] + seconds - _ROUNDING
            if is_late or (taken and seconds + last > goal):
                break
            taken.append(stretch.pop())
            seconds += last
        return taken[::-1]

    def _split(self, thief: int, busy: Sequence[float]) -> list[Group]:
        """Take a far part of a group that is being run, if it is worth it: what lets both end together."""
        victim = max(range(len(busy)), key=self._splittable_seconds)
        seconds, group = self._splittable_seconds(victim), self._current[victim]
        if group is None or not seconds:
            return []
        share = min((busy[victim] + seconds - busy[thief]) / 2, seconds)
        if share < self.moving_cost(group):
            return []
        part, kept = self._far_part(list(group.tests), share)
        group.tests = deque(kept)
        new = Group(group.key, group.cluster, part, may_split=True)
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

    def _cut_out_long(self, groups: Sequence[Group], workers: int) -> list[Group]:
        """Cut those tests out of their groups that would make the run longer if they began late."""
        limit = max(sum(map(self.seconds, groups)) / workers * LONG_SHARE, LONG_SECONDS)
        long = []
        for group in groups:
            if group.may_split and len(group.tests) > 1:
                for test in [test for test in group.tests if self._cost(test) > limit]:
                    group.tests.remove(test)
                    self._group_of[test] = alone = Group(
                        group.key, group.cluster, [test], may_split=True
                    )
                    long.append(alone)
        return long

    def _longest_first(self, stretch: list[Group]) -> list[Group]:
        """Order groups by what they take, those of a cluster beside each other."""
        totals: dict[object, float] = {}
        for group in stretch:
            totals[_cluster(group)] = totals.get(_cluster(group), 0.0) + self.seconds(group)
        order = {cluster: number for number, cluster in enumerate(totals)}
        return sorted(
            stretch,
            key=lambda group: (
                -totals[_cluster(group)],
                order[_cluster(group)],
                -self.seconds(group),
            ),
        )


def _cluster(group: Group) -> object:
    return group.cluster or id(group)


def _stretches(
    groups: Iterable[Group],
    long: Sequence[Group],
    workers: int,
    seconds: Callable[[Group], float],
) -> list[list[Group]]:
    """Deal out the long groups, longest first; cut the others, a sequence, into a stretch per worker.

    All workers then have about the same to do.
    """
    stretches: list[list[Group]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for group in sorted(long, key=seconds, reverse=True):
        worker = loads.index(min(loads))
        stretches[worker].append(group)
        loads[worker] += seconds(group)
    costs = [(group, seconds(group)) for group in groups]
    share = (sum(loads) + sum(cost for _, cost in costs)) / workers
    worker = 0
    for group, cost in costs:
        while worker < workers - 1 and loads[worker] + cost / 2 > share:
            worker += 1
        stretches[worker].append(group)
        loads[worker] += cost
    return stretches
