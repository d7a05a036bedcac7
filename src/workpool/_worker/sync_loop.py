"""The loop of a worker with a synchronous entrypoint: take, run, report, sleep."""

from __future__ import annotations

import select
import time
from collections.abc import Hashable
from types import CoroutineType
from typing import Any

from workpool import _frames as frames
from workpool._system.liveness import ParentGone
from workpool._system.status_page import CONDEMNED, INTERRUPT
from workpool._worker.hooks import with_client
from workpool._worker.interrupts import Interruptible
from workpool._worker.worker import Worker

_LANE = 0


def serve(worker: Worker) -> str:
    """Run tasks until told to stop; return the reason. Raises `ParentGone`."""
    return _SyncLoop(worker).run()


class _SyncLoop:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._call = with_client(worker.entry.function, worker.client)
        hook = worker.entry.pre_task
        self._pre_task = None if hook is None else with_client(hook, worker.client)
        self._words = worker.words
        self._begun_word = worker.begun_word(_LANE)
        self._condemned_word = worker.page.field(worker.config.slot, CONDEMNED)
        self._interruptible = Interruptible(
            worker.words, worker.page.field(worker.config.slot, INTERRUPT)
        )
        worker.reporter.interruptible = self._interruptible
        self._current: tuple[int, Hashable | None, Any] | None = None
        worker.client._current = lambda: self._current
        self._poll = select.poll()
        self._poll.register(worker.queue, select.POLLIN)
        self._poll.register(worker.mailbox, select.POLLIN)

    def run(self) -> str:
        worker = self._worker
        limited = worker.config.max_tasks is not None or worker.config.max_memory is not None
        while True:
            if worker.has_mail:
                worker.read_mail()
            if worker.stop_reason:
                return worker.stop_reason
            if worker.claim(_LANE) or self._sleep():
                self._run_task(*worker.token(_LANE))
                if limited:
                    worker.count_done()

    def _sleep(self) -> bool:
        """Sleep until there may be something to do; return True with a task in the lane.

        The flag goes up before the last look round, and a producer pushes before it reads the
        flags: whichever comes first, one side sees the other, and no wake-up is lost.
        """
        worker = self._worker
        worker.raise_idle_flag()
        try:
            if worker.claim(_LANE):
                return True
            if worker.has_mail:
                return False
            worker.liveness.relax()
            events = self._poll.poll()
            worker.liveness.guard()
        finally:
            worker.lower_idle_flag()
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in events):
            raise ParentGone
        if any(descriptor == worker.mailbox.fileno() for descriptor, _ in events):
            worker.read_mail()
        return False

    def _run_task(self, attempt: int, offset: int, length: int) -> None:
        # The time is written before the mark is read: see Interrupts, step 2.
        self._words[self._begun_word] = time.perf_counter_ns()
        worker = self._worker
        if worker.is_cancelled(offset):
            worker.reporter.send(frames.SKIPPED, attempt)
        else:
            self._execute(attempt, offset, length)
        self._words[self._begun_word] = 0
        while self._words[self._condemned_word] == attempt:
            time.sleep(0.001)  # the pool is about to decide: see Interrupts, step 3

    def _execute(self, attempt: int, offset: int, length: int) -> None:
        worker, interruptible, clock = self._worker, self._interruptible, time.perf_counter
        start = clock()
        try:
            work = worker.load(offset, length)
            self._current = (attempt, work.key, work.meta)
            interruptible.attempt = attempt
            try:
                if self._pre_task is not None:
                    self._run_pre_task(attempt, work.argument)
                start = clock()
                value = self._call(work.argument)
                if value.__class__ is CoroutineType:
                    value = worker.caller.finish(value)
                cost = clock() - start
            finally:
                interruptible.attempt = 0
            worker.report_result(attempt, value, cost)
        except ParentGone:
            raise
        except BaseException as error:  # noqa: BLE001 - everything belongs to the task
            worker.report_error(attempt, error, clock() - start, skip_frames=1)
        finally:
            self._current = None

    def _run_pre_task(self, attempt: int, argument: Any) -> None:
        assert self._pre_task is not None
        start = time.perf_counter()
        worker = self._worker
        worker.caller.run(self._pre_task, argument)
        worker.reporter.send(
            frames.PRE_TASK_COST, attempt, b"", time.perf_counter() - start
        )
