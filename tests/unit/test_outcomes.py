"""What becomes of tasks: each ends once, whatever is reported about it and in which order."""

from __future__ import annotations

import asyncio
import pickle
import signal
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.children import OneWayResult
from workpool import SerializationError, TaskTimeout, WorkerCrashed, _frames
from workpool._costs import CostModel
from workpool._ledger import Ledger
from workpool._options import TaskSettings
from workpool._outcomes import Outcomes
from workpool._retry_policy import RetryPolicy
from workpool._scheduler import Scheduler
from workpool._serialization import pack_error
from workpool._system.process import ExitStatus

KILLED = ExitStatus(None, signal.SIGKILL)


@dataclass(eq=False)
class PlainTask:
    """A task without an event loop; it complains when it is ended twice."""

    id: int
    _settings: TaskSettings
    key: str | None = None
    argument: Any = "argument"
    slot: int = -1
    offset: int = 0
    estimate: float = 0.0
    dispatches: int = 0
    attempts: int = 0
    batch: None = None
    members: tuple[()] = ()
    pinned: bool = False
    movable: bool = False
    cost: float | None = None
    pre_task_cost: float | None = None
    worker: Any = None
    ends: list[Any] = field(default_factory=list)

    def done(self) -> bool:
        return bool(self.ends)

    def _set_result(self, value: Any) -> None:
        if self.ends == ["cancelled"]:
            raise asyncio.InvalidStateError
        assert not self.ends
        self.ends.append(value)

    _set_exception = _set_result

    @property
    def end(self) -> Any:
        [end] = self.ends
        return end


class Bench:
    """Outcomes with a real ledger and scheduler, and stand-ins for what touches the kernel."""

    def __init__(self) -> None:
        self.ledger: Ledger[Any] = Ledger()
        self.scheduler: Scheduler[Any] = Scheduler(2, 1, lambda task: 0.001)
        self.costs = CostModel()
        self.idle = 0
        self.forgotten: list[int] = []
        process = SimpleNamespace(pid=4711)
        self.worker: Any = SimpleNamespace(
            slot=0, handle="the worker", tasks_completed=0, process=process, killed_for=""
        )
        revival: Any = SimpleNamespace(loads=pickle.loads)
        task_loop: Any = SimpleNamespace(together=nullcontext)
        self.outcomes = Outcomes(
            self.ledger, self.scheduler, self.costs, revival, task_loop, self._on_idle
        )
        release = self.scheduler.finished
        arena = SimpleNamespace(free_all=lambda offsets: None)
        dispatcher: Any = SimpleNamespace(arena=arena, release=release, reclaim=release)
        self.outcomes.dispatcher = dispatcher
        interrupts: Any = SimpleNamespace(ended=self.forgotten.append, interrupt=lambda task: None)
        self.outcomes.interrupts = interrupts
        withdrawals: Any = SimpleNamespace(
            ended=lambda attempt: None, skipped=lambda task, attempt: False
        )
        self.outcomes.withdrawals = withdrawals
        pauses: Any = SimpleNamespace(discard=lambda task: None)
        self.outcomes.pauses = pauses

    def dispatched(
        self, *, key: str | None = None, retries: int = 0, timeout: float | None = None
    ) -> tuple[PlainTask, int]:
        """Return a task that has been sent to slot 0, and its attempt."""
        task = PlainTask(self.ledger.new_id(), TaskSettings(timeout, RetryPolicy(retries)), key)
        self.outcomes.pending += 1
        return task, self.send(task)

    def send(self, task: PlainTask) -> int:
        task.slot = 0
        self.scheduler.place(task, 0)
        return self.ledger.dispatch([task])[0]

    def result(self, attempt: int, value: Any, cost: float = 0.5) -> _frames.Report:
        return (_frames.RESULT, attempt, cost, pickle.dumps(value))

    def read(self, reports: list[_frames.Report]) -> None:
        """Have the pool read results."""
        stream = b"".join(
            _frames.REPORT.pack(len(body), kind, attempt, cost) + body
            for kind, attempt, cost, body in reports
        )
        assert self.outcomes.results(self.worker, stream, 0) == len(stream)

    def failure(self, attempt: int, error: Exception) -> _frames.Report:
        return (_frames.ERROR, attempt, 0.5, pack_error(error, side="worker"))

    def crash(self, *held: tuple[int, int]) -> bool:
        return self.outcomes.crashed(self.worker, list(held), KILLED)

    def cancel(self, task: PlainTask) -> None:
        task.ends.append("cancelled")
        self.outcomes.task_cancelled(cast("Any", task))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        outcomes = self.outcomes
        return outcomes.pending, outcomes.completed, outcomes.failed, outcomes.cancelled

    def _on_idle(self) -> None:
        self.idle += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_results_end_their_tasks(bench: Bench) -> None:
    """Value, cost and worker are the task's; its slot is lighter by it; the last makes it idle."""
    (one, first), (two, second) = bench.dispatched(), bench.dispatched()
    nothing = (_frames.NOTHING, second, 0.25, b"")
    bench.read([bench.result(first, 7), nothing])
    assert (one.end, two.end) == (7, None)
    assert (one.cost, two.cost, one.worker, one.attempts) == (0.5, 0.25, "the worker", 1)
    assert bench.counts == (0, 2, 0, 0)
    assert (bench.idle, bench.worker.tasks_completed) == (1, 2)
    assert bench.scheduler.slots[0].count == 0


def test_a_report_counts_once(bench: Bench) -> None:
    """The second report of an attempt is stale, whatever it says."""
    task, attempt = bench.dispatched()
    report = bench.result(attempt, 1)
    bench.read([report, report])
    bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError()))
    bench.outcomes.skipped(bench.worker, (_frames.SKIPPED, attempt, 0.0, b""))
    assert task.end == 1
    assert bench.counts == (0, 1, 0, 0)
    assert not bench.crash((attempt, 1))


def test_the_result_of_a_cancelled_task_goes_nowhere(bench: Bench) -> None:
    """The cancellation was the end; what its worker reports later only frees the place."""
    task, attempt = bench.dispatched()
    bench.cancel(task)
    bench.read([bench.result(attempt, 1)])
    assert task.end == "cancelled"
    assert bench.counts == (0, 0, 0, 1)
    assert bench.scheduler.slots[0].count == 0


@pytest.mark.parametrize("fails", [False, True])
def test_a_task_may_be_cancelled_while_listeners_are_told_of_its_end(
    bench: Bench, fails: bool
) -> None:
    """By a finalizer, as garbage may be collected then: it counts as cancelled, once."""
    task, attempt = bench.dispatched()

    def cancel(*_: object) -> None:
        bench.outcomes.on_complete = None
        bench.cancel(task)

    bench.outcomes.on_complete = cancel
    if fails:
        bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError()))
    else:
        bench.outcomes.parcel(
            bench.worker, (_frames.RESULT, attempt, 0.5, b""), pickle.dumps(1), ()
        )
    assert task.end == "cancelled"
    assert bench.counts == (0, 0, 0, 1)
    assert bench.idle == 1


def test_one_unreadable_result_fails_alone(bench: Bench) -> None:
    """The tasks reported before and after it in the same stretch have their results."""
    tasks = [bench.dispatched() for _ in range(3)]
    values = [1, OneWayResult(), 3]
    reports = [bench.result(a, value) for (_, a), value in zip(tasks, values, strict=True)]
    bench.read(reports)
    assert [tasks[0][0].end, tasks[2][0].end] == [1, 3]
    assert isinstance(tasks[1][0].end, SerializationError)
    assert bench.counts == (0, 2, 1, 0)
    assert bench.idle == 1


def test_costs_of_tasks_with_a_key_do_not_dilute_the_mean(bench: Bench) -> None:
    """What tasks without a key cost is learned from them alone, also when reported together."""
    (_, plain), (_, keyed) = bench.dispatched(), bench.dispatched(key="other")
    reports = [bench.result(plain, 1, cost=0.4), bench.result(keyed, 1, cost=9.0)]
    bench.read(reports)
    assert bench.costs.mean == pytest.approx(0.4)


def test_a_failed_task_runs_again_as_often_as_it_may(bench: Bench) -> None:
    """With two retries the third failure is the end; the task waits in between."""
    task, attempt = bench.dispatched(retries=2)
    for number in range(2):
        bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError(number)))
        assert not task.done()
        assert bench.scheduler.take_waiting() == [task]
        attempt = bench.send(task)
    bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError("last")))
    assert isinstance(task.end, ValueError)
    assert task.attempts == 3
    assert bench.counts == (0, 0, 1, 0)


def test_a_crash_fails_what_was_begun_and_sends_the_rest_again(bench: Bench) -> None:
    """Only the task that ran is lost; one that was only taken waits again, before all others."""
    (ran, first), (taken, second) = bench.dispatched(), bench.dispatched()
    later = PlainTask(99, TaskSettings(None, RetryPolicy(0)))
    bench.scheduler.add(later)
    assert bench.crash((first, 1), (second, 0))
    assert isinstance(ran.end, WorkerCrashed)
    assert (ran.end.task_id, ran.end.signal_name, ran.end.pid) == (ran.id, "SIGKILL", 4711)
    assert bench.scheduler.take_waiting() == [taken, later]
    assert taken.attempts == 0
    assert bench.counts == (1, 0, 1, 0)


def test_a_crash_under_a_cancelled_task_is_nobodys_failure(bench: Bench) -> None:
    """The task has ended already, and is not run again."""
    task, attempt = bench.dispatched(retries=3)
    bench.cancel(task)
    bench.crash((attempt, 1))
    assert task.end == "cancelled"
    assert bench.scheduler.waiting() == 0
    assert bench.counts == (0, 0, 0, 1)


@pytest.mark.parametrize("ending", ["error", "crash", "skipped", "result"])
def test_a_timeout_ends_a_task_once(bench: Bench, ending: str) -> None:
    """Whatever its worker does after that, the task has failed with `TaskTimeout`."""
    task, attempt = bench.dispatched(timeout=1.0)
    bench.outcomes.timed_out(cast("Any", task), attempt)
    if ending == "error":
        bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError()))
    elif ending == "crash":
        bench.crash((attempt, 1))
    elif ending == "skipped":
        bench.outcomes.skipped(bench.worker, (_frames.SKIPPED, attempt, 0.0, b""))
    else:
        bench.read([bench.result(attempt, 1)])
    assert isinstance(task.end, TaskTimeout)
    assert bench.counts == (0, 0, 1, 0)
    assert bench.outcomes._timed_out == set()


@pytest.mark.parametrize("ending", ["error", "crash"])
def test_a_timeout_with_retries_runs_the_task_again(bench: Bench, ending: str) -> None:
    """The interrupted attempt is not the end; the last one fails with `TaskTimeout`."""
    task, attempt = bench.dispatched(timeout=1.0, retries=1)
    for _ in range(2):
        assert not task.done()
        bench.outcomes.timed_out(cast("Any", task), attempt)
        if ending == "error":
            bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError()))
        else:
            bench.crash((attempt, 1))
        if bench.scheduler.take_waiting():
            attempt = bench.send(task)
    assert isinstance(task.end, TaskTimeout)
    assert task.attempts == 2


@pytest.mark.parametrize("retries", [0, 1])
def test_a_skipped_task_whose_time_was_up_is_as_one_that_was_interrupted(
    bench: Bench, retries: int
) -> None:
    """It runs again if it has retries, else its end is the timeout."""
    task, attempt = bench.dispatched(timeout=1.0, retries=retries)
    bench.outcomes.timed_out(cast("Any", task), attempt)
    bench.outcomes.skipped(bench.worker, (_frames.SKIPPED, attempt, 0.0, b""))
    if retries:
        assert bench.scheduler.take_waiting() == [task]
    else:
        assert isinstance(task.end, TaskTimeout)
    assert task.attempts == 1
    assert bench.scheduler.slots[0].count == 0


def test_a_pause_is_the_policys(bench: Bench) -> None:
    """With a back-off the task waits outside the backlog; without one it goes there at once."""
    kept: list[tuple[Any, float]] = []
    pauses: Any = SimpleNamespace(add=lambda task, seconds: kept.append((task, seconds)))
    bench.outcomes.pauses = pauses
    task, attempt = bench.dispatched()
    task._settings = TaskSettings(None, RetryPolicy(2, on=ValueError, backoff=1.5))
    bench.outcomes.error(bench.worker, bench.failure(attempt, ValueError()))
    assert kept == [(task, 1.5)]
    assert (bench.scheduler.waiting(), bench.outcomes.pending) == (0, 1)
    attempt = bench.send(task)
    bench.outcomes.error(bench.worker, bench.failure(attempt, KeyError()))
    assert isinstance(task.end, KeyError)
