"""Ledger and scheduler joined, with a model of the kernel's queues and of workers that die.

The steps are those of the dispatcher, the worker loops and the outcomes; the machine takes them in
any order, and workers die between any two of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.records import FakeTask, cost_of
from workpool._ledger import Ledger
from workpool._scheduler import Scheduler

pytestmark = pytest.mark.once

QUEUE_HOLDS = 6
WHICH = st.integers(0, 99)


@dataclass
class Lane:
    """A lane of the status page: it keeps the last attempt after that has ended."""

    attempt: int = 0
    begun: int = 0
    reported: bool = False

    @property
    def free(self) -> bool:
        return not self.attempt or (self.reported and not self.begun)


@dataclass
class Slot:
    """A slot's queue, and the worker in it, if there is one."""

    queue: deque[int] = field(default_factory=deque)
    mail: deque[int] = field(default_factory=deque)
    lanes: list[Lane] = field(default_factory=list)
    reports: deque[tuple[str, int]] = field(default_factory=deque)
    alive: bool = False


class RecoveryMachine(RuleBasedStateMachine):
    """A pool in small, with every step of its protocol a rule."""

    @initialize(slots=st.integers(1, 3), lanes=st.integers(1, 2))
    def start(self, slots: int, lanes: int) -> None:
        self.ledger: Ledger[FakeTask] = Ledger()
        self.scheduler: Scheduler[FakeTask] = Scheduler(slots, lanes, cost_of)
        self.slots = [Slot() for _ in range(slots)]
        self.lanes = lanes
        self.tasks: list[FakeTask] = []
        self.marked: set[int] = set()

    # What the user and the pool do

    @rule(
        affinity=st.sampled_from(["light", "light", "strong", "force"]),
        where=WHICH,
        retries=st.sampled_from([0, 0, 1, 2]),
        count=st.integers(1, 8),
    )
    def add(self, affinity: str, where: int, retries: int, count: int) -> None:
        for _ in range(count):
            task = FakeTask(self.ledger.new_id(), retries=retries)
            if affinity != "light":
                task.pinned, task.movable = True, affinity == "strong"
                task.slot = where % len(self.slots)
                task.home = -1 if task.movable else task.slot
            self.tasks.append(task)
            self.scheduler.add(task)

    @rule(where=WHICH)
    def start_worker(self, where: int) -> None:
        index = where % len(self.slots)
        slot = self.slots[index]
        if not slot.alive:
            slot.alive = True
            slot.lanes = [Lane() for _ in range(self.lanes)]
            self.scheduler.slots[index].open = True

    @rule()
    def flush(self) -> None:
        for index, tasks in self.scheduler.plan():
            if not self._send(index, tasks):
                return
        waiting = [t for t in self.scheduler.backlog if not t.done()]
        for load in self.scheduler.slots:
            assert not (load.open and load.count <= self.lanes and waiting)

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        pending = [task for task in self.tasks if not task.done()]
        if pending:
            task = pending[which % len(pending)]
            task.ends.append("cancelled")
            attempt = self.ledger.attempt_of(task)
            if attempt is not None:
                self.marked.add(attempt)

    @rule(where=WHICH)
    def read_reports(self, where: int) -> None:
        reports = self.slots[where % len(self.slots)].reports
        while reports:
            kind, attempt = reports.popleft()
            task = self.ledger.finish(attempt)
            assert task is not None, "the report of a dispatched attempt was taken for stale"
            self.scheduler.finished(task)
            if task.done():
                continue
            assert kind != "skipped"
            self._end_or_retry(task, kind)

    # What workers do

    @rule(where=WHICH, lane=WHICH, thief_looks=WHICH)
    def claim(self, where: int, lane: int, thief_looks: int) -> None:
        slot = self.slots[where % len(self.slots)]
        free = [lane for lane in slot.lanes if lane.free] if slot.alive else []
        if free:
            others = deque(self.slots)
            others.rotate(thief_looks)
            sources = [slot.mail, slot.queue, *(other.queue for other in others)]
            source = next((source for source in sources if source), None)
            if source is not None:
                # One system call takes the token and records it: nothing can come between.
                chosen = free[lane % len(free)]
                chosen.attempt, chosen.reported = source.popleft(), False

    @rule(where=WHICH, which=WHICH)
    def step(self, where: int, which: int) -> None:
        """Begin, report or clear one lane of a worker: the next of the three it has to do."""
        slot = self.slots[where % len(self.slots)]
        lanes = [lane for lane in slot.lanes if not lane.free]
        if slot.alive and lanes:
            self._step(slot, lanes[which % len(lanes)], fails=which % 3 == 0)

    @rule(where=WHICH)
    def crash(self, where: int) -> None:
        index = where % len(self.slots)
        slot = self.slots[index]
        if not slot.alive:
            return
        slot.alive = False
        self.read_reports(index)
        self.scheduler.slots[index].open = False
        held = [(lane.attempt, lane.begun) for lane in slot.lanes if lane.attempt]
        over, lost, not_begun = self.ledger.worker_died(index, held)
        slot.mail.clear()
        slot.lanes = []
        for task in over:
            self.scheduler.finished(task)
        for task in lost:
            if not task.done():
                self._end_or_retry(task, "crashed")
        self.scheduler.put_back(task for task in not_begun if not task.done())

    # What must hold at any time

    @invariant()
    def every_dispatched_attempt_is_in_exactly_one_place(self) -> None:
        if hasattr(self, "slots"):
            places: list[int] = []
            for slot in self.slots:
                places += [*slot.queue, *slot.mail, *(attempt for _, attempt in slot.reports)]
                places += [x.attempt for x in slot.lanes if x.attempt and not x.reported]
            assert sorted(places) == sorted(self.ledger.dispatched)

    @invariant()
    def every_pending_task_waits_or_is_dispatched_once(self) -> None:
        if hasattr(self, "tasks"):
            backlogs = [self.scheduler.backlog, *(load.pinned for load in self.scheduler.slots)]
            held = [task for backlog in backlogs for task in backlog]
            held += self.ledger.dispatched.values()
            assert len(held) == len(set(held))
            assert {task for task in self.tasks if not task.done()} <= set(held)

    @invariant()
    def no_task_ends_or_is_begun_more_often_than_it_may(self) -> None:
        for task in getattr(self, "tasks", []):
            assert len(task.ends) <= 1
            assert task.begun <= 1 + task.retries

    @invariant()
    def loads_are_what_is_dispatched(self) -> None:
        if hasattr(self, "tasks"):
            for load in self.scheduler.slots:
                dispatched = self.ledger.dispatched.values()
                assert load.count == sum(task.slot == load.index for task in dispatched)

    def teardown(self) -> None:
        """Let the pool run on without faults: every task comes to its end."""
        if not hasattr(self, "tasks"):
            return
        for index in range(len(self.slots)):
            self.start_worker(index)
        for _ in range(4 * len(self.tasks) + 4):
            self.flush()
            for index, slot in enumerate(self.slots):
                self.claim(index, 0, 0)
                for lane in slot.lanes:
                    while not lane.free:
                        self._step(slot, lane, fails=False)
                self.read_reports(index)
        assert [task for task in self.tasks if len(task.ends) != 1] == []
        assert not self.ledger.dispatched

    def _send(self, index: int, tasks: list[FakeTask]) -> bool:
        slot = self.slots[index]
        unsent = []
        for task in tasks:
            assert task.home in (-1, index)
            [attempt] = self.ledger.dispatch([task])
            if task.pinned:
                slot.mail.append(attempt)
            elif len(slot.queue) < QUEUE_HOLDS:
                slot.queue.append(attempt)
            else:
                self.ledger.withdraw(attempt)
                self.scheduler.finished(task)
                unsent.append(task)
        self.scheduler.put_back(unsent)
        return not unsent

    def _step(self, slot: Slot, lane: Lane, *, fails: bool) -> None:
        if lane.reported:
            lane.begun = 0
        elif lane.begun or lane.attempt in self.marked:
            ended = "failed" if fails else "completed"
            kind = ended if lane.begun else "skipped"
            slot.reports.append((kind, lane.attempt))
            lane.reported = True
        else:
            lane.begun = 1
            self.ledger.dispatched[lane.attempt].begun += 1

    def _end_or_retry(self, task: FakeTask, kind: str) -> None:
        if kind != "completed" and task.attempts <= task.retries:
            self.scheduler.add(task)
        else:
            task.ends.append(kind)


TestRecovery = RecoveryMachine.TestCase
TestRecovery.settings = settings(max_examples=300, stateful_step_count=50)
TestRecovery.__doc__ = "Whoever dies when: no task is lost, none is begun or ends too often."
