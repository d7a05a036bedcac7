"""Interrupting tasks that run: for a cancellation, or because their time is up.

The steps, each only if the one before did not end the attempt:

1. The attempt is marked as cancelled in the arena: if it has not begun, its worker skips it.
2. `SETTLE_SECONDS` later its lane is looked at. The worker writes *begun* and then reads the mark;
   the pool writes the mark and then reads *begun*, later than any store can linger in a CPU. So
   either the worker sees the mark or the pool sees that it has begun, and interrupts it.
3. `CANCEL_GRACE` later the worker is *condemned* for this attempt. After another
   `SETTLE_SECONDS`, if the lane still holds the attempt, the worker is killed. A worker that ends
   the attempt looks at the condemnation before it begins anything else, and waits while it stands
   for that attempt. So the kill never hits a worker that has gone on to another task.

An async worker, which may be running other tasks as well, is not condemned but told to stop. When it
has read that, it begins nothing more, and is killed when nothing but interrupted attempts is left in
it. One that does not read its mail for the length of the grace has a blocked event loop, in which no
other task could go on either; that one is killed with all it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from workpool._frames import (
    ITEM_STEP,
    MAIL_LOOK_ROUND,
    batch_attempt,
    item_attempt,
    task_of_attempt,
)
from workpool._patient_timer import PatientTimer
from workpool._system.status_page import CONDEMNED, INTERRUPT, INTERRUPTION, MAIL, MAIL_READ

if TYPE_CHECKING:
    from workpool._dispatcher import Dispatcher
    from workpool._fleet import Fleet
    from workpool._ledger import Ledger
    from workpool._task import Task
    from workpool._worker_process import WorkerProcess

SETTLE_SECONDS = 0.002
"""Far longer than twice the time that a store takes to be seen by all CPUs (microseconds): the mark may be
seen late, and so may the store of a worker that has not seen it."""

CANCEL_GRACE = 1.0
"""Seconds an interrupted task has to end before its worker is killed."""

_LONGEST_WAIT = 86_400.0  # seconds; a timeout may be infinite, a timer may not


class _Ending(NamedTuple):
    """An async worker that is to end for an attempt; mail is named by how much had been sent by then."""

    attempt: int
    stop: int
    """The mail that told it to stop."""
    probe: int
    """The mail that it must have read by then, unless its event loop is blocked."""
    due: float
    """When that is, in the event loop's time."""


class Interrupts:
    """Ends running attempts. `on_timeout(task, attempt)` is told when a task's time is up."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger[Task[Any]],
        dispatcher: Dispatcher,
        fleet: Fleet,
        on_timeout: Callable[[Task[Any], int], None],
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._fleet = fleet
        self._on_timeout = on_timeout
        self._marked: list[int] = []
        self._interrupted: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = float("inf")

    def interrupt(self, task: Task[Any]) -> None:
        """End a dispatched task's attempt, begun or not. Does not block."""
        attempt = self._ledger.attempt_of(task)
        if attempt is None or attempt in self._interrupted:
            return
        self._interrupted.add(attempt)
        self._dispatcher.mark_cancelled(task)
        self._marked.append(attempt)
        if len(self._marked) == 1:
            self._loop.call_soon(self._let_settle)

    def is_interrupted(self, attempt: int | None) -> bool:
        """Whether an attempt is being ended."""
        return attempt in self._interrupted

    def ended(self, attempt: int) -> None:
        """Note that an attempt has ended."""
        self._interrupted.discard(attempt)

    def all_ended(self, attempt: int, count: int) -> None:
        """Note that a batch of so many members has ended."""
        if self._interrupted:
            self._interrupted -= {item_attempt(attempt, index) for index in range(count)}

    def find(self, attempt: int) -> tuple[WorkerProcess, int] | None:
        """Return the worker that has begun an attempt, and when (perf_counter_ns), or None."""
        for worker, held, begun in self._begun():
            if held == attempt:
                return worker, begun
        return None

    def running(self) -> int:
        """Return how many attempts have been begun and not reported."""
        return sum(1 for _ in self._begun())

    def begun(self) -> Callable[[Task[Any]], bool]:
        """Return what tells of a task whether it had been begun by now.

        Of a task that has ended, but not in what was read of the reports, that is not certain: read
        them after this, and see whether it is done. What a worker has ended whose reports cannot be
        read, nobody knows: while there is such a one, everything may have begun.
        """
        workers, page = self._fleet.present(), self._dispatcher.page
        if any(worker.unreadable for worker in workers):
            return lambda task: True
        # Of a batch also the member that a worker will not begin, because its rest was taken from it.
        lanes = [
            batch_attempt(attempt)
            for worker in workers
            for attempt, begun in page.held(worker.slot)
            if begun
        ]

        def had_begun(task: Task[Any]) -> bool:
            number, index = batch_attempt(self._ledger.attempt_of(task) or 0)
            return any(number == lane and index <= member for lane, member in lanes)

        return had_begun

    def watch(self, timeout: float) -> None:
        """See to it that a task with this timeout, dispatched now, is ended when its time is up."""
        self._look_again(timeout)

    def _begun(self) -> Iterator[tuple[WorkerProcess, int, int]]:
        page = self._dispatcher.page
        for worker in self._fleet.present():
            for attempt, begun in page.held(worker.slot):
                if begun and self._ledger.running(attempt) is not None:
                    yield worker, attempt, begun

    def _let_settle(self) -> None:
        """Let the time begin when the last of the marks made in one turn of the loop is written."""
        marked, self._marked = set(self._marked), []
        self._loop.call_later(SETTLE_SECONDS, self._look_at_marked, marked)

    def _look_at_marked(self, marked: set[int]) -> None:
        for worker, attempt, _ in list(self._begun()):
            if attempt in marked:
                self._interrupt_running(worker, attempt)

    def _interrupt_running(self, worker: WorkerProcess, attempt: int) -> None:
        if worker.is_async:
            self._dispatcher.wakeups.post_cancel(worker.slot, attempt)
        else:
            page = self._dispatcher.page
            page.words[page.field(worker.slot, INTERRUPT)] = attempt
            worker.process.send_signal(INTERRUPTION)
        PatientTimer(self._loop, CANCEL_GRACE, self._condemn, worker, attempt, self._sent(worker))

    def _condemn(self, worker: WorkerProcess, attempt: int, interruption: int) -> None:
        if not self._still_running(worker, attempt):
            return
        if worker.is_async:
            self._fleet.retire(worker)
            ending = _Ending(attempt, self._sent(worker), interruption, self._loop.time())
            self._end_async_later(worker, ending)
            return
        page = self._dispatcher.page
        page.words[page.field(worker.slot, CONDEMNED)] = attempt
        self._loop.call_later(SETTLE_SECONDS, self._execute, worker, attempt)

    def _execute(self, worker: WorkerProcess, attempt: int) -> None:
        if self._still_running(worker, attempt):
            self._fleet.kill(worker, self._not_ended(attempt))
        elif worker in self._fleet.workers:
            page = self._dispatcher.page
            word = page.field(worker.slot, CONDEMNED)
            if page.words[word] == attempt:
                page.words[word] = 0

    def _end_async(self, worker: WorkerProcess, ending: _Ending) -> None:
        if not self._still_running(worker, ending.attempt):
            return
        now, page = self._loop.time(), self._dispatcher.page
        # Read before the lanes: what the worker has begun before it read the stop is in them.
        read = page.words[page.field(worker.slot, MAIL_READ)]
        is_left_alone = read >= ending.stop and not self._has_others(worker)
        if is_left_alone or (now >= ending.due and read < ending.probe):
            self._fleet.kill(worker, self._not_ended(ending.attempt))
            return
        if now >= ending.due:  # its event loop has turned; does it still?
            self._dispatcher.wakeups.post(worker.slot, MAIL_LOOK_ROUND)
            ending = ending._replace(probe=self._sent(worker), due=now + CANCEL_GRACE)
        self._end_async_later(worker, ending)

    def _end_async_later(self, worker: WorkerProcess, ending: _Ending) -> None:
        self._loop.call_later(CANCEL_GRACE / 10, self._end_async, worker, ending)

    def _has_others(self, worker: WorkerProcess) -> bool:
        """Whether a worker has begun anything that is not interrupted."""
        return any(
            where is worker and attempt not in self._interrupted
            for where, attempt, _ in self._begun()
        )

    def _sent(self, worker: WorkerProcess) -> int:
        """Return how much mail has been posted to a worker, what waits for room included."""
        page = self._dispatcher.page
        return int(page.words[page.field(worker.slot, MAIL)]) + worker.unsent_mail

    def _still_running(self, worker: WorkerProcess, attempt: int) -> bool:
        found = self.find(attempt)
        return found is not None and found[0] is worker

    def _look_again(self, seconds: float) -> None:
        due = self._loop.time() + min(seconds, _LONGEST_WAIT)
        if due >= self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._check_timeouts)

    def _check_timeouts(self) -> None:
        """End what is over time; look again when the next one could be."""
        self._timer, self._timer_due = None, float("inf")
        now = time.perf_counter_ns()
        for _, attempt, begun in list(self._begun()):
            task = self._ledger.running(attempt)
            timeout = None if task is None else task._settings.timeout
            if task is None or timeout is None or attempt in self._interrupted:
                continue
            left = timeout - (now - begun) / 1e9
            if left <= 0:
                self._on_timeout(task, attempt)
                self.interrupt(task)
            else:
                self._look_again(left)
        waiting = [
            task._settings.timeout
            for attempt, task in self._ledger.dispatched.items()
            if task._settings.timeout is not None and attempt not in self._interrupted
        ]
        if waiting:
            self._look_again(min(waiting))

    def _not_ended(self, attempt: int) -> str:
        member = self._ledger.running(attempt) if attempt >= ITEM_STEP else None
        number = task_of_attempt(attempt) if member is None else member.id
        return f"task {number} had been interrupted and did not end within {CANCEL_GRACE:g} seconds"
