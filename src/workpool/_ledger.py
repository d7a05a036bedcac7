"""The ledger: which task is with whom, and what becomes of it when a worker dies. Pure.

A task is *waiting* (in the scheduler's backlog), *dispatched* (its token is in a queue, or a worker
has it), or *done*. One dispatch of a task is an *attempt* with a number of its own; a report for
an attempt that the ledger does not know (any more) is stale and goes nowhere. So every task ends
exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Generic, NamedTuple, Protocol, TypeVar

from workpool._frames import attempt_number


class Record(Protocol):
    """What the ledger knows of a task."""

    id: int
    attempts: int  # how often it has been begun
    dispatches: int
    slot: int

    def done(self) -> bool:
        """Whether the task has ended for its user."""
        ...

    @property
    def pinned(self) -> bool:
        """Addressed to its slot's worker alone: dies with that worker's mail."""
        ...


RecordT = TypeVar("RecordT", bound=Record)


class Casualties(NamedTuple, Generic[RecordT]):
    """What a worker took with it."""

    lost: list[RecordT]
    """Begun and not reported: they must not be run again unasked."""
    not_begun: list[RecordT]
    """May be dispatched again: nobody has seen them begin."""


class Ledger(Generic[RecordT]):
    """Keeps account of every dispatched task."""

    def __init__(self) -> None:
        self.dispatched: dict[int, RecordT] = {}
        self.new_id = count(1).__next__
        """Returns the id of a new task."""

    def dispatch(self, task: RecordT) -> int:
        """Enter a task that is about to be sent to its slot; return its attempt number."""
        task.dispatches = dispatches = task.dispatches + 1
        attempt = attempt_number(task.id, dispatches)
        self.dispatched[attempt] = task
        return attempt

    def withdraw(self, attempt: int) -> RecordT | None:
        """Strike out an attempt that nobody can have begun; return its task."""
        return self.dispatched.pop(attempt, None)

    def finish(self, attempt: int) -> RecordT | None:
        """Strike out an attempt that was reported; return its task, or None if it is stale."""
        task = self.dispatched.pop(attempt, None)
        if task is not None and not task.done():
            task.attempts += 1
        return task

    def attempt_of(self, task: RecordT) -> int | None:
        """Return the number of the task's current attempt, or None if it is not dispatched."""
        attempt = attempt_number(task.id, task.dispatches)
        return attempt if self.dispatched.get(attempt) is task else None

    def worker_died(self, slot: int, held: Iterable[tuple[int, int]]) -> Casualties[RecordT]:
        """Account for a dead worker whose reports have all been read.

        `held` is what its status record says: (attempt, when it was begun or 0) per lane. Tokens in
        the slot's queue are not touched: the next worker, or a thief, takes them.
        """
        casualties: Casualties[RecordT] = Casualties([], [])
        for attempt, begun in held:
            if begun:
                task = self.finish(attempt)
                if task is not None:
                    casualties.lost.append(task)
            else:
                task = self.withdraw(attempt)
                if task is not None:
                    casualties.not_begun.append(task)
        # Pinned tasks were in the worker's mail, which died with it.
        for attempt, task in list(self.dispatched.items()):
            if task.pinned and task.slot == slot:
                del self.dispatched[attempt]
                casualties.not_begun.append(task)
        return casualties
