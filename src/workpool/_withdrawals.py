"""Withdrawing tasks: taking back what has not begun, without disturbing what has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workpool._frames import item_attempt
from workpool._interrupts import SETTLE_SECONDS

if TYPE_CHECKING:
    from workpool._dispatcher import Dispatcher
    from workpool._interrupts import Interrupts
    from workpool._ledger import Ledger
    from workpool._scheduler import Scheduler
    from workpool._task import Task


class Withdrawals:
    """Takes tasks back. The first two steps are those of `Interrupts`; the third leaves the task alone.

    A worker that has written that it begins may be about to see the mark or have looked already. The
    answer then is that the task has begun; should the worker skip it after all, it is sent again.

    What has left its lane has begun as well. So the lanes are looked at first, and then the reports are
    read: what is in neither, and is marked, will never begin. Of a batch the members before the one in the
    lane have begun, though they are not reported yet.

    `begun_or_ended()` does these two things and returns what tells of a task whether it had begun;
    `tasks_here` are those that run in this process.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger[Task[Any]],
        scheduler: Scheduler[Task[Any]],
        dispatcher: Dispatcher,
        interrupts: Interrupts,
        begun_or_ended: Callable[[], Callable[[Task[Any]], bool]],
        tasks_here: set[Task[Any]],
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._interrupts = interrupts
        self._begun_or_ended = begun_or_ended
        self._tasks_here = tasks_here
        self._asked: dict[int, asyncio.Future[bool]] = {}
        """The answers that are waited for, by attempt."""
        self._left_alone: set[int] = set()
        """Attempts that had begun, as far as anybody could tell."""

    def withdraw(self, task: Task[Any]) -> asyncio.Future[bool]:
        """Cancel a task if it has not begun; the answer says whether it was."""
        answer = self._asked.get(self._ledger.attempt_of(task) or 0)
        if answer is None:
            answer = self._loop.create_future()
            self._ask(task, answer)
        return asyncio.shield(answer)  # one of those who wait may be cancelled

    def skipped(self, task: Task[Any], attempt: int) -> bool:
        """Deal with an attempt that its worker has skipped for us; return False if it was not for us."""
        answer = self._asked.pop(attempt, None)
        if answer is not None:
            task.cancel()
            _answer(answer, True)
        elif attempt in self._left_alone:
            self._left_alone.remove(attempt)
            self._scheduler.add(task)
        else:
            return False
        return True

    def ended(self, attempt: int) -> None:
        """Note that an attempt has ended."""
        self._left_alone.discard(attempt)

    def all_ended(self, attempt: int, count: int) -> None:
        """Note that a batch of so many members has ended."""
        if self._left_alone:
            self._left_alone -= {item_attempt(attempt, index) for index in range(count)}

    def _ask(self, task: Task[Any], answer: asyncio.Future[bool]) -> None:
        attempt = self._ledger.attempt_of(task)
        is_left_alone = task in self._tasks_here or self._interrupts.is_interrupted(attempt)
        if task.done() or is_left_alone:
            _answer(answer, False)
        elif attempt is None:
            _answer(answer, task.cancel())
        else:
            self._asked[attempt] = answer
            self._dispatcher.mark_cancelled(task)
            self._loop.call_later(SETTLE_SECONDS, self._look, task, attempt)

    def _look(self, task: Task[Any], attempt: int) -> None:
        if attempt not in self._asked:
            return
        had_begun = None if task.done() else self._begun_or_ended()
        answer = self._asked.pop(attempt, None)
        if answer is None:
            return  # it was skipped
        if task.done() or had_begun is None:
            _answer(answer, False)
        elif self._ledger.attempt_of(task) != attempt:
            self._ask(task, answer)  # its worker has died meanwhile
        elif had_begun(task):
            self._left_alone.add(attempt)
            _answer(answer, False)
        else:
            _answer(answer, task.cancel())


def _answer(answer: asyncio.Future[bool], value: bool) -> None:
    if not answer.done():
        answer.set_result(value)
