"""The engine of a pool: brings ledger, scheduler, dispatcher, fleet and interrupts together.

All of it runs in the event loop's thread. The public `WorkerPool` is a face of this; the engine does
not know it, so that a pool nobody holds any more can be collected while its readers are in the loop.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from workpool import _frames as frames
from workpool._costs import CostModel
from workpool._dispatcher import Dispatcher
from workpool._fleet import Fleet
from workpool._interrupts import Interrupts
from workpool._ledger import Ledger
from workpool._messages import Listeners
from workpool._outcomes import Outcomes
from workpool._revival import Revival
from workpool._scheduler import Scheduler
from workpool._serialization import unpack_error, unreadable
from workpool._system.memory import read_parcel
from workpool._system.process import ExitStatus
from workpool._system.status_page import IDLE, new_page
from workpool.errors import EntrypointError, PoolClosed, WorkerStartError

if TYPE_CHECKING:
    from workpool._options import PoolOptions
    from workpool._target import Target
    from workpool._task import Task
    from workpool._worker_process import WorkerProcess

OPEN, CLOSING, CLOSED = "open", "closing", "closed"

_EARLY_FLUSH = 256
"""Tasks in the backlog at which some are sent although the event loop has not had its turn, so that
workers have work while a long loop adds tasks."""

_RESTART_PAUSE = 10.0
"""Seconds a pool that has workers does not try to start more after one could not be started."""


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
        self.options = options
        self.state = OPEN
        self.announce_tasks = False
        self._messages = messages
        self._events = events
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._closed_waiters: list[asyncio.Future[None]] = []
        self._background: set[asyncio.Future[Any]] = set()
        self._flush_due = False
        self._no_start_before = 0.0
        self.on_stopping: Callable[[], None] = lambda: None
        """Called once, when the last task is done and the workers are about to be stopped."""
        slots = options.max_workers
        workers: list[WorkerProcess | None] = [None] * slots
        self.costs = CostModel()
        self._revival = Revival(target)
        self.ledger: Ledger[Task[Any]] = Ledger()
        self.scheduler: Scheduler[Task[Any]] = Scheduler(
            slots, 1, self._estimate, self._placement_cost if options.worker_cost else None
        )
        self.scheduler.estimate_each = options.inherent_cost is not None
        self.outcomes = Outcomes(
            self.ledger, self.scheduler, self.costs, self._revival, self._on_idle
        )
        self.dispatcher = Dispatcher(
            new_page(slots, options.worker_concurrency),
            self.scheduler,
            self.ledger,
            workers,
            self.outcomes.fail,
        )
        self.fleet = Fleet(loop, options, target, workers, self)
        self.fleet.dispatcher = self.dispatcher
        self.fleet.load = lambda slot: self.scheduler.slots[slot].seconds
        self.interrupts = Interrupts(
            loop, self.ledger, self.dispatcher, self.fleet, self.outcomes.timed_out
        )
        self.dispatcher.on_timed = self.interrupts.watch
        self.outcomes.dispatcher = self.dispatcher
        self.outcomes.interrupts = self.interrupts
        if options.idle_timeout is not None:
            self._watch_idleness()

    # Tasks

    def add(self, task: Task[Any]) -> None:
        """Take a new task on: send it at once if a worker is free for it, else let it wait."""
        outcomes, scheduler = self.outcomes, self.scheduler
        outcomes.pending += 1
        if task.slot >= 0:
            self._add_for_worker(task)
            return
        if self.fleet.live < self.options.max_workers and self._may_grow():
            scheduler.backlog.append(task)
            self._grow()
            self.dispatcher.flush()
            return
        if not scheduler.backlog and self.options.worker_cost is None:
            slot = scheduler.free_slot()
            if slot is not None:
                scheduler.place(task, slot)
                self.dispatcher.send(slot, [task])
                return
        scheduler.backlog.append(task)
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)
        elif len(scheduler.backlog) == _EARLY_FLUSH:
            self.dispatcher.flush()

    def resize_up_to(self, count: int) -> None:
        """Start workers until there are `count` of them, or as many as there may be."""
        while self.fleet.live < min(count, self.options.max_workers):
            slot = self.fleet.empty_slot()
            if slot is None or not self.fleet.start(slot):
                return

    def task_cancelled(self, task: Task[Any]) -> None:
        """Note that a task's future was cancelled."""
        self.outcomes.task_cancelled(task)

    def is_running(self, task: Task[Any]) -> bool:
        """Whether a worker has begun a pending task."""
        attempt = self.ledger.attempt_of(task)
        return attempt is not None and self.interrupts.find(attempt) is not None

    # Waiting and ending

    async def when_idle(self) -> None:
        """Wait until no task is pending."""
        while self.outcomes.pending:
            await self._wait_in(self._idle_waiters)

    def begin_close(self) -> None:
        """Take no more tasks; when the last is done, end the workers gracefully."""
        if self.state == OPEN:
            self.state = CLOSING
            if not self.outcomes.pending:
                self._stop_workers()

    async def when_closed(self) -> None:
        """Wait until `begin_close` has come to its end."""
        while self.state != CLOSED:
            await self._wait_in(self._closed_waiters)

    def cancel_pending(self) -> None:
        """Cancel every task that has not ended."""
        for task in [*self.scheduler.take_waiting(), *list(self.ledger.dispatched.values())]:
            task.cancel()

    def kill(self) -> None:
        """End everything at once. Pending tasks fail with `PoolClosed`."""
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self.fleet.kill_all()
        pending = [*self.scheduler.take_waiting(), *list(self.ledger.dispatched.values())]
        self.ledger.dispatched.clear()
        self.dispatcher.close()
        if not self.loop.is_closed():
            for task in pending:
                self.outcomes.fail(
                    task, PoolClosed(f"the pool {self.options.name!r} was killed before this task")
                )
            self._release(self._closed_waiters)

    def abandon(self) -> None:
        """Let everything go as if this process had ended; see `Fleet.abandon`."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.fleet.abandon()
            self.dispatcher.close()

    def forget(self) -> None:
        """In a forked child: let go of descriptors without touching the workers."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.fleet.forget_all()
            self.dispatcher.close()

    # What the fleet tells

    def worker_launched(self, worker: WorkerProcess) -> None:
        """Open a slot to tasks: they wait in its queue while its worker starts."""
        self.scheduler.slots[worker.slot].open = True
        self.emit("worker-launched", worker.handle)

    def worker_leaving(self, worker: WorkerProcess) -> None:
        """Send nothing more to the queue of a worker that is about to end."""
        self.scheduler.slots[worker.slot].open = False

    def worker_exited(self, worker: WorkerProcess, status: ExitStatus) -> bool:
        """Account for a worker's tasks, tell, and replace it if it crashed or is needed.

        Returns whether a worker that could not be started should be tried again.
        """
        slot = worker.slot
        if self.state == CLOSED:
            self.emit("worker-exited", worker.handle, _exit_reason(worker, status, graceful=False))
            return False
        self.scheduler.slots[slot].open = False
        lost = self.outcomes.crashed(worker, self.dispatcher.page.held(slot), status)
        self.dispatcher.page.clear(slot)
        graceful = worker.was_retiring and not lost
        self.emit("worker-exited", worker.handle, _exit_reason(worker, status, graceful))
        if self.state == CLOSING and not self.outcomes.pending:
            if not self.fleet.present():
                self._finish_close()
            return False
        if worker.never_ready:
            return True
        if not graceful or self.scheduler.slots[slot].pinned:
            self.fleet.restarts += 1
            self.fleet.start(slot)
        self._grow()
        self.dispatcher.flush()
        self.dispatcher.wake(self.dispatcher.tokens_waiting())
        return False

    def cannot_start(self, slot: int, error: BaseException) -> None:
        """Give up on a slot for now; without any worker, fail what waits."""
        if self.state == CLOSED:
            return
        self._no_start_before = self.loop.time() + _RESTART_PAUSE
        if self.fleet.any_ready:
            waiting = self.scheduler.take_waiting(slot)
            logging.getLogger("workpool").error(
                "worker %d of pool %r could not be started: %s", slot, self.options.name, error
            )
            self.dispatcher.wake(self.dispatcher.tokens_waiting())
        else:
            waiting = [*self.scheduler.take_waiting(), *self.dispatcher.drain()]
        for task in waiting:
            failure = copy.copy(error)
            failure.__cause__ = error.__cause__
            self.outcomes.fail(task, failure)
        if self.state == CLOSING and not self.outcomes.pending and not self.fleet.present():
            self._finish_close()

    def read_reports(self, worker: WorkerProcess, *, to_end: bool = False) -> None:
        """Read what a worker has reported: a stretch of it, or everything if it has ended."""
        data = worker.read_reports()
        while data:
            try:
                reports, worker.unread = frames.split_reports(worker.unread + data)
                self._handle_reports(worker, reports)
            except Exception as error:  # noqa: BLE001 - the stream is torn, or a fault of ours
                self.report_exception("the reports of a worker cannot be read", error)
                self.fleet.kill(worker)
                return
            data = worker.read_reports() if to_end else None
        if data == b"":
            worker.stop_reading(worker.report)
        if self.scheduler.waiting():
            self.dispatcher.flush()

    # Listeners

    def listening_changed(self) -> None:
        """Tell of tasks only while somebody listens: it costs time for every task."""
        self.announce_tasks = bool(self._events.of("task-added"))
        listening = bool(self._events.of("task-complete"))
        self.outcomes.on_complete = self._emit_completion if listening else None

    def emit(self, event: str, *details: Any) -> None:
        """Call the listeners of an event."""
        for listener in self._events.of(event):
            self.call(listener, *details)

    def deliver(self, kind: str, content: Any, origin: Any) -> None:
        """Call the listeners for a message."""
        for handler in self._messages.of(kind):
            self.call(handler, content, origin)

    def call(self, handler: Callable[..., Any], *details: Any) -> None:
        """Call a user's handler, sync or async; what it raises goes to the loop's handler."""
        try:
            result = handler(*details)
        except Exception as error:  # noqa: BLE001 - the user's handler must not stop the pool
            self.report_exception(f"{handler!r} raised", error)
            return
        if asyncio.iscoroutine(result):
            running = self.loop.create_task(result)
            self._background.add(running)
            running.add_done_callback(partial(self._handler_ended, handler))

    def report_exception(self, message: str, error: BaseException) -> None:
        """Hand an exception nobody awaits to the event loop's exception handler."""
        context = {"message": f"workpool {self.options.name!r}: {message}", "exception": error}
        self.loop.call_exception_handler(context)

    # Inside

    def _add_for_worker(self, task: Task[Any]) -> None:
        slot = task.slot
        if task.pinned:
            self.scheduler.add(task)
        if self.fleet.workers[slot] is None and not self.fleet.start(slot):
            self.outcomes.fail(task, WorkerStartError(f"worker {slot} could not be started"))
            return
        if task.pinned:
            self.dispatcher.flush()
        else:
            self.scheduler.place(task, slot)
            self.dispatcher.send(slot, [task])

    def _may_grow(self) -> bool:
        live = self.fleet.live
        wanted = self.outcomes.pending > live * self.options.tasks_per_worker
        if not wanted and live >= self.options.min_workers:
            return False
        return not self.fleet.any_ready or self.loop.time() >= self._no_start_before

    def _grow(self) -> None:
        while self.fleet.live < self.options.max_workers and self._may_grow():
            slot = self.fleet.empty_slot()
            if slot is None or not self.fleet.start(slot):
                return

    def _flush(self) -> None:
        self._flush_due = False
        if self.state != CLOSED:
            self.dispatcher.flush()

    def _estimate(self, task: Task[Any]) -> float:
        return self.costs.estimate(task.key, task.inherent)

    def _placement_cost(self, task: Task[Any], slot: int) -> float:
        worker = self.fleet.workers[slot]
        assert self.options.worker_cost is not None
        try:
            return 0.0 if worker is None else self.options.worker_cost(task, worker.handle)
        except Exception as error:  # noqa: BLE001 - the user's function must not stop the pool
            self.report_exception("worker_cost raised", error)
            return 0.0

    def _handle_reports(self, worker: WorkerProcess, reports: list[frames.Report]) -> None:
        """Handle reports in their order; runs of plain results go the fast way."""
        run: list[frames.Report] = []
        for report in reports:
            if report[0] <= frames.NOTHING:
                run.append(report)
                continue
            if run:
                self.outcomes.results(worker, run)
                run = []
            self._handle_report(worker, *report)
        if run:
            self.outcomes.results(worker, run)

    def _handle_report(
        self, worker: WorkerProcess, kind: int, attempt: int, cost: float, body: bytes
    ) -> None:
        if kind & frames.IN_PARCEL:
            kind &= ~frames.IN_PARCEL
            descriptor = worker.receive_parcel()
            if kind == frames.RESULT:
                self.outcomes.parcel(worker, (kind, attempt, cost, b""), descriptor)
                return
            body = bytes(read_parcel(descriptor)[0])
        report = (kind, attempt, cost, body)
        if kind == frames.ERROR:
            self.outcomes.error(worker, report)
        elif kind == frames.SKIPPED:
            self.outcomes.skipped(worker, report)
        elif kind == frames.PRE_TASK_COST:
            self.outcomes.pre_task_cost(report)
        elif kind == frames.MESSAGE:
            self._on_message(worker, body)
        elif kind == frames.LOG:
            _log(pickle.loads(body))
        else:
            self._on_life_sign(worker, kind, pickle.loads(body))

    def _on_life_sign(self, worker: WorkerProcess, kind: int, content: Any) -> None:
        if kind == frames.READY:
            self.fleet.ready(worker, is_async=content)
            if content:
                self.scheduler.set_lanes(self.options.worker_concurrency)
        elif kind == frames.START_FAILED:
            worker.start_error = _start_error(worker, *content)
        elif kind == frames.EXITING:
            reason, error = content
            worker.exit_reason = worker.exit_reason or reason
            self.fleet.leaving(worker)
            if error:
                self.report_exception("on_worker_exit raised", unpack_error(error, side="pool"))

    def _on_message(self, worker: WorkerProcess, body: bytes) -> None:
        try:
            kind, content = self._revival.loads(body)
        except Exception as error:  # noqa: BLE001 - the user's class
            self.report_exception(
                "a message of a worker cannot be read", unreadable("message", "pool", error)
            )
            return
        self.deliver(kind, content, worker.handle)

    def _emit_completion(self, task: Task[Any], result: Any, error: BaseException | None) -> None:
        self.emit("task-complete", error, result, task)

    def _handler_ended(self, handler: Callable[..., Any], running: asyncio.Future[Any]) -> None:
        self._background.discard(running)
        if not running.cancelled() and running.exception() is not None:
            error = running.exception()
            assert error is not None
            self.report_exception(f"{handler!r} raised", error)

    def _watch_idleness(self) -> None:
        """Retire workers that have slept for longer than the idle timeout, down to the minimum."""
        limit = self.options.idle_timeout
        if limit is None or self.state == CLOSED:
            return
        page, now = self.dispatcher.page, time.perf_counter_ns()
        for worker in self.fleet.present():
            since = page.words[page.field(worker.slot, IDLE)]
            slept = (now - since) / 1e9 if since else 0.0
            if slept > limit and self.fleet.live > self.options.min_workers:
                worker.exit_reason = worker.exit_reason or f"idle for {limit:g} seconds"
                self.fleet.retire(worker)
        self.loop.call_later(min(1.0, limit / 4), self._watch_idleness)

    def _on_idle(self) -> None:
        if self.state == CLOSING:
            self._stop_workers()
        self._release(self._idle_waiters)

    def _stop_workers(self) -> None:
        self.on_stopping()
        self.fleet.stop_all()
        if not self.fleet.present():
            self._finish_close()

    def _finish_close(self) -> None:
        if self.state != CLOSED:
            self.state = CLOSED
            self.dispatcher.close()
            self._release(self._closed_waiters)

    async def _wait_in(self, waiters: list[asyncio.Future[None]]) -> None:
        waiter = self.loop.create_future()
        waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in waiters:
                waiters.remove(waiter)

    @staticmethod
    def _release(waiters: list[asyncio.Future[None]]) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _start_error(worker: WorkerProcess, kind: str, body: bytes) -> BaseException:
    cause = unpack_error(body, side="pool")
    if kind == "entrypoint" and isinstance(cause, EntrypointError):
        return cause
    error = WorkerStartError(
        f"on_worker_start raised in worker {worker.slot}: {type(cause).__name__}: {cause}"
    )
    error.__cause__ = cause
    return error


def _exit_reason(worker: WorkerProcess, status: ExitStatus, graceful: bool) -> str:
    if graceful and worker.exit_reason:
        return worker.exit_reason
    return f"{worker.exit_reason}: {status}" if worker.exit_reason else str(status)


def _log(attributes: dict[str, Any]) -> None:
    record = logging.makeLogRecord(attributes)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
