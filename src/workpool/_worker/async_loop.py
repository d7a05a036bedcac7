"""The loop of a worker with an async entrypoint: several tasks at a time, one per lane."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Hashable, Sequence
from contextvars import ContextVar
from typing import Any

from workpool import _frames as frames
from workpool._system.liveness import ParentGone
from workpool._worker.chunks import NOT_TAKEN, Chunk
from workpool._worker.hooks import with_client
from workpool._worker.worker import Worker

_Current = tuple[int, Hashable | None, Any]


def serve(worker: Worker) -> str:
    """Run tasks until told to stop; return the reason. Raises `ParentGone`."""
    return worker.caller.runner.run(_AsyncLoop(worker).run())


class _AsyncLoop:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._call = with_client(worker.entry.function, worker.client)
        hook = worker.entry.pre_task
        self._pre_task = None if hook is None else with_client(hook, worker.client)
        self._free = list(range(worker.config.concurrency))
        self._running: dict[int, asyncio.Task[None]] = {}
        self._handling: set[asyncio.Task[Any]] = set()
        self._current: ContextVar[_Current | None] = ContextVar("workpool_task", default=None)
        worker.client._current = self._current.get
        worker.on_cancel = self._cancel
        worker.on_message = self._finish_handler
        self._parent_gone = False

    async def run(self) -> str:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._worker.on_retire = self._wake.set
        self._loop.add_reader(self._worker.mailbox, self._on_mail)
        try:
            while not self._worker.stop_reason or self._running:
                if self._worker.has_mail:
                    self._on_mail()
                # fault point: before the claim
                if self._may_claim and self._worker.claim(self._free[-1]):
                    self._begin()
                    await asyncio.sleep(0)  # it begins before the next is taken
                else:
                    await self._sleep()
                if self._parent_gone:
                    raise ParentGone
            return self._worker.stop_reason
        finally:
            self._loop.remove_reader(self._worker.mailbox)

    @property
    def _may_claim(self) -> bool:
        return bool(self._free) and not self._worker.stop_reason

    async def _sleep(self) -> None:
        """Sleep until a task ends or there may be something to take; as the sync loop does."""
        worker = self._worker
        if not self._may_claim:
            await self._wait()
            return
        worker.raise_idle_flag()
        self._loop.add_reader(worker.queue, self._wake.set)
        try:
            # fault point: idle flag raised
            if worker.anything_waits:
                return
            # fault point: after the last look
            if not self._running:
                worker.liveness.relax()
            await self._wait()
        finally:
            self._loop.remove_reader(worker.queue)
            worker.lower_idle_flag()

    async def _wait(self) -> None:
        # fault point: before the wait
        await self._wake.wait()
        # fault point: woken
        self._wake.clear()

    def _on_mail(self) -> None:
        try:
            self._worker.read_mail()
        except ParentGone:
            self._parent_gone = True
            self._loop.remove_reader(self._worker.mailbox)
        self._wake.set()

    def _begin(self) -> None:
        # fault point: claimed
        self._worker.liveness.guard()
        lane = self._free.pop()
        attempt, offset, length = self._worker.token(lane)
        self._worker.words[self._worker.begun_word(lane)] = time.perf_counter_ns()
        # fault point: begun
        self._worker.count_begun()
        task = self._loop.create_task(self._run_task(attempt, offset, length))
        self._running[attempt] = task
        task.add_done_callback(lambda _: self._end(lane, attempt))

    def _end(self, lane: int, attempt: int) -> None:
        worker = self._worker
        # fault point: ended
        task = self._running.pop(attempt)
        if task.cancelled():
            # Cancelled before its coroutine ran at all, so that it could not report.
            self._send((frames.SKIPPED, b"", ()), attempt, 0.0)
        elif (error := task.exception()) is not None:
            self._send(worker.pack_error(error), attempt, 0.0)
        # fault point: reported
        worker.words[worker.begun_word(lane)] = 0
        # fault point: cleared
        self._free.append(lane)
        worker.check_memory()
        self._wake.set()

    def _cancel(self, attempt: int) -> None:
        # fault point: asked to cancel
        task = self._running.get(attempt)
        if task is not None:
            task.cancel()

    def _finish_handler(self, result: Any) -> None:
        if asyncio.iscoroutine(result):
            handling = self._loop.create_task(result)
            self._handling.add(handling)
            handling.add_done_callback(self._handling.discard)

    async def _run_task(self, attempt: int, offset: int, length: int) -> None:
        worker = self._worker
        start = time.perf_counter()
        try:
            # fault point: running
            work = worker.load(offset, length)
            if work is None:
                self._send((frames.SKIPPED, b"", ()), attempt, 0.0)
                return
            argument, key, meta = work
            if argument.__class__ is Chunk:
                self._send(worker.pack_result(NOT_TAKEN), attempt, 0.0)
                return
            self._current.set((attempt, key, meta))
            if self._pre_task is not None:
                await self._run_pre_task(attempt, argument)
            start = time.perf_counter()
            # fault point: before the call
            value = await self._call(argument)
            # fault point: after the call
            if worker.liveness.forked:
                os._exit(0)  # a child that the task forked ends with its function
            cost = time.perf_counter() - start
            report = worker.pack_result(value)
        except BaseException as error:  # noqa: BLE001 - everything belongs to the task
            if worker.liveness.forked:
                code = getattr(error, "code", 1)
                os._exit(code if isinstance(code, int) else 1)
            cost = time.perf_counter() - start
            report = worker.pack_error(error)
        if len(self._running) == 1:
            worker.liveness.relax()  # see the sync loop
        # fault point: before the report
        self._send(report, attempt, cost)

    def _send(self, report: tuple[int, bytes, Sequence[Any]], attempt: int, cost: float) -> None:
        try:
            self._worker.report(attempt, cost, report)
        except ParentGone:
            self._parent_gone = True

    async def _run_pre_task(self, attempt: int, argument: Any) -> None:
        assert self._pre_task is not None
        start = time.perf_counter()
        result = self._pre_task(argument)
        if asyncio.iscoroutine(result):
            await result
        cost = time.perf_counter() - start
        self._worker.reporter.send(frames.PRE_TASK_COST, attempt, b"", cost)
