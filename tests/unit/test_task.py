"""`Task` as a future, without a pool around it."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from workpool import Task
from workpool._options import TaskSettings
from workpool._retry_policy import RetryPolicy
from workpool._task_loop import TaskLoop


class FakePool:
    """What a task asks of its pool."""

    name = "fake"

    def __init__(self) -> None:
        self.running = False
        self.cancelled: list[Any] = []

    def _is_running(self, task: Any) -> bool:
        return self.running

    def _task_cancelled(self, task: Any) -> None:
        self.cancelled.append(task)


def made(pool: FakePool) -> Task[int]:
    task_loop: Any = TaskLoop(asyncio.get_running_loop())
    task: Task[int] = Task(loop=task_loop)
    task._pool = pool  # type: ignore[assignment]
    task._settings = TaskSettings(None, RetryPolicy(0))
    task.id, task.argument, task.key, task.meta = 7, "argument", None, None
    task.attempts = task.dispatches = 0
    task.slot = -1
    return task


async def test_a_new_task_knows_nothing_yet() -> None:
    """What comes with the run is None before, and no other attribute is made up."""
    task = made(FakePool())
    assert (task.worker, task.cost, task.pre_task_cost, task.attempts) == (None, None, None, 0)
    assert task.state == "waiting"
    with pytest.raises(AttributeError, match="nonsense"):
        task.nonsense  # type: ignore[attr-defined]  # noqa: B018


async def test_a_task_is_as_slim_as_it_can_be() -> None:
    """It has no dictionary: a million of them may wait."""
    assert not hasattr(made(FakePool()), "__dict__")


async def test_states_follow_the_future() -> None:
    """`state` is one of the five words, whatever way the task ended."""
    pool = FakePool()
    waiting, completed, failed, cancelled = (made(pool) for _ in range(4))
    completed._set_result(1)
    failed._set_exception(ValueError("x"))
    cancelled.cancel()
    assert waiting.state == "waiting"
    pool.running = True
    assert waiting.state == "running"
    assert [task.state for task in (completed, failed, cancelled)] == [
        "completed",
        "failed",
        "cancelled",
    ]
    failed.exception()


async def test_the_pool_is_told_of_a_cancellation_once() -> None:
    """Cancelling a task that has ended changes nothing and says so."""
    pool = FakePool()
    task = made(pool)
    assert task.cancel()
    assert not task.cancel()
    assert pool.cancelled == [task]
    done = made(pool)
    done._set_result(1)
    assert not done.cancel()
    assert pool.cancelled == [task]


async def test_asyncio_takes_it_without_wrapping() -> None:
    """`gather`, `wait`, `shield` and `wait_for` work on the task itself."""
    pool = FakePool()
    tasks = [made(pool) for _ in range(3)]
    assert all(asyncio.isfuture(task) and asyncio.ensure_future(task) is task for task in tasks)
    loop = asyncio.get_running_loop()
    for number, task in enumerate(tasks):
        loop.call_soon(task._set_result, number)
    assert await asyncio.gather(*tasks) == [0, 1, 2]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(made(pool), 0)
    assert len(pool.cancelled) == 1


async def test_an_error_nobody_looked_at_is_reported() -> None:
    """A forgotten failure reaches the loop's exception handler, as asyncio's own do."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    task = made(FakePool())
    task._set_exception(ValueError("forgotten"))
    del task
    gc.collect()
    assert [str(context["exception"]) for context in reported] == ["forgotten"]


async def test_its_description_names_pool_and_state() -> None:
    """What is printed of a task says which, where and how it is, also half-made."""
    assert "7" in repr(made(FakePool()))
    assert "waiting" in repr(made(FakePool()))
    assert "'fake'" in repr(made(FakePool()))
