"""`workpool.Executor`: calls, futures, map, as `ProcessPoolExecutor` has them."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import operator
import os
import pickle
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate
from workpool import Executor, PoolClosed, TaskTimeout, WorkerCrashed


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(2) as executor:
        yield executor


def test_positional_and_keyword_arguments(executor: Executor) -> None:
    """They arrive as they were given, those named like `submit`'s own among them."""
    assert executor.submit(pow, 2, 8).result() == 256
    assert executor.submit(children.given, 1, fn=3, self=4).result() == ((1,), {"fn": 3, "self": 4})
    assert executor.submit(int, "ff", base=16).result() == 255


def test_the_arguments_of_a_process_pool_executor_are_taken() -> None:
    """In its order; `mp_context` changes nothing."""
    context = multiprocessing.get_context("spawn")
    with Executor(1, context, os.putenv, ("A", "b"), max_tasks_per_child=2) as executor:
        pids = [executor.submit(os.getpid).result() for _ in range(4)]
        assert len(set(pids)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_workers": 0}, "max_workers must be greater than 0"),
        ({"max_tasks_per_child": 0}, "max_tasks_per_child must be >= 1"),
        ({"timeout": -1}, "timeout"),
        ({"max_tasks_per_child": 1, "mp_context": multiprocessing.get_context("fork")}, "fork"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """With the errors, and the words, of a ProcessPoolExecutor."""
    with pytest.raises(ValueError, match=message):
        Executor(**arguments)
    with pytest.raises(TypeError, match="callable"):
        Executor(initializer="no")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="integer"):
        Executor(max_tasks_per_child="2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"mp_context.*get_context.*'fork'"):
        Executor(mp_context="fork")  # type: ignore[arg-type]


def test_an_exception_arrives_as_itself(executor: Executor) -> None:
    """With the traceback of the worker as its cause; `SystemExit` too."""
    with pytest.raises(ValueError, match="no") as caught:
        executor.submit(children.raise_value_error, "no").result()
    assert "in raise_value_error" in str(caught.value.__cause__)
    assert isinstance(executor.submit(children.raise_error, SystemExit).exception(), SystemExit)


def test_pickling_errors_are_on_the_future(executor: Executor) -> None:
    """Of function, argument and result, either way; nothing else is disturbed."""
    bad: list[futures.Future[Any]] = [
        executor.submit(threading.Lock().acquire),
        executor.submit(id, threading.Lock()),
        executor.submit(threading.Lock),
        executor.submit(id, children.Unpicklable()),
    ]
    assert all(isinstance(future.exception(), pickle.PicklingError) for future in bad)
    assert executor.submit(pow, 2, 3).result() == 8


def test_a_crash_fails_one_call(executor: Executor) -> None:
    """With an error that is also a BrokenProcessPool; calls before, beside and after it are done."""
    others = [executor.submit(pow, 2, n) for n in range(20)]
    crashed = executor.submit(os._exit, 3)
    others += [executor.submit(pow, 2, n) for n in range(20, 40)]
    assert isinstance(crashed.exception(), WorkerCrashed)
    assert isinstance(crashed.exception(), BrokenProcessPool)
    assert [future.result() for future in others] == [2**n for n in range(40)]
    assert executor.submit(pow, 2, 3).result() == 8


def test_submitting_from_threads_and_callbacks(executor: Executor) -> None:
    """Any thread may submit, and a done callback may go on with the result."""
    ended: futures.Future[int] = futures.Future()

    def square_again(future: futures.Future[int]) -> None:
        value = future.result()
        if value > 1_000_000:
            ended.set_result(value)
        else:
            executor.submit(pow, value, 2).add_done_callback(square_again)

    executor.submit(pow, 2, 1).add_done_callback(square_again)
    with futures.ThreadPoolExecutor(4) as threads:
        sums = threads.map(lambda n: sum(executor.map(abs, range(-n, 0))), range(50))
        assert list(sums) == [n * (n + 1) // 2 for n in range(50)]
    assert ended.result(20) == 2**32


def test_under_an_event_loop(executor: Executor) -> None:
    """`run_in_executor` awaits its calls."""

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, abs, -n) for n in range(50)]
        return [await call for call in calls]

    assert asyncio.run(main()) == list(range(50))


def test_wait_and_as_completed(executor: Executor) -> None:
    """The functions of `concurrent.futures` take its futures."""
    calls = [executor.submit(pow, 2, n) for n in range(20)]
    assert futures.wait(calls, timeout=20).not_done == set()
    more = [executor.submit(pow, 2, n) for n in range(20)]
    assert {f.result() for f in futures.as_completed(more, timeout=20)} == {2**n for n in range(20)}


def test_a_running_call_is_not_cancelled(gate: Gate) -> None:
    """`cancel` returns False and leaves it alone; what waits is cancelled and never runs."""
    with Executor(1) as executor:
        running = executor.submit(gate.pass_through)
        gate.arrived_blocking()
        waiting = executor.submit(gate.pass_through)
        assert running.running()
        assert not waiting.running()
        assert not running.cancel()
        assert waiting.cancel()
        assert waiting.cancelled()
        gate.open()
        assert running.result() > 0
        assert not running.cancel()
    assert gate.look() == []


def test_options_of_ours(gate: Gate, tmp_path: Path) -> None:
    """A time limit for each call, and retries."""
    with Executor(1, timeout=0.2) as executor:
        assert isinstance(executor.submit(gate.pass_through).exception(), TaskTimeout)
    with Executor(1, retries=2, name="again") as executor:
        assert executor.submit(children.fail_the_first_times, str(tmp_path), 2).result() == 2


def test_a_future_keeps_nothing_but_its_result(executor: Executor) -> None:
    """Not the arguments, nor the function: they may be large."""
    thing = children.Doubler()
    reference = weakref.ref(thing)
    future = executor.submit(functools.partial(operator.is_, thing), thing)
    del thing
    assert future.result() in (True, False)
    deadline = time.monotonic() + 20
    while reference() is not None:
        assert time.monotonic() < deadline


# map


@pytest.mark.parametrize("chunksize", [1, 3, 50, 1000])
@pytest.mark.parametrize("buffersize", [None, 1, 4])
def test_map(executor: Executor, chunksize: int, buffersize: int | None) -> None:
    """Results in order, of several iterables side by side, in chunks or not."""
    results = executor.map(pow, range(40), range(50), chunksize=chunksize, buffersize=buffersize)
    assert list(results) == [n**n for n in range(40)]


def test_map_submits_at_once_or_as_far_as_it_may(executor: Executor, tmp_path: Path) -> None:
    """Without `buffersize` everything, before any result is asked for; with it, no more than that."""
    read: list[int] = []

    def numbers(count: int) -> Iterator[int]:
        for number in range(count):
            read.append(number)
            yield number

    executor.map(abs, numbers(100))
    assert len(read) == 100
    read.clear()
    results = executor.map(abs, numbers(100), buffersize=5)
    assert len(read) == 5
    assert next(results) == 0
    assert len(read) == 6


def test_map_raises_in_the_place_of_the_call(executor: Executor) -> None:
    """And ends; what has not begun is cancelled."""
    results = executor.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert [next(results), next(results)] == [(0, 1), (0, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_map_with_a_time_limit(executor: Executor, gate: Gate) -> None:
    """`TimeoutError` when the results are not all there in time."""
    executor.submit(abs, 1).result()
    results = executor.map(children.call, [(abs, 1), (gate.pass_through,)], timeout=1)
    assert next(results) == 1
    with pytest.raises(TimeoutError):
        next(results)
    gate.arrived_blocking()
    gate.open()
    executor.shutdown()


def test_map_refuses_what_cannot_be(executor: Executor) -> None:
    """A wrong chunk size at once."""
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(abs, [1], chunksize=0)
    with pytest.raises(TypeError, match="chunksize must be a whole number"):
        executor.map(abs, [1], chunksize=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="buffersize"):
        executor.map(abs, [1], buffersize=0)
    executor.shutdown()
    with pytest.raises(PoolClosed):
        executor.map(abs, [1])
