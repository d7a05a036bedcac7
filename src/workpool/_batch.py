"""Batches: tiny tasks that travel together, so that each costs the pool next to nothing.

A batch is one token, one attempt and one report, but its members stay tasks of their own. The worker shows in its
lane which member it is at and keeps each result in shared memory until it is reported, so whatever happens to
it, the pool knows what became of every member: ended, lost (the one that ran), or not begun.
"""

from __future__ import annotations

import pickle
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

from workpool._frames import BATCH, item_attempt
from workpool._options import TaskSettings
from workpool._retry_policy import RetryPolicy
from workpool._serialization import FOREIGN_ERRORS, MAIN_MODULE, PLAIN_TYPES

if TYPE_CHECKING:
    from collections import deque

    from workpool._task import Task

MOST_MEMBERS = 128
"""Their results and costs fit one report, if they are numbers."""

SAFE_TYPES = {*PLAIN_TYPES, str, bytes, FunctionType, BuiltinFunctionType, type}
"""Objects that many tasks may share in one pickle: nobody can change them, or all get the same one anyway.
Tuples of such objects are as safe."""

_TEXT_TYPES = frozenset({str, bytes})
_LONGEST_TUPLE = 16
_LONGEST_TEXT = 1000
"""Characters or bytes: a batch of larger ones would be too large for the arena, and have been pickled for nothing."""

_NO_SETTINGS = TaskSettings(None, RetryPolicy(0))
_HEADER = 3  # bytes: flags, how many members (16 bits)


class Batch:
    """What the ledger, the scheduler and the dispatcher see of some tasks that travel together."""

    __slots__ = (
        "attempts",
        "dispatches",
        "end",
        "ends_alone",
        "estimate",
        "id",
        "members",
        "offset",
        "revoked",
        "slot",
    )

    key = meta = inherent = batch = None
    pinned = movable = False
    _settings = _NO_SETTINGS

    id: int
    slot: int
    estimate: float
    offset: int

    def __init__(self, members: list[Task[Any]]) -> None:
        self.members = members
        classes: set[Any] = set(map(type, members))
        self.ends_alone = all(each.ends_alone for each in classes)
        """Whether each of them ends without calling anybody, and so ends no other one."""
        self.end = len(members)
        """How many of them are still its own; those behind have been taken from it."""
        self.attempts = self.dispatches = 0
        self.revoked = False
        """Whether the worker has been told to begin no more of them."""
        for task in members:
            task.batch = self

    def pending(self) -> int:
        """Return how many of its members have not ended; at least one until it is reported itself."""
        return max(1, sum(not task.done() for task in self.members[: self.end]))

    def done(self) -> bool:
        """Return False: its members may be done, one by one."""
        return False

    def record(self) -> bytes | None:
        """Return what the arena is to hold: flags, a byte per member, the arguments.

        None if they need the care of a `Serializer`, and so have to travel one by one.
        """
        count = len(self.members)
        try:
            arguments = pickle.dumps([task.argument for task in self.members], 5)
        except FOREIGN_ERRORS:
            return None
        if MAIN_MODULE in arguments:
            return None
        return b"".join((bytes((BATCH,)), count.to_bytes(2, "little"), bytes(count), arguments))

    def attempt_of(self, task: Task[Any], attempt: int) -> int | None:
        """Return a member's attempt number in this batch's attempt; None if it has been taken from it."""
        index = self.members.index(task)
        return item_attempt(attempt, index) if index < self.end else None

    def flag_offset(self, task: Task[Any]) -> int:
        """Return where in the arena the worker looks whether a member is to be skipped."""
        return self.offset + _HEADER + self.members.index(task)

    def take_from(self, index: int) -> list[Task[Any]]:
        """Take the members from an index on away from it; return those that have not ended."""
        taken = self.members[index : self.end]
        self.end = min(self.end, index)
        left = [task for task in taken if task.batch is self and not task.done()]
        for task in left:
            task.batch = None
        return left


def take_batch(backlog: deque[Task[Any]], most: int) -> Batch | None:
    """Take tasks that may travel together from the front of a backlog; None if there are not two.

    These are tasks with nothing but an argument, whose argument nobody can change.
    """
    most = min(most, MOST_MEMBERS, len(backlog))
    take = backlog.popleft
    members = [take() for _ in range(most)]
    if _may_travel_together(members):
        return Batch(members)
    backlog.extendleft(reversed(members))
    members = []
    for _ in range(most):
        task = take()
        if task.done():
            continue
        argument = task.argument
        if task._settings.plain and (argument.__class__ in PLAIN_TYPES or _is_safe(argument)):
            members.append(task)
        else:
            backlog.appendleft(task)
            break
    if len(members) > 1:
        return Batch(members)
    backlog.extendleft(members)
    return None


def _may_travel_together(tasks: list[Task[Any]]) -> bool:
    """Whether these are, as is most often so, several of the plainest tasks; in a few steps each."""
    # In a pool for threads they may be of two classes: what its `process` adds are tasks of the asyncio pool.
    classes: set[Any] = set(map(type, tasks))
    if len(tasks) < 2 or len(classes) != 1 or any(map(classes.pop().done, tasks)):
        return False
    kinds = {task.argument.__class__ for task in tasks}
    return kinds <= PLAIN_TYPES and False not in {task._settings.plain for task in tasks}


def _is_safe(argument: Any, levels: int = 3) -> bool:
    kind = argument.__class__
    if kind in _TEXT_TYPES and len(argument) > _LONGEST_TEXT:
        return False
    if kind is not tuple:
        return kind in SAFE_TYPES
    return (
        levels > 0
        and len(argument) <= _LONGEST_TUPLE
        and all(_is_safe(each, levels - 1) for each in argument)
    )
