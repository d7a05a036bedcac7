"""What is to be taken from a worker for one that has nothing to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from workpool.pytest_plugin._grouping import Group


class Stretch(NamedTuple):
    """Tests of one group that wait behind each other in a worker."""

    group: Group
    names: list[str]
    seconds: float
    """What they are expected to take."""


def stretches(
    names: Iterable[str], group_of: Callable[[str], Group | None], seconds: Callable[[str], float]
) -> list[Stretch]:
    """Cut what waits in a worker into its groups; tests that run alone are left out."""
    found = []
    for group, together in groupby(names, group_of):
        if group is not None:
            each = list(together)
            found.append(Stretch(group, each, sum(map(seconds, each))))
    return found


def worth_moving(
    waiting: Sequence[Stretch],
    begun: Callable[[Group], bool],
    moving_cost: Callable[[Group], float],
    *,
    is_stuck: bool,
    is_past_set_up: bool = True,
) -> list[str]:
    """Return the tests that another worker should have, about half of them.

    Whole groups, if there are any: of a worker that goes on the last ones, of one that is stuck the
    next ones, for they stood first in the order. Else a part of the group it is in, if that may be
    split and is worth setting its fixtures up again. What takes long may be the set-up itself, until
    it has taken so long that it is none (`is_past_set_up`).
    """
    whole = [each for each in waiting if not begun(each.group)]
    if whole:
        return _half(whole if is_stuck else whole[::-1])
    parts = [each for each in waiting if each.group.may_split]
    if not parts:
        return []
    part = parts[0] if is_stuck else parts[-1]
    half = (len(part.names) + 1) // 2
    if is_stuck and is_past_set_up:
        return part.names[:half]
    worth = part.seconds * half / len(part.names) > moving_cost(part.group)
    return part.names[-half:] if worth else []


def _half(whole: Sequence[Stretch]) -> list[str]:
    """Return the names in the first of some stretches, until half the time is reached."""
    goal = sum(each.seconds for each in whole) / 2
    names: list[str] = []
    seconds = 0.0
    for each in whole:
        if names and seconds + each.seconds > goal:
            break
        names += each.names
        seconds += each.seconds
    return names
