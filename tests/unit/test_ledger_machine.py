"""The ledger under any sequence of events: each dispatch is struck out once, nothing stale counts."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.records import FakeTask
from workpool._frames import task_of_attempt
from workpool._ledger import Ledger

pytestmark = pytest.mark.once

SLOTS = st.integers(0, 2)


class LedgerMachine(RuleBasedStateMachine):
    """Dispatches tasks and strikes them out in every way; a dict is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[FakeTask] = Ledger()
        self.model: dict[int, FakeTask] = {}
        self.idle: list[FakeTask] = []
        self.stale: set[int] = set()
        self.finished: dict[FakeTask, int] = {}

    @rule(pinned=st.booleans())
    def make(self, pinned: bool) -> None:
        task = FakeTask(self.ledger.new_id(), pinned=pinned)
        self.idle.append(task)
        self.finished[task] = 0

    @precondition(lambda self: self.idle)
    @rule(data=st.data(), slot=SLOTS)
    def dispatch(self, data: st.DataObject, slot: int) -> None:
        task = self.idle.pop(data.draw(st.integers(0, len(self.idle) - 1)))
        task.slot = slot
        [attempt] = self.ledger.dispatch([task])
        assert attempt not in self.model
        assert attempt not in self.stale
        assert task_of_attempt(attempt) == task.id
        self.model[attempt] = task

    @precondition(lambda self: self.model)
    @rule(data=st.data(), reported=st.booleans())
    def strike_out(self, data: st.DataObject, reported: bool) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.model)))
        task = self.model[attempt]
        assert self.ledger.attempt_of(task) == attempt
        struck = self.ledger.finish(attempt) if reported else self.ledger.withdraw(attempt)
        assert struck is task
        self._struck(attempt, begun=reported)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def report_again(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.stale)))
        assert self.ledger.finish(attempt) is None
        assert self.ledger.withdraw(attempt) is None

    @rule(data=st.data(), slot=SLOTS)
    def lose_a_worker(self, data: st.DataObject, slot: int) -> None:
        known = sorted([*self.model, *self.stale])
        lanes = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        held = [(attempt, data.draw(st.sampled_from([0, 12345]))) for attempt in lanes]
        begun = {attempt for attempt, since in held if since and attempt in self.model}
        mailed = {a for a, task in self.model.items() if task.pinned and task.slot == slot}
        expected = {a for a, since in held if not since and a in self.model} | mailed - begun
        over, lost, not_begun = self.ledger.worker_died(slot, held)
        assert {*over} == {*lost, *not_begun}
        assert sorted(t.id for t in lost) == sorted(self.model[a].id for a in begun)
        assert sorted(t.id for t in not_begun) == sorted(self.model[a].id for a in expected)
        for attempt in begun | expected:
            self._struck(attempt, begun=attempt in begun)

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        assert self.ledger.dispatched == self.model
        for task in self.idle:
            assert self.ledger.attempt_of(task) is None

    @invariant()
    def only_what_was_begun_counts_as_an_attempt(self) -> None:
        for task, count in self.finished.items():
            assert task.attempts == count

    def _struck(self, attempt: int, *, begun: bool) -> None:
        task = self.model.pop(attempt)
        self.finished[task] += begun
        self.stale.add(attempt)
        self.idle.append(task)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=40)
TestLedger.__doc__ = "Every dispatch is struck out once, and a stale report goes nowhere."
