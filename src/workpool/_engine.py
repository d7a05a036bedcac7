"""The engine of a pool: brings ledger, scheduler, dispatcher, fleet and interrupts together.

All of it runs in the event loop's thread. The public `WorkerPool` is a face of this; the engine does
not know it, so that a pool nobody holds any more can be collected while its readers are in the loop.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from workpool._announcer import Announcer
from workpool._batch import Batch, take_batch
from workpool._batch_watch import BatchWatch
from workpool._chunk_watch import ChunkWatch
from workpool._costs import CostModel
from workpool._dispatcher import Dispatcher
from workpool._ending import CLOSED, CLOSING, OPEN, Ending
from workpool._estimates import Estimates
from workpool._fleet import Fleet
from workpool._frames import MAIL_FORGET, batch_attempt, item_attempt
from workpool._growth import Growth
from workpool._interrupts import Interrupts
from workpool._ledger import Ledger
from workpool._messages import Listeners
from workpool._outcomes import Outcomes
from workpool._pauses import Pauses
from workpool._report_reader import ReportReader
from workpool._revival import Revival
from workpool._scheduler import Scheduler
from workpool._shared import watch
from workpool._statistics import PoolStatistics, WorkerStatistics
from workpool._system.oom_kills import OomKills
from workpool._system.process import ExitStatus
from workpool._system.status_page import new_page
from workpool._task_loop import TaskLoop
from workpool._waiters import Waiters
from workpool._withdrawals import Withdrawals
from workpool.errors import WorkerStartError

if TYPE_CHECKING:
    from workpool._options import PoolOptions
    from workpool._target import Target
    from workpool._task import Task
    from workpool._worker_process import WorkerProcess

_EARLY_FLUSH = 256
"""Tasks in the backlog at which some are sent although the event loop has not had its turn, so that
workers have work while a long loop adds tasks."""

_BUSY = 15_000
"""Nanoseconds from one turn of the event loop to the next; without anybody else it is a few thousand."""

_TINY = 3e-5
"""Seconds. For the report of a longer task the event loop's thread is never kept awake."""

_NO_ROOM_PAUSE = 0.002
"""Seconds until parcels are tried again for which there was no locker: they are soon fetched."""


class Engine:
    """Everything of a pool but its public face."""

    def __init__(
        self,
        target: Target,
        options: PoolOptions,
        loop: asyncio.AbstractEventLoop,
        messages: Listeners,
        events: Listeners,
    ) -> None:
        self.loop = loop
        self.task_loop: Any = TaskLoop(loop)
        self.process_id = os.getpid()
        self.thread = get_ident()
        """The one the event loop runs in."""
        self.options = options
        self.state = OPEN
        self.announce_tasks = False
        self.announcer = Announcer(loop, options.name, messages, events)
        self.tasks_here: set[Task[Any]] = set()
        """Pending tasks that run in this process."""
        self._idle_waiters = Waiters(loop)
        self._flush_due = False
        self.burst: deque[Task[Any]] | None = None
        """The backlog, while tasks come in one go and there are all the workers there may be: until the
        event loop's next turn nothing needs to be decided for another one."""
        self._oom_kills = OomKills()
        slots = options.max_workers
        workers: list[WorkerProcess | None] = [None] * slots
        self.costs = CostModel()
        self.estimates = Estimates(self.costs, options, workers, self.announcer)
        self.revival = revival = Revival(target)
        self.ledger: Ledger[Task[Any]] = Ledger()
        self.scheduler: Scheduler[Task[Any]] = Scheduler(
            slots,
            1,
            self.estimates.of,
            self.estimates.of_placement if options.worker_cost else None,
        )
        self._backlog = self.scheduler.backlog
        self._max_workers = slots
        self.scheduler.estimate_each = options.inherent_cost is not None
        self.outcomes = Outcomes(
            self.ledger, self.scheduler, self.costs, revival, self.task_loop, self._on_idle
        )
        self.dispatcher = Dispatcher(
            new_page(slots, options.worker_concurrency),
            self.scheduler,
            self.ledger,
            workers,
            self.outcomes.fail,
        )
        self.fleet = Fleet(loop, options, target, workers, self, revival.loads)
        self.fleet.dispatcher = self.dispatcher
        self.fleet.load = lambda slot: self.scheduler.slots[slot].seconds
        self.interrupts = Interrupts(
            loop, self.ledger, self.dispatcher, self.fleet, self.outcomes.timed_out
        )
        self._report_reader = ReportReader(
            self.outcomes,
            self.fleet,
            self.announcer,
            revival,
            self._on_async,
            self._on_takes_batches,
        )
        self.dispatcher.packer.on_no_room = self._flush_later
        self.dispatcher.packer.on_timed = self.interrupts.watch
        self.dispatcher.large.parcels.call_later = loop.call_later
        self.outcomes.dispatcher = self.dispatcher
        self.outcomes.interrupts = self.interrupts
        self.withdrawals = self.outcomes.withdrawals = Withdrawals(
            loop,
            self.ledger,
            self.scheduler,
            self.dispatcher,
            self.interrupts,
            self._begun_or_ended,
            self.tasks_here,
        )
        self.pauses = self.outcomes.pauses = Pauses(loop, self._resume)
        watch(self)
        self.chunks = ChunkWatch(self)
        self._batches = BatchWatch(self)
        self.dispatcher.packer.on_batch = self._batches.watch
        self.growth = Growth(self)
        self.ending = Ending(self)

    @property
    def is_closed(self) -> bool:
        """Whether everything has ended."""
        return self.state == CLOSED

    # Tasks

    def add(self, task: Task[Any]) -> None:
        """Take a new task on: send it at once if a worker is free for it, else let it wait."""
        if self.burst is not None and task.slot < 0:
            self.add_to_burst(task)
            return
        self.outcomes.pending += 1
        backlog = self._backlog
        if task.slot >= 0:
            self._add_for_worker(task)
            return
        if self.fleet.live < self._max_workers and self.growth.wanted:
            self._backlog.append(task)
            self.growth.grow()
            self.dispatcher.flush()
            return
        if not backlog and self._send_at_once(task):
            return
        backlog.append(task)
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)
        if self.fleet.live >= self._max_workers:
            self.burst = backlog

    def add_to_burst(self, task: Task[Any]) -> None:
        """Take on one of many that come in one go, addressed to no worker; `burst` is not None."""
        self.outcomes.pending += 1
        backlog = self._backlog
        backlog.append(task)
        if len(backlog) == _EARLY_FLUSH:
            self.dispatcher.flush()

    def task_cancelled(self, task: Task[Any]) -> None:
        """Note that a task's future was cancelled."""
        self.outcomes.task_cancelled(task)

    def forget_shared(self, tag: bytes) -> None:
        """Have the workers let go of a shared object that is closed. From any thread."""
        self.fleet.in_loop(self._forget_shared, tag)

    def is_running(self, task: Task[Any]) -> bool:
        """Whether a worker has begun a pending task."""
        attempt = self.ledger.attempt_of(task)
        return attempt is not None and self.interrupts.find(attempt) is not None

    def statistics(self) -> PoolStatistics:
        """Return the figures of this moment."""
        handles = [worker.handle for worker in self.fleet.present()]
        outcomes = self.outcomes
        dispatched = sum(
            entry.pending() if isinstance(entry, Batch) else 1
            for entry in self.ledger.dispatched.values()
        )
        return PoolStatistics(
            waiting=max(0, outcomes.pending - dispatched),
            dispatched=dispatched,
            running=self.interrupts.running(),
            completed=outcomes.completed,
            failed=outcomes.failed,
            cancelled=outcomes.cancelled,
            steals=sum(handle.tasks_stolen for handle in handles),
            restarts=self.fleet.restarts,
            workers=tuple(
                WorkerStatistics(
                    handle.id,
                    handle.pid,
                    handle.state,
                    handle.tasks_completed,
                    handle.tasks_stolen,
                    handle.load,
                )
                for handle in handles
            ),
        )

    def _forget_shared(self, tag: bytes) -> None:
        for worker in self.fleet.present():
            worker.post(MAIL_FORGET + tag)

    # Waiting and ending

    async def when_idle(self) -> None:
        """Wait until no task is pending."""
        while self.outcomes.pending:
            await self._idle_waiters.wait()

    def cancel_pending(self, *, spares_begun: bool = False) -> None:
        """Cancel every task that has not ended, or has not begun; the close that follows is in a hurry."""
        self.ending.is_hurried = True
        had_begun = self._begun_or_ended() if spares_begun else None
        for task in self.take_pending():
            if had_begun is None or not had_begun(task):
                task.cancel()

    def cancel_unbegun(self, task: Task[Any]) -> bool:
        """Cancel a task that no worker has begun; return whether it is cancelled."""
        had_begun = self._begun_or_ended()
        return not had_begun(task) and task.cancel()

    def take_pending(self) -> list[Task[Any]]:
        """Take back every task that has not ended, wherever it waits; return them, the running ones too."""
        dispatched = [
            task
            for entry in self.ledger.dispatched.values()
            for task in (entry.members[: entry.end] if isinstance(entry, Batch) else (entry,))
        ]
        waiting = [*self.scheduler.take_waiting(), *self.pauses.take_all()]
        return [*waiting, *dispatched, *self.tasks_here]

    # What the fleet tells

    def worker_launched(self, worker: WorkerProcess) -> None:
        """Open a slot to tasks: they wait in its queue while its worker starts."""
        self.scheduler.slots[worker.slot].open = True
        self.announcer.emit("worker-launched", worker.handle)

    def worker_leaving(self, worker: WorkerProcess) -> None:
        """Send nothing more to the queue of a worker that is about to end; others empty it.

        They are woken for what waits in any queue: it may have been counted on for that.
        """
        self.scheduler.slots[worker.slot].open = False
        self.dispatcher.wakeups.wake_for_waiting(but=worker.slot)

    def worker_exited(self, worker: WorkerProcess, status: ExitStatus) -> bool:
        """Account for a worker's tasks, tell, and replace it if it crashed or is needed.

        Returns whether a worker that could not be started should be tried again.
        """
        slot = worker.slot
        if self.state == CLOSED:
            self.announcer.emit(
                "worker-exited", worker.handle, _exit_reason(worker, status, graceful=False)
            )
            return False
        self.scheduler.slots[slot].open = False
        held = self._may_have_begun(slot) if worker.unreadable else self.dispatcher.page.held(slot)
        self.chunks.worker_died(slot)
        self._batches.worker_died(worker, held)
        self.dispatcher.page.clear(slot)
        oom_kills = None if status.signal_name is None else self._oom_kills.since_last_look()
        lost = self.outcomes.crashed(worker, held, status, oom_kills)
        graceful = worker.was_retiring and not lost
        self.announcer.emit("worker-exited", worker.handle, _exit_reason(worker, status, graceful))
        if self.state != OPEN and not self.outcomes.pending:
            self.ending.finish()
            return False
        if worker.never_ready:
            return True
        idle = not (lost or worker.tasks_completed or self.outcomes.pending)
        self.growth.replace(slot, crashed=not graceful, idle=idle)
        self.dispatcher.flush()
        self.dispatcher.wakeups.wake_for_waiting()
        return False

    def _may_have_begun(self, slot: int) -> list[tuple[int, int]]:
        """Return what a slot's ended worker, whose reports cannot be read, may have begun.

        That is what nobody else has: it is in no queue, not in another worker's lane or mail, and no
        other has reported it. The queues are emptied for this look; then the lanes are read, then
        the reports: what a worker takes is in its lane until it is in a report.
        """
        self.scheduler.put_back(task for task in self.dispatcher.drain() if not task.done())
        others = self.fleet.present()
        page = self.dispatcher.page
        elsewhere = {
            batch_attempt(attempt)[0] for other in others for attempt, _ in page.held(other.slot)
        }
        self._read_all_reports()
        return [
            (item_attempt(attempt, task.end - 1) if isinstance(task, Batch) else attempt, 1)
            for attempt, task in self.ledger.dispatched.items()
            if attempt not in elsewhere and (task.slot == slot or not task.pinned)
        ]

    def _begun_or_ended(self) -> Callable[[Task[Any]], bool]:
        """End what workers have reported; return what tells of the other tasks whether they had begun.

        The lanes are read first, then the reports: what has left its lane meanwhile is in a report.
        """
        had_begun = self.interrupts.begun()
        self._read_all_reports()
        return had_begun

    def _read_all_reports(self) -> None:
        for worker in self.fleet.present():
            self._report_reader.read(worker, to_end=False)  # at once all that the pipe holds

    def cannot_start(self, slot: int, error: BaseException) -> None:
        """Give up on a slot for now; without any worker, fail what waits."""
        if self.state == CLOSED:
            return
        self.growth.pause()
        # No process could be made, but there are others: they do the work.
        no_process = isinstance(error.__cause__, OSError) and self.fleet.live > 0
        if self.fleet.any_ready or no_process:
            waiting = self.scheduler.take_waiting(slot)
            logging.getLogger("workpool").error(
                "worker %d of pool %r could not be started: %s", slot, self.options.name, error
            )
            self.dispatcher.wakeups.wake_for_waiting()
        else:
            waiting = [*self.scheduler.take_waiting(), *self.dispatcher.drain()]
        for task in waiting:
            failure = copy.copy(error)
            failure.__cause__ = error.__cause__
            self.outcomes.fail(task, failure)
        if self.state == CLOSING and not self.outcomes.pending:
            self.ending.finish()

    def templates_ended(self) -> None:
        """Go on with a close that waits for what workers were made by."""
        if not self.outcomes.pending:
            self.ending.finish()

    def read_reports(self, worker: WorkerProcess, *, to_end: bool = False) -> None:
        """Handle what a worker has reported, and send what there is room for now."""
        if self.state == CLOSED:
            return  # in a forked child, which shares what this process's event loop watches
        self._report_reader.read(worker, to_end=to_end)
        if self.scheduler.waiting():
            self.dispatcher.flush()

    # Listeners

    def listening_changed(self) -> None:
        """Tell of tasks only while somebody listens: it costs time for every task."""
        self.announce_tasks = self.announcer.has_listeners("task-added")
        listening = self.announcer.has_listeners("task-complete")
        self.outcomes.on_complete = self._emit_completion if listening else None

    # Inside

    def _add_for_worker(self, task: Task[Any]) -> None:
        slot = task.slot
        if task.pinned:
            self.scheduler.add(task)
        if self.fleet.workers[slot] is None and not self.fleet.start(slot):
            self.outcomes.fail(task, WorkerStartError(f"worker {slot} could not be started"))
            return
        if task.movable or not task.pinned:
            self.growth.grow()
        if task.pinned:
            # At the end of this turn: many that come in one go arrive in one go, too.
            if not self._flush_due:
                self._flush_due = True
                self.loop.call_soon(self._flush)
        else:
            self.scheduler.place(task, slot)
            self.dispatcher.send(slot, [task])

    def _send_at_once(self, task: Task[Any]) -> bool:
        """Send a task that is alone to a worker that is free; return False if none is."""
        if self.options.worker_cost is not None:
            return False
        slot = self.scheduler.free_slot()
        if slot is None:
            return False
        self.scheduler.place(task, slot)
        thieves = self.dispatcher.send_alone(slot, task)
        if self.costs.mean < _TINY and len(self.ledger.dispatched) == 1:
            self.loop.call_soon(self._keep_vigil, slot, perf_counter_ns(), thieves)
        elif thieves:
            self.dispatcher.wakeups.wake(thieves, but=slot)
        return True

    def _keep_vigil(self, slot: int, sent: int, thieves: int) -> None:
        """Stay awake for the report of a worker that has the pool's only task, a tiny one.

        Not if others have had their turns since it was sent: they would have to wait. Thieves are woken when
        the vigil was in vain: a worker that has just reported takes its next task sooner than they could.
        """
        if self.state == CLOSED:
            return
        worker = self.fleet.workers[slot]
        only = len(self.ledger.dispatched) == 1 and not self.scheduler.waiting()
        may_wait = only and perf_counter_ns() - sent <= _BUSY
        if may_wait and worker is not None and worker.vigil.look():
            self.read_reports(worker)
        if thieves and self.ledger.dispatched:
            self.dispatcher.wakeups.wake(thieves, but=slot)

    def _resume(self, task: Task[Any]) -> None:
        """Let a task that has paused after a failure run again."""
        if self.state == CLOSED:
            return
        if task.pinned:
            self._add_for_worker(task)
            return
        self.scheduler.add(task)
        self.growth.grow()
        self.dispatcher.flush()

    def _flush(self) -> None:
        self._flush_due = False
        self.burst = None
        if self.state != CLOSED:
            self.growth.grow()  # a worker may have ended since the burst began
            self.dispatcher.flush()

    def _flush_later(self) -> None:
        self.loop.call_later(_NO_ROOM_PAUSE, self._flush)

    def _emit_completion(self, task: Task[Any], result: Any, error: BaseException | None) -> None:
        self.announcer.emit("task-complete", error, result, task)

    def _on_async(self) -> None:
        self.scheduler.set_lanes(self.options.worker_concurrency)

    def _on_takes_batches(self) -> None:
        options = self.options
        if (
            options.max_tasks_per_worker is None
            and options.max_memory_per_worker is None
            and options.worker_cost is None
        ):
            self.scheduler.take_batch = take_batch  # type: ignore[assignment]  # a batch passes for a task

    def _on_idle(self) -> None:
        self.ending.on_idle()
        self._idle_waiters.release()


def _exit_reason(worker: WorkerProcess, status: ExitStatus, graceful: bool) -> str:
    if graceful and worker.exit_reason and not worker.killed_for:
        return worker.exit_reason
    return f"{worker.exit_reason}: {status}" if worker.exit_reason else str(status)
