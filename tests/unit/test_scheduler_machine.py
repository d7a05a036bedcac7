"""The scheduler under any sequence of events: nothing is lost, and nobody idles while work waits."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.records import FakeTask, cost_of
from workpool._scheduler import DEPTH_TASKS, Scheduler

pytestmark = pytest.mark.once

COSTS = st.sampled_from([0.0, 1e-6, 1e-3, 0.004, 0.5])
AFFINITIES = st.sampled_from(["light", "light", "light", "strong", "force"])


class SchedulerMachine(RuleBasedStateMachine):
    """Adds, plans, finishes and cancels tasks, opens and closes slots, in any order.

    A task is in one place: waiting in the scheduler, or dispatched to one slot, or gone.
    """

    @initialize(
        slots=st.integers(1, 4),
        lanes=st.integers(1, 3),
        by_worker=st.booleans(),
        estimate_each=st.booleans(),
    )
    def start(self, slots: int, lanes: int, by_worker: bool, estimate_each: bool) -> None:
        extra = (lambda task, slot: task.cost * slot) if by_worker else None
        self.scheduler: Scheduler[FakeTask] = Scheduler(slots, lanes, cost_of, extra)
        self.scheduler.estimate_each = estimate_each
        self.waiting: set[FakeTask] = set()
        self.dispatched: dict[int, list[FakeTask]] = {slot: [] for slot in range(slots)}
        self.ids = 0

    @rule(cost=COSTS, affinity=AFFINITIES, where=st.integers(0, 99), count=st.integers(1, 40))
    def add(self, cost: float, affinity: str, where: int, count: int) -> None:
        pinned = affinity != "light"
        for _ in range(1 if pinned else count):
            self.ids += 1
            slot = where % len(self.dispatched) if pinned else -1
            movable = affinity == "strong"
            task = FakeTask(self.ids, cost, slot, pinned=pinned, movable=movable)
            task.home = slot if affinity == "force" else -1
            self.scheduler.add(task)
            self.waiting.add(task)

    @rule(where=st.integers(0, 99), is_open=st.booleans())
    def open_or_close(self, where: int, is_open: bool) -> None:
        self.scheduler.slots[where % len(self.dispatched)].open = is_open

    @rule(lanes=st.integers(1, 3))
    def learn_the_lanes(self, lanes: int) -> None:
        self.scheduler.set_lanes(lanes)

    @rule()
    def plan(self) -> None:
        for slot, tasks in self.scheduler.plan():
            assert self.scheduler.slots[slot].open
            self._dispatch(slot, tasks)
        self._nobody_idles()

    @rule(fits=st.integers(0, 5))
    def plan_into_a_queue_that_gets_full(self, fits: int) -> None:
        for slot, tasks in self.scheduler.plan():
            self._dispatch(slot, tasks)
            unsent = tasks[fits:]
            for task in unsent:
                self.scheduler.finished(task)
                self.dispatched[slot].remove(task)
            self.scheduler.put_back(unsent)
            self.waiting.update(unsent)
            if unsent:
                return

    @rule()
    def send_the_next_at_once(self) -> None:
        slot = self.scheduler.free_slot()
        loads = [load for load in self.scheduler.slots if load.open]
        free = [load for load in loads if load.count < self.scheduler.lanes]
        assert (slot is None) == (not free)
        if slot is not None:
            assert self.scheduler.slots[slot].count == min(load.count for load in free)
            self.ids += 1
            task = FakeTask(self.ids)
            self.scheduler.place(task, slot)
            self._dispatch(slot, [task], from_backlog=False)

    @precondition(lambda self: any(self.dispatched.values()))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from([s for s, held in self.dispatched.items() if held]))
        task = data.draw(st.sampled_from(self.dispatched[slot]))
        self.dispatched[slot].remove(task)
        self.scheduler.finished(task)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel_one_that_waits(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(sorted(self.waiting, key=lambda task: task.id)))
        task.ends.append("cancelled")
        self.waiting.remove(task)

    @rule(where=st.integers(-1, 99))
    def take_waiting(self, where: int) -> None:
        slot = None if where < 0 else where % len(self.dispatched)
        taken = self.scheduler.take_waiting(slot)
        expected = {t for t in self.waiting if slot is None or (t.pinned and t.slot == slot)}
        assert set(taken) == expected
        assert len(taken) == len(expected)
        self.waiting -= expected

    @invariant()
    def every_load_is_what_was_dispatched(self) -> None:
        for slot, held in getattr(self, "dispatched", {}).items():
            load = self.scheduler.slots[slot]
            assert load.count == len(held)
            assert abs(load.seconds - sum(task.estimate for task in held)) < 1e-6

    @invariant()
    def nothing_that_waits_is_lost(self) -> None:
        if hasattr(self, "waiting"):
            backlogs = [self.scheduler.backlog, *(s.pinned for s in self.scheduler.slots)]
            found = [task for backlog in backlogs for task in backlog if not task.done()]
            assert len(found) == len(self.waiting)
            assert set(found) == self.waiting
            assert self.scheduler.waiting() >= len(found)
            for load in self.scheduler.slots:
                assert {task.slot for task in load.pinned} <= {load.index}

    def _dispatch(self, slot: int, tasks: list[FakeTask], from_backlog: bool = True) -> None:
        assert len(set(tasks)) == len(tasks)
        for task in tasks:
            if from_backlog:
                assert task in self.waiting, f"{task} was planned twice, or after its end"
                assert task.home in (-1, slot)
                self.waiting.remove(task)
            assert task.slot == slot
            self.dispatched[slot].append(task)

    def _nobody_idles(self) -> None:
        light = [task for task in self.waiting if not task.pinned]
        for load in self.scheduler.slots:
            assert load.count <= max(DEPTH_TASKS, len(self.dispatched[load.index]))
            if load.open and load.count <= self.scheduler.lanes:
                assert not light, f"slot {load.index} has room while {light} wait"
                assert not [task for task in self.waiting if task.slot == load.index]


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=200, stateful_step_count=30)
TestScheduler.__doc__ = "No task is lost or placed twice; no open slot idles while one waits."
