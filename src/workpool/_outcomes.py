"""What becomes of tasks: results, errors, retries, crashes, cancellations, timeouts."""

from __future__ import annotations

import asyncio
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workpool import _frames as frames
from workpool._frames import attempt_number
from workpool._serialization import FOREIGN_ERRORS, brief, unpack_error, unreadable
from workpool._worker_crashed import WorkerCrashed, crash_error
from workpool.errors import TaskTimeout

if TYPE_CHECKING:
    from workpool._costs import CostModel
    from workpool._dispatcher import Dispatcher
    from workpool._interrupts import Interrupts
    from workpool._ledger import Ledger
    from workpool._pauses import Pauses
    from workpool._revival import Revival
    from workpool._scheduler import Scheduler
    from workpool._system.process import ExitStatus
    from workpool._task import Task
    from workpool._task_loop import TaskLoop
    from workpool._withdrawals import Withdrawals
    from workpool._worker_handle import WorkerHandle
    from workpool._worker_process import WorkerProcess

_PLAIN_RESULTS = (frames.RESULT, frames.NOTHING)

CompletionListener = Callable[["Task[Any]", Any, "BaseException | None"], None]


class Outcomes:
    """Ends tasks, each exactly once, and counts them.

    `on_idle()` is called when the last pending task has ended; `on_complete` (None while nobody
    listens) with every task that ends, its result and its error.
    """

    def __init__(
        self,
        ledger: Ledger[Task[Any]],
        scheduler: Scheduler[Task[Any]],
        costs: CostModel,
        revival: Revival,
        task_loop: TaskLoop,
        on_idle: Callable[[], None],
    ) -> None:
        self.pending = 0
        self.completed = 0
        self.failed = 0
        self.cancelled = 0
        self.on_complete: CompletionListener | None = None
        self.dispatcher: Dispatcher
        self.interrupts: Interrupts
        self.withdrawals: Withdrawals
        self.pauses: Pauses
        self._ledger = ledger
        self._scheduler = scheduler
        self._costs = costs
        self._revival = revival
        self._task_loop = task_loop
        self._on_idle = on_idle
        self._timed_out: set[int] = set()

    # Reports

    def results(self, worker: WorkerProcess, data: bytes, position: int) -> int:  # noqa: C901 - see below
        """End the tasks of the plain results that stand in a report stream from a position on.

        Returns where something else begins, or what is not whole.
        """
        # A few calls per task: when they are tiny and come one by one, this is what they cost.
        on_complete, unpickle, unpack = self.on_complete, pickle.loads, frames.REPORT.unpack_from
        take, handle, timed_out = self._ledger.dispatched.pop, worker.handle, self._timed_out
        header, size = frames.REPORT.size, len(data)
        offsets: list[int] = []
        over: list[Task[Any]] = []
        ended, seconds, without_key = 0, 0.0, 0
        while position + header <= size:
            length, kind, attempt, cost = unpack(data, position)
            start = position + header
            if kind not in _PLAIN_RESULTS or start + length > size:
                break
            position = start + length
            task = take(attempt, None)
            if task is None:
                self._member(worker, (kind, attempt, cost, data[start:position]))
                continue  # or stale: it has ended otherwise
            offsets.append(task.offset)
            over.append(task)
            task.cost = cost
            task.worker = handle
            if task.key is None:
                seconds += cost
                without_key += 1
            else:
                self._costs.observe_key(task.key, cost)
            if timed_out or task.done():
                self._no_longer_interrupted(attempt)
                if task.done():
                    continue
            task.attempts += 1
            try:
                value = unpickle(data[start:position]) if length else None
            except FOREIGN_ERRORS:
                self._revive(task, data[start:position])
                continue
            if on_complete is not None and not task.done():
                on_complete(task, value, None)  # listeners come before who awaits the task
            try:
                task._set_result(value)
                ended += 1
            except asyncio.InvalidStateError:  # cancelled, by what was unpickled or a finalizer
                self._no_longer_interrupted(attempt)
        if over:
            self.dispatcher.arena.free_all(offsets)
            self._scheduler.all_finished(over)
            worker.tasks_completed += len(over)
            if without_key:
                self._costs.observe(seconds / without_key, without_key)
            self.completed += ended
            self._ended(ended)
        return position

    def part(self, worker: WorkerProcess, report: frames.Report) -> None:
        """End members of a batch; after the last part also the batch."""
        kind, attempt, _, body = report
        batch: Any = self._ledger.dispatched.get(attempt)
        if batch is None:
            return  # stale, as any report may be
        first, values, costs, begun = pickle.loads(body)
        self.members(worker, batch, attempt, first, values, costs)
        if costs:
            self._costs.observe(sum(costs) / len(costs), len(costs))
        if kind == frames.LAST_PART:
            left = self._batch_over(batch, attempt, max(0, begun))
            if begun < 0:  # it could not be read, for the sake of one perhaps
                for task in left:
                    task._settings = replace(task._settings, plain=False)
            self._scheduler.put_back(left)

    def members(
        self,
        worker: WorkerProcess,
        batch: Any,
        attempt: int,
        first: int,
        values: Sequence[Any],
        costs: Iterable[float],
    ) -> None:
        """End members of a batch, from the `first` on, with what they have returned and cost.

        A tuple stands for no result: an empty one if the outcome is, or was, reported by itself,
        another if the member was skipped.
        """
        on_complete, handle = self.on_complete, worker.handle
        ended = 0
        members = batch.members[first : batch.end]
        outcomes = zip(members, values, costs, strict=False)
        with self._task_loop.together():
            if on_complete is None and batch.ends_alone and tuple not in map(type, values):
                ended = _end_all(outcomes, handle)
                if ended < min(len(values), len(members)):
                    self._no_longer_interrupted(frames.item_attempt(attempt, first + ended))
            for task, value, cost in outcomes:
                if task.done() or value.__class__ is tuple:
                    index = batch.members.index(task)
                    skipped = value.__class__ is tuple and bool(value)
                    self._not_ended_here(task, batch, frames.item_attempt(attempt, index), skipped)
                    continue
                task.cost = cost
                task.worker = handle
                task.attempts += 1
                if on_complete is not None:
                    on_complete(task, value, None)
                try:
                    task._set_result(value)
                    ended += 1
                except asyncio.InvalidStateError:  # cancelled by a finalizer, just now
                    index = batch.members.index(task)
                    self._no_longer_interrupted(frames.item_attempt(attempt, index))
        worker.tasks_completed += ended
        self.completed += ended
        self._ended(ended)

    def _not_ended_here(self, task: Task[Any], batch: Any, attempt: int, skipped: bool) -> None:
        """Deal with a member that has ended otherwise, or was skipped."""
        if skipped and not task.done() and task.batch is batch:
            task.batch = None
            if not self.withdrawals.skipped(task, attempt):
                self._scheduler.add(task)
        self._no_longer_interrupted(attempt)

    def _batch_over(self, batch: Any, attempt: int, begun: int) -> list[Task[Any]]:
        """Strike out a batch that was reported; return what has not ended of those not begun."""
        left: list[Task[Any]] = batch.take_from(begun)
        self._ledger.withdraw(attempt)
        self.dispatcher.release(batch)
        self._forget_members(batch, attempt)
        return left

    def _forget_members(self, batch: Any, attempt: int) -> None:
        self.interrupts.all_ended(attempt, len(batch.members))
        self.withdrawals.all_ended(attempt, len(batch.members))
        batch.members = []  # tasks that are kept must not keep each other

    def _member(self, worker: WorkerProcess, report: frames.Report) -> None:
        """End a member of a batch whose result was reported by itself."""
        kind, _, _, body = report
        task = self._taken_back(worker, report)
        if task is None or task.done():
            return
        if kind == frames.NOTHING:
            self.succeed(task, None)
        else:
            self._revive(task, body)

    def parcel(self, worker: WorkerProcess, report: frames.Report, data: Any, buffers: Any) -> None:
        """End the task of a result whose body is a parcel."""
        task = self._taken_back(worker, report)
        if task is not None and not task.done():
            self._revive(task, data, buffers)

    def unreceived(self, worker: WorkerProcess, report: frames.Report, error: Exception) -> None:
        """Treat the task of a result that could not be received as one that raised this error."""
        task = self._taken_back(worker, report)
        if task is not None and not task.done():
            self.fail_or_retry(task, error)

    def error(self, worker: WorkerProcess, report: frames.Report) -> None:
        """End the task of an error report, or let it run again if it may."""
        _, attempt, _, body = report
        timed_out = attempt in self._timed_out
        entry: Any = self._ledger.dispatched.get(attempt)
        if entry is not None and entry.members:
            self._batch_failed(entry, attempt, body)
            return
        task = self._taken_back(worker, report)
        if task is None or task.done():
            return
        if timed_out:
            self.fail_or_retry(task, timeout_error(task))
        else:
            try:
                error = unpack_error(body, side="pool", unpickle=self._revival.loads)
            except FOREIGN_ERRORS as failure:
                error = unreadable("exception", "pool", failure)
            if isinstance(error, WorkerCrashed) and error.task_id is None:
                error.task_id, error.attempts = task.id, task.attempts  # a spawned worker's program
            self.fail_or_retry(task, error)

    def _batch_failed(self, batch: Any, attempt: int, body: bytes) -> None:
        """End the members of a batch that its worker could not report: nobody knows which have begun."""
        for task in self._batch_over(batch, attempt, 0):
            task.attempts += 1
            self.fail_or_retry(task, unpack_error(body, side="pool"))

    def skipped(self, worker: WorkerProcess, report: frames.Report) -> None:
        """Strike out a task that was cancelled, or whose time was up, before its first step."""
        attempt = report[1]
        task = self._ledger.finish(attempt)
        timed_out = attempt in self._timed_out
        if task is None:
            return
        self.dispatcher.reclaim(task)
        if not task.done():
            if not timed_out and self.withdrawals.skipped(task, attempt):
                task.attempts -= 1  # it has not begun
            else:
                self.fail_or_retry(task, timeout_error(task))
        self._no_longer_interrupted(attempt)

    def pre_task_cost(self, _worker: WorkerProcess, report: frames.Report) -> None:
        """Note the time a task's pre_task hook took."""
        _, attempt, cost, _ = report
        task = self._ledger.dispatched.get(attempt)
        if task is not None:
            task.pre_task_cost = cost

    def crashed(
        self,
        worker: WorkerProcess,
        held: list[tuple[int, int]],
        status: ExitStatus,
        oom_kills: int | None = None,
    ) -> bool:
        """Account for the tasks of a worker that has ended; return whether it took any with it."""
        for attempt, _ in held:
            self.interrupts.ended(attempt)
        timed_out = self._timed_out.intersection(attempt for attempt, _ in held)
        self._timed_out -= timed_out
        overdue = {frames.task_of_attempt(attempt) for attempt in timed_out}
        over, lost, not_begun = self._ledger.worker_died(worker.slot, held)
        for task in over:
            self.dispatcher.reclaim(task)
            if task.members:
                self._forget_members(task, attempt_number(task.id, task.dispatches))
        for task in lost:
            task.worker = worker.handle
            if task.done():
                continue
            if task.id in overdue:
                self.fail_or_retry(task, timeout_error(task))
                continue
            error = crash_error(
                pid=worker.process.pid,
                exit_code=status.exit_code,
                signal_name=status.signal_name,
                task_id=task.id,
                attempts=task.attempts,
                argument=brief(task.argument),
                killed_for=worker.killed_for,
                oom_kills=oom_kills,
            )
            self.fail_or_retry(task, error)
        self._scheduler.put_back(task for task in not_begun if not task.done())
        return bool(lost)

    # Ends

    def fail_or_retry(self, task: Task[Any], error: BaseException) -> None:
        """Let a task run again if its retry policy allows it, else end it with the error."""
        if not _may_run_again(task, task.attempts, error):
            self.fail(task, error)
            return
        pause = task._settings.retries.pause(task.attempts, random.random())
        if pause:
            self.pauses.add(task, pause)
        else:
            self._scheduler.add(task)

    def fail(self, task: Task[Any], error: BaseException) -> None:
        """End a pending task with an error."""
        if task.done():
            return
        if self.on_complete is not None:
            self.on_complete(task, None, error)
        with suppress(asyncio.InvalidStateError):  # cancelled by a finalizer, and counted as that
            task._set_exception(error)
            self.failed += 1
            self._ended(1)

    def task_cancelled(self, task: Task[Any]) -> None:
        """Count a task that has just been cancelled, and stop it if it was dispatched."""
        self.cancelled += 1
        self.pauses.discard(task)
        self.interrupts.interrupt(task)
        if self.on_complete is not None:
            self.on_complete(task, None, asyncio.CancelledError())
        self._ended(1)

    def timed_out(self, task: Task[Any], attempt: int) -> None:
        """Note that a running attempt's time is up; its task ends now, or when it runs again."""
        self._timed_out.add(attempt)
        error = timeout_error(task)
        if not _may_run_again(task, task.attempts + 1, error):
            task.attempts += 1
            self.fail(task, error)

    def succeed(self, task: Task[Any], value: Any) -> None:
        """End a pending task with its result."""
        if self.on_complete is not None:
            self.on_complete(task, value, None)
        with suppress(asyncio.InvalidStateError):  # as in `fail`
            task._set_result(value)
            self.completed += 1
            self._ended(1)

    def _revive(self, task: Task[Any], data: Any, buffers: Any = ()) -> None:
        """End a task with a result that takes more than plain unpickling."""
        try:
            value = self._revival.loads(data, buffers)
        except FOREIGN_ERRORS as error:
            self.fail(task, unreadable("result", "pool", error))
        else:
            if not task.done():  # what was unpickled may have cancelled it
                self.succeed(task, value)

    def _ended(self, count: int) -> None:
        self.pending -= count
        if count and not self.pending:
            self._on_idle()

    def _no_longer_interrupted(self, attempt: int) -> None:
        self._timed_out.discard(attempt)
        self.interrupts.ended(attempt)
        self.withdrawals.ended(attempt)

    def _taken_back(self, worker: WorkerProcess, report: frames.Report) -> Task[Any] | None:
        """Strike out a reported attempt; return its task unless the report is stale."""
        _, attempt, cost, _ = report
        task = self._ledger.finish(attempt)
        self._no_longer_interrupted(attempt)
        if task is None:
            return None
        if attempt < frames.ITEM_STEP:
            self.dispatcher.release(task)
        else:
            task.batch = None  # it may run again, by itself
        worker.tasks_completed += 1
        task.cost = cost
        task.worker = worker.handle
        if task.key is None:
            self._costs.observe(cost)
        else:
            self._costs.observe_key(task.key, cost)
        return task


def _end_all(outcomes: Iterator[tuple[Any, Any, float]], handle: WorkerHandle) -> int:
    """End members up to the first that has ended otherwise, which is taken from `outcomes` too; return how many.

    That one was cancelled: before, or by a finalizer, as garbage is collected at any step.
    """
    ended = 0
    with suppress(asyncio.InvalidStateError):
        for task, value, cost in outcomes:
            task._set_result(value)
            task.cost = cost
            task.worker = handle
            task.attempts += 1
            ended += 1
    return ended


def _may_run_again(task: Task[Any], attempts: int, error: BaseException) -> bool:
    try:
        return task._settings.retries.allows(attempts, error)
    except Exception as failure:  # noqa: BLE001 - the user's function must not stop the pool
        error.add_note(
            f"It was not run again, because the retry policy's function raised {failure!r}"
        )
        return False


def timeout_error(task: Task[Any]) -> TaskTimeout:
    """Return the error of a task that took too long."""
    return TaskTimeout(
        f"task {task.id} ({brief(task.argument)}) ran longer than its timeout of "
        f"{task._settings.timeout:g} seconds and was interrupted"
    )
