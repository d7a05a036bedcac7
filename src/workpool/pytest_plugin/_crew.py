"""The workers of a run: the pool, and the event loop it lives in.

pytest's hooks are called outside of the event loop, for they may do anything, run an event loop of
their own too. So the loop runs in turns: what is to be run goes in, what has happened comes out.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from workpool import ForkedTemplate, Task, WorkerHandle, WorkerPool
from workpool.pytest_plugin import _worker
from workpool.pytest_plugin._events import (
    COLLECTED,
    DESCRIBED,
    ENDED,
    FAILED,
    FINISHED,
    GONE,
    LATE,
    LOST,
    OPENED,
    PRINTED,
    WARNINGS,
    WITHDRAWN,
    Event,
)
from workpool.pytest_plugin._schedule import Broken, Due
from workpool.pytest_plugin._stages import AT_ONCE, Stages
from workpool.pytest_plugin._turning_loop import TurningLoop
from workpool.pytest_plugin._worker_settings import WorkerSettings

MOST_EVENTS = 32
"""Most events of one turn: while they are handled, the pool's loop stands still."""

FINISH_SECONDS = 60.0
"""Time the sessions of the workers have to end: session fixtures are torn down in it, data written."""

Tests = list[tuple[int, str]]
"""Tests by worker and name."""

InputOf = Callable[[int], dict[str, Any]]
"""What is given to a worker beside the settings that all have."""


class Crew:
    """Starts workers, gives them what to do and tells what they report."""

    def __init__(
        self, count: int, template: ForkedTemplate | None = None, stages: Stages | None = None
    ) -> None:
        self.count = count
        self.most_memory = 0
        """Bytes a worker had at most, of those that have closed their sessions."""
        self._stages = stages or Stages(count, AT_ONCE, is_known=False)
        self._timeout: float | None = None
        self._settings: WorkerSettings
        self._input_of: InputOf | None = None
        self._environment: dict[str, str] | None = None
        """As it was when the workers were started; None before."""
        self._loop = TurningLoop()
        self._pool: WorkerPool[Any, Any] = WorkerPool(
            "workpool.pytest_plugin._entry:work",
            max_workers=count,
            min_workers=self._stages.processes,
            tasks_per_worker=sys.maxsize,  # how many there are is said here
            start_method=template or "template",
            worker_output=self._on_line,
            name="pytest",
        )
        self._pool.on("worker-exited", self._on_exit)
        self._pool.on_message(_worker.OPENED, self._on_opened)
        self._pool.on_message(_worker.FAILED, partial(self._on_message, FAILED))
        self._pool.on_message(_worker.LATE, partial(self._on_message, LATE))
        self._pool.on_message(_worker.WARNINGS, self._on_warnings)
        self._tests: dict[str, Task[Any]] = {}
        self._errands: set[Task[Any]] = set()
        self._withdrawals: set[asyncio.Task[None]] = set()
        self._events: deque[Event] = deque()

    def start(self) -> None:
        """Start the workers: they import what they need, and wait."""
        if self._environment is None:
            self._environment = dict(os.environ)
            self._loop.call(partial(self._pool.resize_up_to, self._stages.processes))

    def open(
        self, settings: WorkerSettings, timeout: float | None, input_of: InputOf | None = None
    ) -> None:
        """Have the workers open their sessions and collect; start them if they are not yet.

        `input_of` is called, before a worker opens its session, for what plugins have for it.
        """
        self._settings, self._timeout = settings, timeout
        self._input_of = input_of
        self.start()
        self._open_due()
        if not self._stages.is_over:
            self._loop.call(self._want_more_later)

    def _open_due(self) -> None:
        if due := self._stages.due():
            self._loop.call(partial(self._pool.resize_up_to, self._stages.processes))
        for worker in due:
            self.collect(worker)

    def environment_changes(self) -> tuple[dict[str, str], list[str]]:
        """Return the variables that were set, and those that were deleted, since the workers' start."""
        before, now = self._environment or {}, os.environ
        changed = {name: value for name, value in now.items() if before.get(name) != value}
        return changed, [name for name in before if name not in now]

    def send(self, tests: Sequence[Due]) -> None:
        """Have tests run."""
        self._loop.call(partial(self._add, tests))

    def turn(self, seconds: float | None = None, nap: float = 0.0) -> None:
        """Wait until something has happened, so many seconds at most.

        With a nap, look once after it instead: reports that nobody waits for wake nobody, and
        are read many at a time. Where workers have enough to do that costs no time.
        """
        if nap and not self._events:
            time.sleep(nap)
            self._loop.pass_once()
        elif self._events:
            self._loop.pass_once()
        else:
            self._loop.run_until_woken(seconds)
        self._open_due()

    def events(self, most: int = MOST_EVENTS) -> Iterator[Event]:
        """Take what has happened, one by one: what nobody has come to is kept."""
        for _ in range(min(most, len(self._events))):
            yield self._events.popleft()

    def collect(self, worker: int) -> None:
        """Have a worker open its session and collect."""
        settings = self._settings
        if self._input_of is not None:
            settings = settings._replace(worker_input=self._input_of(worker))
        errand = settings.packed()
        self._loop.call(partial(self._send, worker, errand, COLLECTED))

    def describe(self, worker: int) -> None:
        """Have a worker tell what it has collected."""
        self._loop.call(partial(self._send, worker, _worker.DESCRIBE, DESCRIBED))

    def begin_no_more(self) -> None:
        """Take from workers that have not begun to collect what they were to do: they are not needed."""
        self._loop.call(self._withdraw_errands)

    @property
    def is_collecting(self) -> bool:
        """Whether a worker has begun to collect and is not done with it."""
        return bool(self._errands)

    def withdraw(self, tests: Tests) -> None:
        """Ask for tests back that have not begun; an event tells of each how it went."""
        self._loop.call(partial(self._begin_withdrawals, tests))

    def break_promises(self, broken: Sequence[Broken]) -> None:
        """Tell workers that a test they count on to follow another one will not."""
        handles = {handle.id: handle for handle in self._pool.workers}
        for worker, name, following in broken:
            if worker in handles:
                handles[worker].post_message(_worker.NOT_COMING, (name, following))

    def finish(self, workers: Iterable[int], seconds: float) -> list[Event]:
        """Cancel what has not ended, close the sessions of these workers, end all of them."""
        self._loop.call(partial(self._begin_end, workers))
        end = time.monotonic() + seconds
        while self._errands and (left := end - time.monotonic()) > 0:
            self._loop.run_until_woken(left)
        self._loop.run(self._close(end - time.monotonic()))
        self._loop.close()
        return list(self.events(len(self._events)))

    def kill(self) -> None:
        """End everything at once."""
        self._pool.kill()
        self._loop.close()

    # Inside the event loop

    def _want_more_later(self) -> None:
        asyncio.get_running_loop().call_later(self._stages.patience, self._want_more)

    def _want_more(self) -> None:
        self._stages.lose_patience()
        self._loop.wake()

    def _add(self, tests: Sequence[Due]) -> None:
        add, timeout = self._pool.add_task, self._timeout
        for worker, name, following in tests:
            argument = _worker.pack_test(name, following)
            task = add(argument, affinity="force", worker=worker, timeout=timeout)
            self._tests[name] = task
            task.add_done_callback(partial(self._ended, worker, name))

    def _begin_withdrawals(self, tests: Tests) -> None:
        for worker, name in tests:
            withdrawal = asyncio.get_running_loop().create_task(self._withdraw(worker, name))
            self._withdrawals.add(withdrawal)
            withdrawal.add_done_callback(self._withdrawals.discard)

    def _withdraw_errands(self) -> None:
        for errand in self._errands:
            withdrawal = asyncio.get_running_loop().create_task(_take_back(errand))
            self._withdrawals.add(withdrawal)
            withdrawal.add_done_callback(self._withdrawals.discard)

    async def _withdraw(self, worker: int, name: str) -> None:
        task = self._tests.get(name)
        is_ours = task is not None and await task.withdraw()
        if is_ours:
            del self._tests[name]
        self._tell(Event(WITHDRAWN, worker, name, is_ours))

    def _begin_end(self, workers: Iterable[int]) -> None:
        for withdrawal in self._withdrawals:
            withdrawal.cancel()
        for task in [*self._tests.values(), *self._errands]:
            task.cancel()
        self._tests.clear()
        self._errands.clear()
        for worker in workers:
            self._send(worker, _worker.FINISH, FINISHED)

    async def _close(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._pool.aclose()
        except TimeoutError:
            pass  # it has been killed
        await asyncio.sleep(0)

    def _send(self, worker: int, errand: Any, kind: str) -> None:
        # With a key, lest its cost be taken for that of a test.
        task = self._pool.add_task(errand, key=kind, affinity="force", worker=worker)
        self._errands.add(task)
        task.add_done_callback(partial(self._errand_done, worker, kind))

    def _ended(self, worker: int, name: str, task: Task[Any]) -> None:
        if task.cancelled():
            return
        del self._tests[name]
        error = task.exception()
        if error is None:
            self._tell(Event(ENDED, worker, name, task.result()))
        else:
            self._tell(Event(LOST, worker, name, error))

    def _errand_done(self, worker: int, kind: str, task: Task[Any]) -> None:
        self._errands.discard(task)
        if task.cancelled():
            self._loop.wake()
            return
        outcome = task.exception() or task.result()
        self._learn(kind, outcome)
        self._tell(Event(kind, worker, "", outcome))

    def _learn(self, kind: str, outcome: Any) -> None:
        """Take from what a worker reports how many others are needed, and what memory they take."""
        if kind == DESCRIBED and outcome.__class__ is tuple:
            self._stages.collected(len(outcome[0]))
        elif kind == COLLECTED and (outcome.__class__ is not dict or "digest" not in outcome):
            self._stages.want_all()
        elif kind == FINISHED and outcome.__class__ is dict:
            self.most_memory = max(self.most_memory, outcome.get(_worker.MEMORY, 0))

    def _on_message(self, kind: str, content: Any, origin: WorkerHandle) -> None:
        name, frame = content
        self._tell(Event(kind, origin.id, name, frame))

    def _on_warnings(self, content: Any, origin: WorkerHandle) -> None:
        self._tell(Event(WARNINGS, origin.id, "", content))

    def _on_opened(self, content: Any, origin: WorkerHandle) -> None:
        self._tell(Event(OPENED, origin.id, "", content))

    def _on_line(self, worker: WorkerHandle, stream: str, line: str) -> None:
        self._tell(Event(PRINTED, worker.id, stream, line))

    def _on_exit(self, worker: WorkerHandle, reason: str) -> None:
        self._tell(Event(GONE, worker.id, "", reason))

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._loop.wake()


async def _take_back(errand: Task[Any]) -> None:
    await errand.withdraw()
