"""Batches with the real ledger, scheduler and accounts, and simulated workers that take any step at any time.

The workers do what `_worker/batches.py` does, a step at a time: announce, look, run, put on the shelf, report a
part. The pool revokes, cancels, withdraws and buries between any two of them. What a step writes is seen at
once here; that stores may linger is for the model in `models/batches.pml`.
"""

from __future__ import annotations

import asyncio
import pickle
import random
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from workpool import _frames as frames
from workpool._batch import Batch, take_batch
from workpool._batch_watch import BatchWatch
from workpool._costs import CostModel
from workpool._interrupts import Interrupts
from workpool._ledger import Ledger
from workpool._options import TaskSettings
from workpool._outcomes import Outcomes
from workpool._retry_policy import RetryPolicy
from workpool._scheduler import Scheduler
from workpool._serialization import pack_error
from workpool._system.process import ExitStatus
from workpool._system.status_page import REVOKED, SHELF, new_page
from workpool._task_loop import TaskLoop
from workpool._withdrawals import Withdrawals
from workpool._worker.batches import _REPORTED, _SKIPPED

pytestmark = pytest.mark.once

SLOTS = 2
SEEDS = 40
ACTIONS = 250
WEIGHTS = {
    "add": 1,
    "ask": 2,
    "crash": 0.3,
    "fire_timer": 3,
    "flush": 1,
    "read": 2,
    "revoke": 2,
    "work": 16,
}
"""How often what is done."""


class Tiny:
    """As much of a task as there is outside the event loop."""

    key = meta = inherent = None
    members = ()
    pinned = movable = False
    ends_alone = True

    def __init__(self, number: int, retries: int) -> None:
        self.id = self.argument = number
        self._settings = TaskSettings(None, RetryPolicy(retries), plain=True)
        self.batch: Any = None
        self.slot, self.offset, self.dispatches, self.attempts = -1, 0, 0, 0
        self.estimate = 0.0
        self.begun = 0
        self.taken_back = False
        self.ends: list[str] = []

    def done(self) -> bool:
        return bool(self.ends)

    def cancel(self) -> bool:
        assert not self.begun or self._settings.retries.limit, "withdrawn, though it had begun"
        self.taken_back = True
        self.ends.append("withdrawn")
        return True

    def _set_result(self, value: Any) -> None:
        assert value == self.id
        if self.done():
            raise asyncio.InvalidStateError  # as any future
        self.ends.append("result")

    def _set_exception(self, error: BaseException) -> None:
        self.ends.append(type(error).__name__)


@dataclass
class Run:
    """A worker in the midst of a batch, or of a single task."""

    attempt: int
    lane: int
    tasks: list[Tiny]
    flags: set[int]
    index: int = 0
    first: int = 0
    values: list[Any] = field(default_factory=list)
    step: str = "announce"


@dataclass
class FakeWorker:
    """A slot's worker, alive or dead, with the reports that the pool has not read."""

    slot: int
    handle: Any = None
    run: Run | None = None
    reports: deque[frames.Report] = field(default_factory=deque)
    tasks_completed: int = 0
    killed_for: str = ""
    unreadable: bool = False
    process: Any = field(default_factory=lambda: SimpleNamespace(pid=1))


class BatchMachine:
    """A pool whose tasks are all tiny."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.page = new_page(SLOTS, 1)
        self.costs = CostModel()
        self.ledger: Any = Ledger()
        self.scheduler: Any = Scheduler(SLOTS, 1, lambda task: 1e-6)
        self.scheduler.take_batch = lambda backlog, most: take_batch(backlog, min(most, 6))
        for load in self.scheduler.slots:
            load.open = True
        self.workers = [FakeWorker(slot) for slot in range(SLOTS)]
        self.queue: deque[int] = deque()
        self.runs: dict[int, Run] = {}
        self.tasks: list[Tiny] = []
        self.timers: list[Any] = []
        self._join()

    def _join(self) -> None:
        self.futures = asyncio.new_event_loop()
        loop: Any = SimpleNamespace(
            call_later=lambda _, call, *details: self.timers.append((call, details)),
            call_soon=lambda call, *details: call(*details),
            create_future=lambda: asyncio.Future(loop=self.futures),
        )
        fleet: Any = SimpleNamespace(present=lambda: self.workers, workers=self.workers)
        dispatcher: Any = SimpleNamespace(
            page=self.page,
            mark_cancelled=self._mark,
            release=self.scheduler.finished,
            reclaim=self.scheduler.finished,
            flush=self.flush,
            arena=SimpleNamespace(free_all=lambda offsets: None),
        )
        revival: Any = None
        self.outcomes = Outcomes(
            self.ledger, self.scheduler, self.costs, revival, TaskLoop(self.futures), lambda: None
        )
        self.outcomes.dispatcher = dispatcher
        pauses: Any = SimpleNamespace(discard=lambda task: None)
        self.outcomes.pauses = pauses
        self.outcomes.interrupts = interrupts = Interrupts(
            loop,
            self.ledger,
            dispatcher,
            fleet,
            lambda task, attempt: None,
        )
        interrupts._interrupt_running = lambda worker, attempt: None  # type: ignore[method-assign]

        def begun_or_ended() -> Any:
            had_begun = interrupts.begun()
            for slot in range(SLOTS):
                self.read(slot)
            return had_begun

        self.withdrawals = self.outcomes.withdrawals = Withdrawals(
            loop,
            self.ledger,
            self.scheduler,
            dispatcher,
            interrupts,
            begun_or_ended,
            set(),
        )
        engine: Any = SimpleNamespace(
            loop=loop,
            is_closed=False,
            ledger=self.ledger,
            fleet=fleet,
            dispatcher=dispatcher,
            scheduler=self.scheduler,
            outcomes=self.outcomes,
            costs=self.costs,
        )
        self.watch = BatchWatch(engine)

    # What the user and the pool do

    def act(self) -> None:
        """Do anything, and see that all is well."""
        [name] = self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
        getattr(self, name)()
        self.nothing_is_begun_or_ends_twice()
        self.loads_and_counts_add_up()
        self.every_pending_task_is_somewhere()

    def add(self) -> None:
        retries = self.dice.choice((0, 0, 0, 1))
        for _ in range(self.dice.randint(2, 30)):
            task = Tiny(self.ledger.new_id(), retries)
            self.tasks.append(task)
            self.outcomes.pending += 1
            self.scheduler.add(task)
        self.flush()

    def flush(self) -> None:
        for _, entries in self.scheduler.plan():
            for entry in entries:
                if isinstance(entry, Batch):
                    entry.id = self.ledger.new_id()
                [attempt] = self.ledger.dispatch([entry])
                members: list[Any] = [*entry.members] or [entry]
                self.runs[attempt] = Run(attempt, 0, members, set())
                self.queue.append(attempt)

    def ask(self) -> None:
        pending = [task for task in self.tasks if not task.done()]
        if pending:
            task: Any = self.dice.choice(pending)
            if self.dice.random() < 0.7:
                self.withdrawals.withdraw(task)
            else:
                task.ends.append("cancelled")
                self.outcomes.task_cancelled(task)

    def fire_timer(self) -> None:
        if self.timers:
            call, details = self.timers.pop(self.dice.randrange(len(self.timers)))
            call(*details)

    def revoke(self) -> None:
        slot = self.dice.randrange(SLOTS)
        for attempt, begun in self.page.held(slot):
            if begun:
                self.watch._revoke(self.workers[slot], frames.batch_attempt(attempt)[0])  # type: ignore[arg-type]

    def read(self, slot: int | None = None) -> None:
        worker: Any = self.workers[self.dice.randrange(SLOTS) if slot is None else slot]
        while worker.reports:
            report = worker.reports.popleft()
            if report[0] in (frames.PART, frames.LAST_PART):
                self.outcomes.part(worker, report)
            elif report[0] == frames.ERROR:
                self.outcomes.error(worker, report)
            elif report[0] == frames.SKIPPED:
                self.outcomes.skipped(worker, report)
            else:
                self._results(worker, report)

    def crash(self) -> None:
        slot = self.dice.randrange(SLOTS)
        worker: Any = self.workers[slot]
        self.read(slot)
        held = self.page.held(slot)
        self.watch.worker_died(worker, held)
        self.page.clear(slot)
        before = sum(task.ends[-1:] == ["WorkerCrashed"] for task in self.tasks)
        self.outcomes.crashed(worker, held, ExitStatus(None, 9))
        after = sum(task.ends[-1:] == ["WorkerCrashed"] for task in self.tasks)
        assert after - before <= 1
        self.workers[slot] = FakeWorker(slot)

    # What workers do

    def work(self) -> None:
        worker = self.workers[self.dice.randrange(SLOTS)]
        for _ in range(self.dice.randint(1, 5)):
            self._step(worker, self.dice.randrange(10))

    def _step(self, worker: FakeWorker, dice: int) -> None:  # noqa: C901 - each step is one line or two
        words, slot = self.page.words, worker.slot
        if worker.run is None:
            if self.queue:
                worker.run = run = self.runs.pop(self.queue.popleft())
                words[self.page.attempt_index(slot, 0)] = run.attempt
                worker.run.step = "begin"
            return
        run = worker.run
        lane, begun = self.page.attempt_index(slot, 0), self.page.begun_index(slot, 0)
        is_batch = len(run.tasks) > 1
        if run.step == "begin":
            words[begun] = 1
            words[self.page.field(slot, SHELF)] = frames.item_attempt(run.attempt, 0)
            run.step = "announce" if is_batch else "run"
        elif run.step == "announce":
            words[lane] = frames.item_attempt(run.attempt, run.index)
            run.step = "look"
        elif run.step == "look":
            run.step = "last" if words[self.page.field(slot, REVOKED)] == run.attempt else "run"
        elif run.step == "run":
            self._run(worker, run, dice, is_batch=is_batch)
        elif run.step == "shelf":
            entries = b"".join(pickle.dumps(value, 5) for value in run.values)
            self.page.shelf(slot)[: len(entries)] = entries
            run.index += 1
            over = run.index == len(run.tasks)
            run.step = "last" if over else "part" if dice < 3 else "announce"
        elif run.step == "part":
            self._report_part(worker, run, frames.PART, -1)
            run.step = "new shelf"
        elif run.step == "new shelf":
            run.first, run.values = run.index, []
            words[self.page.field(slot, SHELF)] = frames.item_attempt(run.attempt, run.index)
            run.step = "announce"
        elif run.step == "last":
            self._report_part(worker, run, frames.LAST_PART, run.index)
            run.step = "clear"
        elif run.step == "clear":
            words[begun] = 0
            worker.run = None

    def _run(self, worker: FakeWorker, run: Run, dice: int, *, is_batch: bool) -> None:
        task = run.tasks[run.index]
        item = frames.item_attempt(run.attempt, run.index) if is_batch else run.attempt
        run.step = "shelf" if is_batch else "clear"
        if run.index in run.flags:
            value: Any = _SKIPPED
            if not is_batch:
                worker.reports.append((frames.SKIPPED, item, 0.0, b""))
        else:
            task.begun += 1
            assert not task.taken_back, "begun, though it had been taken back"
            if dice == 9:
                error = pack_error(ValueError(), side="worker")
                worker.reports.append((frames.ERROR, item, 0.0, error))
            elif dice > 6 or not is_batch:
                worker.reports.append((frames.RESULT, item, 0.0, pickle.dumps(task.id)))
            value = task.id if dice <= 6 else _REPORTED
        run.values.append(value)

    def _report_part(self, worker: FakeWorker, run: Run, kind: int, begun: int) -> None:
        costs = [1e-6] * len(run.values)
        body = pickle.dumps((run.first, run.values, costs, begun))
        worker.reports.append((kind, run.attempt, 0.0, body))

    def _results(self, worker: Any, report: frames.Report) -> None:
        """Do for one result what the outcomes do for many at a time."""
        _, attempt, _, body = report
        task = self.ledger.dispatched.pop(attempt, None)
        if task is None:
            self.outcomes._member(worker, report)
            return
        self.scheduler.finished(task)
        if not task.done():
            task.attempts += 1
            self.outcomes.succeed(task, pickle.loads(body))

    def _mark(self, task: Any) -> None:
        number, index = frames.batch_attempt(self.ledger.attempt_of(task))
        runs = [*self.runs.values(), *(worker.run for worker in self.workers)]
        for run in runs:
            if run is not None and run.attempt == number:
                run.flags.add(max(index, 0))

    # What must hold at any time

    def nothing_is_begun_or_ends_twice(self) -> None:
        for task in self.tasks:
            assert len(task.ends) <= 1
            assert task.begun <= 1 + task._settings.retries.limit

    def loads_and_counts_add_up(self) -> None:
        entries = list(self.ledger.dispatched.values())
        for load in self.scheduler.slots:
            assert load.count == sum(entry.slot == load.index for entry in entries)
        taken_back = sum(task.taken_back for task in self.tasks)
        assert self.outcomes.pending == taken_back + sum(not task.done() for task in self.tasks)

    def every_pending_task_is_somewhere(self) -> None:
        held = [*self.scheduler.backlog]
        for entry in self.ledger.dispatched.values():
            members = entry.members[: entry.end] if entry.members else [entry]
            held += [task for task in members if task.batch in (None, entry)]
        assert {task for task in self.tasks if not task.done()} <= set(held)

    def close(self) -> None:
        """Let the pool run on without faults: every task comes to its end."""
        for _ in range(400):
            if all(task.done() for task in self.tasks) and not self.ledger.dispatched:
                break
            self.flush()
            for worker in self.workers:
                for _ in range(20):
                    self._step(worker, 5)
                self.read(worker.slot)
            while self.timers:
                self.fire_timer()
        assert [task for task in self.tasks if len(task.ends) != 1] == []
        assert not self.ledger.dispatched
        assert not self.outcomes.interrupts._interrupted
        assert not self.withdrawals._left_alone
        assert not self.withdrawals._asked
        self.page.close()
        self.futures.close()


@pytest.mark.parametrize("start", range(0, SEEDS, 10))
def test_members_end_once_whatever_happens(start: int) -> None:
    """Each ends once, is begun once (or once more if it has a retry), and costs nobody else anything."""
    for seed in range(start, start + 10):
        print("seed", seed)
        machine = BatchMachine(seed)
        for _ in range(ACTIONS):
            machine.act()
        machine.close()
