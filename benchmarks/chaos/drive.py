"""Runs one round: makes the pool, gives it the work, lets the assassin loose, notes what is seen."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.chaos import census, evidence, ledger, tasks
from benchmarks.chaos.assassin import Order
from benchmarks.chaos.evidence import Evidence, Outcome
from benchmarks.chaos.plan import Chore, RoundPlan, TaskPlan
from benchmarks.chaos.reading import parse
from workpool import (
    PoolClosed,
    Task,
    TaskTimeout,
    WorkerCrashed,
    WorkerPool,
)

_PATIENCE = 30.0
"""Seconds without an outcome or a line in the ledger after which what is pending is given up."""

_LONGEST_ROUND = 60.0
_LONGEST_TASK = 0.03
"""Seconds, the second for every task, after which a round is given up though things still happen: a
task may run again for ever."""

_BATCH_SECONDS = 0.01

_HOG_SECONDS = 0.05
"""The longest that the pool's user blocks the event loop for."""

_GOES_ON = (evidence.RESULT, evidence.CRASHED)

_NUDGES = (b"", b"x" * 100, b"x" * 100_000)

Job = tuple[Any, ...]


async def run_round(plan: RoundPlan, folder: Path) -> Evidence:
    """Run a round; its ledger is left in the folder."""
    name = f"chaos-{folder.name}-{plan.number}"
    before = census.take(name)
    driver = _Driver(plan, name, folder / f"round-{plan.number}")
    started = time.monotonic()
    # Lines in a ledger take longer than the tasks that batches are for.
    with patch("workpool._scheduler.BATCH_SECONDS", _BATCH_SECONDS if plan.is_tiny else 2e-4):
        await driver.run()
    seen = driver.seen
    del driver
    seen.seconds = time.monotonic() - started
    seen.leftovers = census.wait_for_leftovers(before, name)
    seen.lines = parse((folder / f"round-{plan.number}").read_bytes())
    return seen


class _Driver:
    def __init__(self, plan: RoundPlan, name: str, path: Path) -> None:
        self.seen = Evidence(plan)
        self._plan = plan
        self._path = path
        self._name = name
        self._writer = ledger.LedgerWriter(str(path))
        self._pending: dict[int, Task[Any]] = {}
        self._ended = asyncio.Event()
        self._ends = 0
        self._cancel_with = _by_trigger(plan)
        self._chores = sorted(plan.chores, key=lambda chore: chore.after_ends)
        self._loop = asyncio.get_running_loop()
        entry: Any = tasks.run_async if plan.is_async else tasks.run
        if plan.is_tiny:
            entry = tasks.run_tiny
        self._pool: WorkerPool[Job, Any] = WorkerPool(
            entry,
            max_workers=plan.workers,
            worker_concurrency=plan.concurrency,
            max_tasks_per_worker=plan.max_tasks,
            max_memory_per_worker=plan.max_memory,
            idle_timeout=plan.idle_timeout,
            # Those who die of a fault say so at length.
            worker_output=lambda _worker, _stream, _line: None,
            env={tasks.LEDGER_VARIABLE: str(path), tasks.POOL_VARIABLE: name},
            name=name,
        )

    async def run(self) -> None:
        """Do everything."""
        self._pool.on_message("running", self._on_running)
        if self._plan.listens:
            self.seen.completions = defaultdict(int)
            self._pool.on("task-complete", self._note_completion)
        complaints = _Complaints(self.seen.troubles)
        logging.getLogger().addHandler(complaints)
        assassin = self._send_assassin()
        watch = self._loop.create_task(self._watch())
        try:
            await self._work(assassin)
            await self._close()
        finally:
            watch.cancel()
            self._call_back(assassin)
            logging.getLogger().removeHandler(complaints)
            self._writer.close()

    async def _work(self, assassin: subprocess.Popen[str]) -> None:
        for planned in self._plan.tasks:
            await self._wait_for_window()
            self._add(planned)
        if self._plan.closes_early:
            self._pool.dispose()
        await self._wait_for_all()
        if not self._plan.closes_early:
            await self._feed(assassin)

    async def _feed(self, assassin: subprocess.Popen[str]) -> None:
        """Add tasks until the last shot is fired, where the fire has fallen behind the work."""
        number, goes_on = len(self._plan.tasks), not self.seen.unresolved
        while goes_on and assassin.poll() is None:
            self._add(TaskPlan(number, tasks.SPIN, 1e-4, 0, 0, out_of_band=False))
            await self._wait_for_all()
            outcomes = self.seen.outcomes.get(number, ())
            goes_on = any(each.kind in _GOES_ON for each in outcomes)
            number += 1

    async def _wait_for_window(self) -> None:
        window = self._plan.window
        while window is not None and len(self._pending) >= window and not self.seen.unresolved:
            await self._wait_for_end()

    async def _wait_for_all(self) -> None:
        while self._pending and not self.seen.unresolved:
            await self._wait_for_end()

    async def _wait_for_end(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    async def _watch(self) -> None:
        """Give up on what is pending when for a long time nothing has happened."""
        before, since = (0, 0), time.monotonic()
        latest = since + _LONGEST_ROUND + _LONGEST_TASK * len(self._plan.tasks)
        while True:
            await asyncio.sleep(1.0)
            now, seconds = (self._path.stat().st_size, self._ends), time.monotonic()
            if now != before:
                before, since = now, seconds
            hangs = seconds - since > _PATIENCE or seconds > latest
            if self._pending and hangs:
                self.seen.unresolved = sorted(self._pending)
                self._ended.set()
                return

    async def _close(self) -> None:
        if self.seen.unresolved:
            self.seen.troubles.append(f"given up: {self._pool.statistics()}")
            self._pool.kill()
        else:
            try:
                await asyncio.wait_for(self._pool.aclose(), _PATIENCE)
            except TimeoutError:
                self.seen.troubles.append(f"the close took longer than {_PATIENCE:g} s")
        await asyncio.sleep(0)  # the last callbacks
        await asyncio.sleep(0)

    # Tasks

    def _add(self, planned: TaskPlan) -> None:
        index = planned.index
        self.seen.added[index] = time.monotonic_ns()
        task = self._pool.add_task(
            _job(planned),
            key=planned.key,
            timeout=planned.timeout,
            retries=planned.retries or None,  # None is 0, and lets it travel in a batch
            affinity=planned.affinity,  # type: ignore[arg-type]
            worker=planned.worker,
        )
        self._pending[index] = task
        task.add_done_callback(lambda _: self._note_end(planned, task))
        if planned.cancel_after is not None:
            if planned.cancel_after:
                self._loop.call_later(planned.cancel_after, self._cancel, index)
            else:
                self._cancel(index)

    def _cancel(self, index: int) -> None:
        task = self._pending.get(index)
        if task is not None and task.cancel():
            self.seen.cancelled[index] = time.monotonic_ns()

    def _on_running(self, index: int, _origin: object) -> None:
        delay = self._plan.tasks[index].cancel_running
        if delay is not None:
            self._loop.call_later(delay, self._cancel, index)

    def _note_end(self, planned: TaskPlan, task: Task[Any]) -> None:
        index = planned.index
        self.seen.outcomes.setdefault(index, []).append(_outcome(planned, task))
        self._pending.pop(index, None)
        self._ends += 1
        self._ended.set()
        for other in self._cancel_with.get(index, ()):
            self._cancel(other)
        while self._chores and self._chores[0].after_ends <= self._ends:
            self._do(self._chores.pop(0))

    def _note_completion(self, _error: object, _result: object, task: Task[Any]) -> None:
        self.seen.completions[task.argument[0]] += 1

    # Workers

    def _do(self, chore: Chore) -> None:
        workers = self._pool.workers
        if chore.what == "hog":
            time.sleep(chore.pick * _HOG_SECONDS)  # as users do, who forget that it blocks the loop
        if chore.what == "hog" or not workers:
            return
        worker = workers[int(chore.pick * len(workers))]
        if chore.what == "retire":
            worker.retire()
        elif chore.what == "nudge":
            worker.post_message("nudge", _NUDGES[int(chore.pick * 1e6) % len(_NUDGES)])
        else:
            process = ledger.process_name(worker.pid)
            self._writer.write(ledger.KILL, ledger.NO_TASK, "SIGKILL", process)
            worker.kill()

    def _send_assassin(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.chaos.assassin"]
        assassin = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        shots = [
            (shot.after_lines, shot.pick, shot.delay, list(shot.signals))
            for shot in self._plan.shots
        ]
        order = Order(os.getpid(), self._name, str(self._path), shots)
        assert assassin.stdin is not None
        assassin.stdin.write(json.dumps(order) + "\n")
        assassin.stdin.flush()
        return assassin

    def _call_back(self, assassin: subprocess.Popen[str]) -> None:
        """End the assassin if it has not ended; learn which shots it did not fire."""
        with assassin:
            missed, _ = assassin.communicate()
        if assassin.returncode:
            self.seen.troubles.append("the assassin failed; what it printed is above")
        else:
            self.seen.missed_shots = [int(number) for number in json.loads(missed)]


class _Complaints(logging.Handler):
    """Keeps what the pool, or the event loop, logs as an error."""

    def __init__(self, troubles: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._troubles = troubles

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._troubles.append(self.format(record))


def _by_trigger(plan: RoundPlan) -> dict[int, list[int]]:
    by_trigger: dict[int, list[int]] = {}
    for planned in plan.tasks:
        if planned.cancel_with is not None:
            by_trigger.setdefault(planned.cancel_with, []).append(planned.index)
    return by_trigger


def _job(planned: TaskPlan) -> Job:
    content: Any = tasks.payload(planned.index, planned.argument_bytes)
    if planned.out_of_band:
        content = tasks.Blob(content)
    deed, seconds = planned.deed, planned.seconds
    return planned.index, deed, seconds, content, planned.result_bytes, planned.detail


def _outcome(planned: TaskPlan, task: Task[Any]) -> Outcome:
    now = time.monotonic_ns()
    if task.cancelled():
        return Outcome(evidence.CANCELLED, now)
    error = task.exception()
    if error is None:
        return _result(planned, task.result(), now)
    if isinstance(error, WorkerCrashed):
        cause = error.signal_name or f"exit {error.exit_code}"
        return Outcome(evidence.CRASHED, now, str(error), error.pid, cause)
    if isinstance(error, tasks.Deliberate):
        is_right = error.args == (planned.index,)
        return Outcome(evidence.RAISED, now, repr(error), is_right=is_right)
    if isinstance(error, TaskTimeout):
        return Outcome(evidence.TIMEOUT, now, str(error))
    kind = evidence.CLOSED if isinstance(error, PoolClosed) else evidence.OTHER
    return Outcome(kind, now, repr(error))


def _result(planned: TaskPlan, answer: Any, now: int) -> Outcome:
    index, process, start, content = (
        tasks.unpack_answer(answer) if isinstance(answer, int) else answer
    )
    is_right = index == planned.index and tasks.is_payload(
        content, tasks.result_seed(planned.index), planned.result_bytes
    )
    return Outcome(evidence.RESULT, now, attempt=(process, start), is_right=is_right)
