"""The account of a run: what every task came to, against what the tasks themselves wrote down."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.syscall_sweep.tasks import Work
from workpool import Task, WorkerCrashed, WorkerPool

Pool = WorkerPool[Work, tuple[int, bytes]]


class Account:
    """Adds tasks to a pool and, when all have ended, tells what is wrong with how they did."""

    def __init__(self, pool: Pool, record: Path, *, slots: int, is_async: bool) -> None:
        self.pool = pool
        self.slots = slots
        self.is_async = is_async
        self.killed: set[int] = set()
        """The processes that were killed on purpose."""
        self.allowed: tuple[type[BaseException], ...] = ()
        """Errors that a task may have ended with, besides `WorkerCrashed` for the killed ones."""
        self._record = record
        self._tasks: dict[int, tuple[Task[tuple[int, bytes]], Work]] = {}
        self._ends: Counter[int] = Counter()
        record.touch()
        pool.on("task-complete", self._ended)

    def add(
        self, action: str = "", payload: bytes | memoryview = b"", **settings: Any
    ) -> Task[tuple[int, bytes]]:
        """Add a task; `settings` are those of `WorkerPool.add_task`."""
        number = len(self._tasks)
        work = (str(self._record), number, action, payload)
        task = self.pool.add_task(work, **settings)
        self._tasks[number] = (task, work)
        return task

    @property
    def pending(self) -> list[Task[tuple[int, bytes]]]:
        """The tasks that have not ended."""
        return [task for task, _ in self._tasks.values() if not task.done()]

    def has_started(self, task: Task[tuple[int, bytes]]) -> bool:
        """Whether a task has written that it started."""
        return f"start {task.argument[1]} " in self._record.read_text()

    async def settle(self) -> None:
        """Wait until every task has ended, and the pool has nothing left of it in its workers."""
        if self.pending:
            await asyncio.wait(self.pending)
        await asyncio.sleep(0)
        while self.pool.statistics().dispatched:  # a cancelled task, until its worker has heard
            await asyncio.sleep(0.001)

    def errors(self) -> list[BaseException]:
        """Return what tasks have failed with that were not to fail."""
        errors = [(_error(task), work[2]) for task, work in self._tasks.values()]
        return [error for error, action in errors if error is not None and action != "raise"]

    def lost(self) -> int:
        """Return how many tasks ended with `WorkerCrashed`."""
        return sum(isinstance(error, WorkerCrashed) for error in self.errors())

    def violations(self) -> list[str]:
        """Return a sentence for everything that is not as it must be, and forget these tasks."""
        begun, ended = self._read_record()
        found = []
        for number, (task, work) in self._tasks.items():
            problem = self._problem(task, work, begun[number], ended[number])
            if problem is None and self._ends[number] != 1:
                problem = f"was said to have ended {self._ends[number]} times"
            if problem is not None:
                found.append(f"task {number} ({work[2] or 'plain'}) {problem}")
        found += self._leftovers()
        return found

    def forget(self) -> None:
        """Begin anew with the same pool."""
        self._tasks.clear()
        self._ends.clear()
        self.killed.clear()
        self._record.write_bytes(b"")

    def _problem(
        self, task: Task[tuple[int, bytes]], work: Work, begun: list[int], ended: list[int]
    ) -> str | None:
        if not task.done():
            return "has not ended"
        if len(begun) > 1:
            return f"was run {len(begun)} times, in the processes {begun}"
        error = _error(task)
        if error is None and not task.cancelled():
            if (len(begun), len(ended)) != (1, 1):
                return "has a result, but its start and end are not in the record"
            result: Any = task.result()
            right = result == (work[1], work[3]) or (not work[3] and result == work[1])
            return None if right else "has a wrong result"
        if isinstance(error, WorkerCrashed):
            if error.pid not in self.killed:
                return f"is said to have crashed with process {error.pid}, which nobody killed"
            return None if begun in ([], [error.pid]) else "crashed with a worker it was not in"
        expected = task.cancelled() or (work[2] == "raise" and isinstance(error, ValueError))
        if not expected and not isinstance(error, self.allowed):
            return f"failed with {error!r}"
        return None

    def _leftovers(self) -> list[str]:
        statistics = self.pool.statistics()
        figures = (statistics.waiting, statistics.dispatched, statistics.running)
        found = [] if figures == (0, 0, 0) else [f"the pool is not idle: {statistics}"]
        engine = self.pool._engine
        if engine is not None and engine.dispatcher.arena.records and not engine.dispatcher.closed:
            found.append(f"{engine.dispatcher.arena.records} records are left in the arena")
        return found

    def _read_record(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Return, for each task, the processes that wrote that it started, and that it ended."""
        lines: dict[str, dict[int, list[int]]] = {
            kind: {number: [] for number in self._tasks} for kind in ("start", "end")
        }
        for line in self._record.read_text().splitlines():
            kind, number, pid = line.split()
            lines[kind][int(number)].append(int(pid))
        return lines["start"], lines["end"]

    def _ended(self, _error: Any, _result: Any, task: Task[Any]) -> None:
        number = task.argument[1]
        self._ends[number] += 1


def _error(task: Task[Any]) -> BaseException | None:
    return None if not task.done() or task.cancelled() else task.exception()
