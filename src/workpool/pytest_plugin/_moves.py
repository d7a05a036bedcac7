"""What is to be taken from a worker for one that has nothing to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from workpool.pytest_plugin._grouping import Group


class Stretch(NamedTuple):
    """Tests of one group that wait behind each other in a worker."""

    group: Group
    names: list[str]
    seconds: float
    """What they are expected to take."""


CHEAP_SECONDS = 0.02
"""What may be set up twice for the sake of the order."""


@dataclass
class Request:
    """Tests that a worker was asked to give up for another one, which has nothing to do."""

    victim: int
    thief: int
    whole: set[Group]
    """Groups of them of which no test had begun: they are moved as a whole, or not."""
    unanswered: set[str]
    withdrawn: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Tests that had begun."""

    def answer(self, name: str, *, is_withdrawn: bool) -> bool:
        """Note what came of a test; return whether that was the last answer."""
        self.unanswered.discard(name)
        (self.withdrawn if is_withdrawn else self.kept).append(name)
        return not self.unanswered


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
    toll: float = 0.0,
) -> list[str]:
    """Return the tests that another worker should have, about half of them.

    Whole groups, if there are any: of a worker that goes on the last ones, unless it would begin them
    before the other one has paid the `toll`, the seconds of what that must set up first; of one that is
    stuck the next ones, for they stood first in the order, and if that costs little also those of a group that
    has begun. Else a part of the group it is in, if that
    may be split and is worth setting its fixtures up again. What takes long may be the set-up itself,
    until it has taken so long that it is none (`is_past_set_up`).
    """
    whole = [each for each in waiting if not begun(each.group)]
    if is_stuck and is_past_set_up:
        cheap = [each for each in waiting if _is_cheap(each, begun, moving_cost)]
        if cheap:
            return _half(cheap)
    if whole and is_stuck:
        return _half(whole)
    if whole:
        names = _half(whole[::-1])
        kept = sum(each.seconds for each in waiting if each.names[0] not in names)
        return names if kept >= toll else []
    parts = [each for each in waiting if each.group.may_split]
    if not parts:
        return []
    part = parts[0] if is_stuck else parts[-1]
    half = (len(part.names) + 1) // 2
    if is_stuck and is_past_set_up:
        return part.names[:half]
    worth = part.seconds * half / len(part.names) > max(moving_cost(part.group), toll)
    return part.names[-half:] if worth else []


def _is_cheap(
    stretch: Stretch, begun: Callable[[Group], bool], moving_cost: Callable[[Group], float]
) -> bool:
    """Whether to move it is no more work than to move a group of which no test has begun."""
    group = stretch.group
    return not begun(group) or (group.may_split and moving_cost(group) < CHEAP_SECONDS)


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
