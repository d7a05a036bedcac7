"""The ledger: which task is with whom, and what becomes of it when a worker dies. Pure.

A task is *waiting* (in the scheduler's backlog), *dispatched* (its token is in a queue, or a worker
has it), or *done*. One dispatch of a task is an *attempt* with a number of its own; a report for
an attempt that the ledger does not know (any more) is stale and goes nowhere. So every task ends
exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from workpool._frames import (
    DISPATCH_BITS,
    DISPATCH_MASK,
    ITEM_STEP,
    attempt_number,
    batch_attempt,
)


class Record(Protocol):
    """What the ledger knows of a task."""

    id: int
    attempts: int  # how often it has been begun
    dispatches: int
    slot: int
    batch: Any
    """What it was sent with, or None."""
    members: Any
    """Of a batch: the tasks in it; empty for a task."""

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

    over: list[RecordT]
    """Everything that has left the kernel with it: batches, and tasks that came singly."""
    lost: list[RecordT]
    """Begun and not reported: they must not be run again unasked."""
    not_begun: list[RecordT]
    """May be dispatched again: nobody has seen them begin."""


_FIRST_BATCH = 1 << 40


class Ledger(Generic[RecordT]):
    """Keeps account of every dispatched task."""

    def __init__(self) -> None:
        self.dispatched: dict[int, RecordT] = {}
        self.new_id = count(1).__next__
        """Returns the id of a new task."""
        self.new_batch_id = count(_FIRST_BATCH).__next__
        """Returns the id of a new batch: no task's, and users see no gaps in theirs."""

    def dispatch(self, tasks: Iterable[RecordT]) -> list[int]:
        """Enter tasks that are about to be sent to their slots; return their attempt numbers."""
        dispatched, attempts = self.dispatched, []
        for task in tasks:
            task.dispatches = dispatches = task.dispatches + 1
            # As `attempt_number`, without the call.
            attempt = task.id << DISPATCH_BITS | dispatches & DISPATCH_MASK
            dispatched[attempt] = task
            attempts.append(attempt)
        return attempts

    def withdraw(self, attempt: int) -> RecordT | None:
        """Strike out an attempt that nobody can have begun; return its task."""
        return self.dispatched.pop(attempt, None)

    def finish(self, attempt: int) -> RecordT | None:
        """Strike out an attempt that was reported; return its task, or None if it is stale.

        A member of a batch is returned if it is still with it, and the batch stays.
        """
        task = self.dispatched.pop(attempt, None)
        if task is None and attempt >= ITEM_STEP:
            task = self.running(attempt)
        if task is not None and not task.done():
            task.attempts += 1
        return task

    def running(self, attempt: int) -> RecordT | None:
        """Return whom an attempt number names that stands in a worker's lane, or None if it is stale."""
        number, index = batch_attempt(attempt)
        task = self.dispatched.get(number)
        return task if index < 0 or task is None else _member(task, index)

    def attempt_of(self, task: RecordT) -> int | None:
        """Return the number of the task's current attempt, or None if it is not dispatched."""
        batch = task.batch
        if batch is not None:
            number = self.attempt_of(batch)
            return None if number is None else batch.attempt_of(task, number)
        attempt = attempt_number(task.id, task.dispatches)
        return attempt if self.dispatched.get(attempt) is task else None

    def worker_died(self, slot: int, held: Iterable[tuple[int, int]]) -> Casualties[RecordT]:
        """Account for a dead worker whose reports have all been read.

        `held` is what its status record says: (attempt, when it was begun or 0) per lane. Tokens in
        the slot's queue are not touched: the next worker, or a thief, takes them.
        """
        casualties: Casualties[RecordT] = Casualties([], [], [])
        for attempt, begun in held:
            number, index = batch_attempt(attempt)
            task = self.withdraw(number)
            if task is None:
                continue
            casualties.over.append(task)
            if task.members:
                self._batch_died(task, index if begun else -1, casualties)
            elif begun:
                task.attempts += not task.done()
                casualties.lost.append(task)
            else:
                casualties.not_begun.append(task)
        # Pinned tasks were in the worker's mail, which died with it.
        for attempt, task in list(self.dispatched.items()):
            if task.pinned and task.slot == slot:
                del self.dispatched[attempt]
                casualties.over.append(task)
                casualties.not_begun.append(task)
        return casualties

    @staticmethod
    def _batch_died(batch: Any, running: int, casualties: Casualties[RecordT]) -> None:
        """Account for a batch whose worker has died, running the member at that index, or none yet."""
        casualties.not_begun.extend(batch.take_from(running + 1))
        # What ended before the one that ran has been reported, or taken from the shelf.
        for member in batch.take_from(0):
            member.attempts += 1
            casualties.lost.append(member)


def _member(batch: Any, index: int) -> Any:
    """Return a member that is still with its batch, or None."""
    return batch.members[index] if index < batch.end else None
