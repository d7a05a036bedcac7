"""The blocking pool's task: one end, seen by everybody who waits, whatever comes at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, as_completed, wait
from typing import Any

import pytest

from workpool.sync import Task


class FakePool:
    """What a task asks of its pool; the "pool's thread" is whoever calls."""

    name = "fake"
    _listens = False

    def __init__(self) -> None:
        self.before_wait: Callable[[], object] = lambda: None
        self.due: list[Callable[[], None]] = []
        self.cancelled: list[Task[Any]] = []

    def _check_may_wait(self) -> None:
        self.before_wait()

    def _is_running(self, _task: Any) -> bool:
        return False

    def _call_back(self, function: Callable[[], None]) -> None:
        self.due.append(function)

    def _let_cancel(self) -> None:
        pass

    def _cancelled(self, task: Task[Any]) -> None:
        self.cancelled.append(task)


@pytest.fixture
def pool() -> FakePool:
    return FakePool()


@pytest.fixture
def hectic() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def new(pool: Any, number: int = 1) -> Task[Any]:
    return Task(pool, None, number, None)  # type: ignore[arg-type]


def test_a_task_that_nobody_waits_for_makes_no_condition(pool: FakePool) -> None:
    """Nor does asking for what it has got."""
    task = new(pool)
    task._set_result(5)
    assert task.result() == 5
    assert task.done()
    assert not task.cancel()
    assert "_condition" not in vars(task)


def test_the_first_end_counts(pool: FakePool) -> None:
    """A result after a cancellation, or the other way round, changes nothing."""
    task = new(pool)
    assert task.cancel()
    task._set_result(5)
    task._set_exception(ValueError())
    with pytest.raises(CancelledError):
        task.result()
    assert task.cancel()
    other = new(pool)
    other._set_result(5)
    assert not other.cancel()
    assert other.result() == 5
    assert pool.cancelled == [task, task]


def test_only_the_pool_ends_a_task(pool: FakePool) -> None:
    """The setters of a bare future are refused."""
    with pytest.raises(RuntimeError, match="set by its pool"):
        new(pool).set_result(1)
    with pytest.raises(RuntimeError, match="set by its pool"):
        new(pool).set_exception(ValueError())


def test_callbacks_are_left_to_the_pool(pool: FakePool) -> None:
    """They are called when the pool gets to it, with the task, each once; later ones at once."""
    called: list[Any] = []
    task = new(pool)
    task.add_done_callback(called.append)
    task._set_result(1)
    assert called == []
    pool.due.pop()()
    assert called == [task]
    task.add_done_callback(called.append)
    assert called == [task, task]
    assert pool.due == []


def test_a_wait_that_ran_out_leaves_nothing_behind(pool: FakePool) -> None:
    """The next one waits anew."""
    task = new(pool)
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimeoutError):
            task.result(timeout)
    task._set_result(3)
    assert task.result(0) == 3


@pytest.mark.parametrize("event", ["result", "exception", "condition", "cancel"])
def test_what_comes_between_looking_and_waiting_is_seen(pool: FakePool, event: str) -> None:
    """A task that ends, or gets a condition, just after it was found pending."""
    task = new(pool)
    outcomes: dict[str, Callable[[], object]] = {
        "result": lambda: task._set_result(1),
        "exception": lambda: task._set_exception(ValueError()),
        "condition": lambda: task.add_done_callback(print),
        "cancel": task.cancel,
    }
    pool.before_wait = outcomes[event]
    if event == "result":
        assert task.result(20) == 1
    else:
        expected = {"exception": ValueError, "condition": TimeoutError, "cancel": CancelledError}
        with pytest.raises(expected[event]):
            task.result(0.01 if event == "condition" else 20)


def cancel(task: Task[Any]) -> None:
    task.cancel()
    task._notify_cancelled()


ENDS: list[Callable[[Task[Any]], object]] = [
    lambda task: task._set_result(7),
    lambda task: task._set_exception(ValueError("x")),
    cancel,
]
WAITS: list[Callable[[Task[Any]], object]] = [
    lambda task: task.result(20),
    lambda task: task.exception(20),
    lambda task: wait([task], timeout=20),
    lambda task: list(as_completed([task], timeout=20)),
]


@pytest.mark.parametrize("end", ENDS, ids=["result", "exception", "cancel"])
def test_every_wait_ends_when_the_task_does(
    pool: FakePool, hectic: None, end: Callable[[Task[Any]], object]
) -> None:
    """All kinds of waits, several threads each, begun before, while and after the task ends."""

    def watch(tasks: list[Task[Any]], how: Callable[[Task[Any]], object]) -> None:
        for task in tasks:
            try:
                how(task)
            except (ValueError, CancelledError):
                pass
            except TimeoutError:
                missed.append(task)

    missed: list[Task[Any]] = []
    tasks = [new(pool, number) for number in range(300)]
    watchers = [threading.Thread(target=watch, args=(tasks, how)) for how in WAITS * 2]
    for watcher in watchers:
        watcher.start()
    for task in tasks:
        end(task)
    for watcher in watchers:
        watcher.join()
    assert missed == []
    assert all(task.done() for task in tasks)


def test_waiting_for_many_counts_each_once(pool: FakePool, hectic: None) -> None:
    """`wait` and `as_completed` of tasks that end meanwhile: none is missed, none comes twice."""
    for _ in range(30):
        tasks = [new(pool, number) for number in range(60)]
        ender = threading.Thread(target=lambda t=tasks: [task._set_result(0) for task in t])
        ender.start()
        done, not_done = wait(tasks, timeout=20)
        assert (len(done), len(not_done)) == (60, 0)
        ender.join()
    for _ in range(30):
        tasks = [new(pool, number) for number in range(60)]
        ender = threading.Thread(target=lambda t=tasks: [task._set_result(0) for task in t])
        ender.start()
        assert len(list(as_completed(tasks, timeout=20))) == 60
        ender.join()


def test_cancelling_and_ending_at_once(pool: FakePool, hectic: None) -> None:
    """One of them wins, and everybody is told the same."""
    for number in range(300):
        task = new(pool, number)
        outcome: list[bool] = []
        canceller = threading.Thread(target=lambda t=task, o=outcome: o.append(t.cancel()))
        canceller.start()
        task._set_result(1)
        canceller.join()
        assert task.cancelled() == outcome[0]
        assert task.cancelled() or task.result() == 1
