"""How the groups are dealt out to the workers before a run begins. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from workpool.pytest_plugin._grouping import Group

LONG_SHARE = 1 / 3
"""A test that is expected to take more of the run, evenly divided, begins first, without its group."""

LONG_SECONDS = 0.25
"""One that takes less does not: its fixtures may be set up once more for that."""


def cut_out_long(
    groups: Sequence[Group],
    workers: int,
    cost: Callable[[int], float],
    moving_cost: Callable[[Group], float],
) -> list[Group]:
    """Cut those tests out of their groups that would make the run longer if they began late.

    No steps of classes, and none that takes less than to set up its fixtures once more.
    """
    total = sum(sum(map(cost, group.tests)) for group in groups)
    limit = max(total / workers * LONG_SHARE, LONG_SECONDS)
    long = []
    for group in groups:
        if not group.may_split or len(group.tests) < 2:
            continue
        least = max(limit, moving_cost(group))
        for test in [test for test in group.tests if cost(test) > least]:
            if test not in group.steps:
                group.tests.remove(test)
                long.append(group.part([test]))
    return long


def deal_out(
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


def sort_by_length(stretch: list[Group], seconds: Callable[[Group], float]) -> list[Group]:
    """Order groups by what they take, those of a cluster beside each other."""
    totals: dict[object, float] = {}
    for group in stretch:
        totals[_cluster(group)] = totals.get(_cluster(group), 0.0) + seconds(group)
    order = {cluster: number for number, cluster in enumerate(totals)}
    return sorted(
        stretch,
        key=lambda group: (
            -totals[_cluster(group)],
            order[_cluster(group)],
            -seconds(group),
        ),
    )


def _cluster(group: Group) -> object:
    return group.cluster or id(group)
