"""`TaskLoop`: callbacks of futures that end together, which run as those of any future do."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from workpool._task_loop import TaskLoop

NAME: ContextVar[str] = ContextVar("NAME", default="nobody")


class Future(asyncio.Future[Any]):
    """What a coroutine can await, as a task of the pool."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        stand_in: Any = self._loop
        real: asyncio.AbstractEventLoop = stand_in.real
        return real


def futures_of(task_loop: TaskLoop, count: int) -> list[Future]:
    stand_in: Any = task_loop
    return [Future(loop=stand_in) for _ in range(count)]


def end_together(task_loop: TaskLoop, futures: list[Future]) -> None:
    with task_loop.together():
        for number, future in enumerate(futures):
            future.set_result(number)


def handles_made(loop: Any) -> int:
    return len(loop._ready)


async def a_turn() -> None:
    await asyncio.sleep(0)


async def test_callbacks_keep_their_order_among_themselves_and_others() -> None:
    """Those of one future, of several, and those that were scheduled before and after."""
    loop = asyncio.get_running_loop()
    seen: list[Any] = []

    def note(which: str, ended: asyncio.Future[Any]) -> None:
        seen.append((ended.result(), which))

    task_loop = TaskLoop(loop)
    futures = futures_of(task_loop, 3)
    for future in futures:
        for which in "ab":
            future.add_done_callback(partial(note, which))
    loop.call_soon(seen.append, "before")
    end_together(task_loop, futures)
    loop.call_soon(seen.append, "after")
    assert seen == []
    await a_turn()
    assert seen == [
        "before",
        *((number, which) for number in range(3) for which in "ab"),
        "after",
    ]


async def test_one_handle_for_all_but_in_debug_mode() -> None:
    """There each callback is timed by itself."""
    loop = asyncio.get_running_loop()
    task_loop = TaskLoop(loop)

    def handles() -> int:
        futures = futures_of(task_loop, 5)
        for future in futures:
            future.add_done_callback(lambda _: None)
        before = handles_made(loop)
        end_together(task_loop, futures)
        return handles_made(loop) - before

    assert handles() == 1
    loop.set_debug(True)
    assert handles() == 5
    loop.set_debug(False)
    await a_turn()


async def test_nothing_is_scheduled_for_futures_nobody_waits_for() -> None:
    """Nor is a handle made when none has ended."""
    loop = asyncio.get_running_loop()
    task_loop = TaskLoop(loop)
    before = handles_made(loop)
    end_together(task_loop, futures_of(task_loop, 3))
    end_together(task_loop, [])
    assert handles_made(loop) == before


async def test_outside_it_is_the_event_loop_itself() -> None:
    """A future that ends alone costs no more than with the event loop."""
    loop = asyncio.get_running_loop()
    task_loop = TaskLoop(loop)
    assert task_loop.call_soon == loop.call_soon
    end_together(task_loop, futures_of(task_loop, 1))
    assert task_loop.call_soon == loop.call_soon
    with pytest.raises(ZeroDivisionError), task_loop.together():
        raise ZeroDivisionError
    assert task_loop.call_soon == loop.call_soon


async def test_what_ended_before_an_error_is_called_back() -> None:
    """Whatever ends the block."""
    task_loop = TaskLoop(asyncio.get_running_loop())
    [future] = futures_of(task_loop, 1)
    seen: list[Future] = []
    future.add_done_callback(seen.append)
    with pytest.raises(ZeroDivisionError), task_loop.together():
        future.set_result(None)
        raise ZeroDivisionError
    await a_turn()
    assert seen == [future]


async def test_each_callback_has_its_own_context() -> None:
    """That of who added it; what one sets, no other sees."""
    task_loop = TaskLoop(asyncio.get_running_loop())
    futures = futures_of(task_loop, 3)
    seen: list[str] = []

    def note(_: Future) -> None:
        seen.append(NAME.get())
        NAME.set("changed")

    for name, future in zip(("Ada", "Grace", "Ada"), futures, strict=True):
        token = NAME.set(name)
        future.add_done_callback(note)
        NAME.reset(token)
    end_together(task_loop, futures)
    await a_turn()
    assert seen == ["Ada", "Grace", "Ada"]
    assert NAME.get() == "nobody"


async def test_what_a_callback_raises_goes_to_the_exception_handler() -> None:
    """The others are called all the same."""
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    seen: list[Future] = []
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    task_loop = TaskLoop(loop)
    futures = futures_of(task_loop, 3)

    def fail(_: Future) -> None:
        raise ValueError("from a callback")

    futures[0].add_done_callback(fail)
    futures[1].add_done_callback(seen.append)
    futures[2].add_done_callback(seen.append)
    end_together(task_loop, futures)
    await a_turn()
    [problem] = problems
    assert str(problem["exception"]) == "from a callback"
    assert "fail" in problem["message"]
    assert seen == futures[1:]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_event_loop_and_loses_no_callback(
    interruption: type[BaseException],
) -> None:
    """As from any handle: whoever runs the loop again has the others called."""
    loop = asyncio.new_event_loop()
    task_loop = TaskLoop(loop)
    futures = futures_of(task_loop, 3)
    seen: list[Future] = []

    def interrupt(_: Future) -> None:
        raise interruption

    callbacks: list[Callable[[Future], object]] = [seen.append, interrupt, seen.append]
    for future, callback in zip(futures, callbacks, strict=True):
        future.add_done_callback(callback)
    end_together(task_loop, futures)
    with pytest.raises(interruption):
        loop.run_until_complete(a_turn())
    assert seen == futures[:1]
    loop.run_until_complete(a_turn())
    assert seen == [futures[0], futures[2]]
    loop.close()


async def test_coroutines_that_wait_go_on_in_the_order_of_the_ends() -> None:
    """One that is cancelled in the same turn, too."""
    task_loop = TaskLoop(asyncio.get_running_loop())
    futures = futures_of(task_loop, 4)
    seen: list[Any] = []

    async def wait(future: Future) -> None:
        try:
            seen.append(await future)
        except asyncio.CancelledError:
            seen.append("cancelled")

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(wait(future)) for future in futures]
        await a_turn()
        end_together(task_loop, futures)
        waiting[2].cancel()
    assert seen == [0, 1, "cancelled", 3]


async def test_futures_are_let_go_once_called_back() -> None:
    """Nothing here keeps them, nor what their callbacks know."""
    task_loop = TaskLoop(asyncio.get_running_loop())
    futures = futures_of(task_loop, 2)
    gone = [weakref.ref(future) for future in futures]
    for future in futures:
        future.add_done_callback(lambda _: None)
    end_together(task_loop, futures)
    await a_turn()
    await a_turn()
    del future, futures
    assert [reference() for reference in gone] == [None, None]
