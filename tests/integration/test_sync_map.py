"""`map` of the blocking pool: ordinary iterators, lazy, bounded, and gone when they are left."""

from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import Executor, WorkQueue
from workpool.sync import WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(call, max_workers=2) as pool:
        yield pool


def works(count: int) -> Iterator[Any]:
    return ((children.double, number) for number in range(count))


def test_results_in_the_sources_order(pool: Pool) -> None:
    """All of them, for sources around the buffer's size."""
    for count in (0, 1, 3, 4, 5, 500):
        assert list(pool.map(works(count), buffer=4)) == [2 * n for n in range(count)]


def test_results_as_they_come(pool: Pool, gate: Gate) -> None:
    """All of them; one that takes long does not hold up the others."""
    source = [(gate.pass_through,), *works(50)]
    results = pool.map_unordered(source, buffer=8)
    first = [next(results) for _ in range(50)]
    assert sorted(first) == [2 * n for n in range(50)]
    gate.open()
    assert list(results) == [gate.arrived_blocking()[0]]


@pytest.mark.parametrize("method", ["map", "map_unordered"])
def test_an_endless_source_is_read_as_far_as_the_buffer_goes(pool: Pool, method: str) -> None:
    """Nothing is read before the first result is asked for, and then no more than has room."""
    read = 0

    def source() -> Iterator[Any]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield children.double, number

    results = getattr(pool, method)(source(), buffer=16)
    assert read == 0
    for taken in range(1, 300):
        next(results)
        assert read <= taken + 16
    results.close()


def test_a_result_does_not_wait_for_the_whole_buffer(pool: Pool) -> None:
    """With one result there, a source is asked for two items at most before it is handed out."""
    asked: list[int] = []

    def source() -> Iterator[Any]:
        for number in range(100):
            asked.append(number)
            yield children.double, number
            if number < 4:
                pool.when_idle(20)  # so that the results so far are there

    results = pool.map(source(), buffer=64, chunksize=1)
    assert next(results) == 0
    assert asked == [0, 1]
    assert next(results) == 2
    assert len(asked) <= 4
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{}, {"timeout": 60}], ids=["chunks", "single"])
@pytest.mark.parametrize("method", ["map", "map_unordered"])
def test_results_go_before_a_slow_source(pool: Pool, method: str, options: dict[str, Any]) -> None:
    """Such a source is not asked for anything while there is a result."""
    given = 0

    def source() -> Iterator[Any]:
        nonlocal given
        for given in range(1, 9):
            time.sleep(0.02)
            yield children.double, given

    came = []
    results = getattr(pool, method)(source(), **options)
    for result in results:
        came.append(result)
        pool.when_idle(20)
        ready, before = given - len(came), given
        came += itertools.islice(results, ready)
        assert given == before
    assert sorted(came) == [2 * number for number in range(1, 9)]


@pytest.mark.parametrize("method", ["map", "map_unordered"])
@pytest.mark.parametrize("way", ["close", "forget", "break"])
def test_leaving_early_cancels_what_is_in_flight(
    pool: Pool, gate: Gate, method: str, way: str
) -> None:
    """Closing the iterator, dropping it and leaving the loop: nothing is left running or waiting."""
    source = [(children.double, 1), *[(gate.pass_through,)] * 30]
    if way == "break":
        for _ in getattr(pool, method)(source):
            break
    else:
        results = getattr(pool, method)(source)
        next(results)
        if way == "close":
            results.close()
        del results
    gc.collect()
    pool.when_idle(20)
    assert pool.statistics().cancelled == 30


@pytest.mark.parametrize("face", ["pool", "executor"])
def test_an_iterator_serves_one_thread_at_a_time(pool: Pool, gate: Gate, face: str) -> None:
    """Another thread that asks it while the first one waits in it is told so; nothing is lost by that."""
    source = [(gate.pass_through,), *works(50)]
    with Executor(2) as executor:
        results = executor.map(call, source) if face == "executor" else pool.map(source)
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.extend(results))
        thread.start()
        gate.arrived_blocking()
        for _ in range(2):
            with pytest.raises(ValueError, match="already executing"):
                next(results)
        gate.open()
        thread.join(20)
        assert got[1:] == [2 * n for n in range(50)]


@pytest.mark.parametrize("method", ["map", "map_unordered"])
def test_the_first_failure_ends_the_iteration(pool: Pool, method: str) -> None:
    """It is raised in its place; the rest is cancelled."""
    source = [(children.double, 1), (children.raise_value_error, "third"), *works(100)]
    results = getattr(pool, method)(source, buffer=4)
    with pytest.raises(ValueError, match="third"):
        for _ in results:
            pass
    assert list(results) == []
    pool.when_idle(20)


def test_what_the_source_raises_comes_after_its_results(pool: Pool) -> None:
    """The results of all that it gave are handed out first."""

    def source() -> Iterator[Any]:
        yield from works(20)
        raise OSError("the source broke")

    came: list[int] = []
    with pytest.raises(OSError, match="the source broke"):
        came.extend(pool.map(source(), buffer=4))
    assert came == [2 * n for n in range(20)]


def test_async_sources_are_read_in_the_pools_thread(pool: Pool) -> None:
    """Async generators and work queues are sources as well; what they raise arrives."""
    threads = set()

    async def source() -> AsyncIterator[Any]:
        for work in works(10):
            threads.add(threading.current_thread().name)
            yield work
        raise OSError("the end")

    came: list[int] = []
    with pytest.raises(OSError, match="the end"):
        came.extend(pool.map(source()))
    assert came == [2 * n for n in range(10)]
    assert threads == {"workpool-workpool"}
    queue = WorkQueue(*works(10))
    queue.close()
    assert sorted(pool.map_unordered(queue)) == [2 * n for n in range(10)]


def test_several_threads_may_map_at_once(pool: Pool) -> None:
    """Each gets the results of its own source."""
    came: dict[int, list[int]] = {}

    def consume(thread: int) -> None:
        source = ((children.identity, (thread, n)) for n in range(200))
        came[thread] = [n for who, n in pool.map(source, buffer=8) if who == thread]

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == {n: list(range(200)) for n in range(4)}


def test_a_result_is_not_kept(pool: Pool) -> None:
    """An iterator holds no result that it has handed out, and no argument of it."""
    for result in pool.map([(children.make, children.Doubler)] * 20):
        reference = weakref.ref(result)
        del result
        assert reference() is None


def test_a_wrong_buffer_is_refused(pool: Pool) -> None:
    """At the call, not at the first result."""
    with pytest.raises(ValueError, match="buffer"):
        pool.map([], buffer=0)


def test_process_runs_a_whole_source(pool: Pool) -> None:
    """With its handlers called, and the failures raised together."""
    done: list[Any] = []
    summary = pool.process(works(30), on_complete=lambda event: done.append(event.result))
    assert (summary.total, summary.completed, summary.failed) == (30, 30, 0)
    assert sorted(done) == [2 * n for n in range(30)]
    with pytest.raises(ExceptionGroup):
        pool.process([(children.raise_value_error, "no")] * 2)
