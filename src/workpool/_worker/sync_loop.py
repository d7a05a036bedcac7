"""The loop of a worker with a synchronous entrypoint: take, run, report, sleep."""

from __future__ import annotations

import select
import time
from types import CoroutineType

from workpool import _frames as frames
from workpool._quick import pickle
from workpool._serialization import unreadable
from workpool._system.liveness import ParentGone
from workpool._system.status_page import CONDEMNED, INTERRUPT
from workpool._worker.hooks import with_client
from workpool._worker.interrupts import Interruptible
from workpool._worker.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

_LANE = 0
_clock = time.perf_counter_ns
_unpack = frames.TOKEN.unpack


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
        self._arena = worker.arena
        self._cell = worker.page.token_cell(worker.config.slot, _LANE)
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
        """Run tasks until there is a reason to end; return it."""
        worker = self._worker
        limited = worker.config.max_tasks is not None or worker.config.max_memory is not None
        while True:
            if worker.has_mail:
                worker.read_mail()
            if worker.stop_reason:
                return worker.stop_reason
            if worker.claim(_LANE) or self._sleep():
                self._run_task()
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

    def _run_task(self) -> None:
        # The hottest code there is: a tiny task costs about as much as what is around it here.
        attempt, offset, length = _unpack(self._cell)
        words, arena, interruptible = self._words, self._arena, self._interruptible
        # The time is written before the mark is read: see Interrupts, step 2.
        words[self._begun_word] = start = _clock()
        try:
            if arena[offset]:
                work = self._worker.load(offset, length)
                if work is None:
                    self._end(frames.SKIPPED, attempt)
                    return
                argument, key, meta = work
                self._current = (attempt, key, meta)
            else:
                argument = self._load(arena[offset + 1 : offset + length])
                self._current = (attempt, None, None)
            interruptible.attempt = attempt
            try:
                if self._pre_task is not None:
                    start = self._run_pre_task(attempt, argument)
                value = self._call(argument)
                if value.__class__ is CoroutineType:
                    value = self._worker.caller.finish(value)
            finally:
                interruptible.attempt = 0
            self._worker.report_result(attempt, value, (_clock() - start) / 1e9)
        except ParentGone:
            raise
        except BaseException as error:  # noqa: BLE001 - everything belongs to the task
            cost = (_clock() - start) / 1e9
            self._worker.report_error(attempt, error, cost, skip_frames=1)
        self._current = None
        words[self._begun_word] = 0
        if words[self._condemned_word]:
            self._wait_while_condemned(attempt)

    def _end(self, kind: int, attempt: int) -> None:
        self._worker.reporter.send(kind, attempt)
        self._words[self._begun_word] = 0

    def _wait_while_condemned(self, attempt: int) -> None:
        """Take nothing while the pool decides whether to kill this worker: Interrupts, step 3."""
        while self._words[self._condemned_word] == attempt:
            time.sleep(0.001)

    @staticmethod
    def _load(data: memoryview) -> Any:
        try:
            return pickle.loads(data)
        except Exception as error:
            raise unreadable("argument", "worker", error) from error

    def _run_pre_task(self, attempt: int, argument: Any) -> int:
        """Run the hook; return when it had ended, which is when the task proper begins."""
        assert self._pre_task is not None
        start = _clock()
        self._worker.caller.run(self._pre_task, argument)
        end = _clock()
        self._worker.reporter.send(frames.PRE_TASK_COST, attempt, b"", (end - start) / 1e9)
        return _clock()
