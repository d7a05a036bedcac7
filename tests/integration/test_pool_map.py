"""`map` and `map_unordered`: any source, in bounded flight, ended early or by an error."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import WorkerPool, WorkQueue

Pool = WorkerPool[Any, Any]
MAPS = ["map", "map_unordered"]


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path, "second") as gate:
        yield gate


async def count_async(end: int) -> AsyncIterator[int]:
    for number in range(end):
        await asyncio.sleep(0)
        yield number


def work_queue(end: int) -> WorkQueue[int]:
    queue: WorkQueue[int] = WorkQueue()
    queue.add(*range(end))
    queue.close()
    return queue


SOURCES: list[Any] = [
    lambda: range(3000),
    lambda: list(range(3000)),
    lambda: (number for number in range(3000)),
    lambda: count_async(3000),
    lambda: work_queue(3000),
]


@pytest.mark.parametrize("source", SOURCES, ids=["range", "list", "generator", "async", "queue"])
async def test_map_keeps_the_order(source: Callable[[], Any]) -> None:
    """Results come in the order of the source, whatever kind of source it is."""
    async with Pool(children.double, max_workers=2) as pool:
        results = [result async for result in pool.map(source())]
    assert results == [2 * number for number in range(3000)]


@pytest.mark.parametrize("source", SOURCES, ids=["range", "list", "generator", "async", "queue"])
async def test_map_unordered_gives_all(source: Callable[[], Any]) -> None:
    """Every result comes exactly once, in any order."""
    async with Pool(children.double, max_workers=2) as pool:
        results = [result async for result in pool.map_unordered(source())]
    assert sorted(results) == [2 * number for number in range(3000)]


@pytest.mark.parametrize("method", MAPS)
@pytest.mark.parametrize("source", [list, lambda: count_async(0), lambda: work_queue(0)])
async def test_an_empty_source(method: str, source: Callable[[], Any]) -> None:
    """There are no results, and nothing waits."""
    async with Pool(children.double, max_workers=1) as pool:
        assert [result async for result in getattr(pool, method)(source())] == []
        assert pool.workers == ()


async def test_map_unordered_does_not_wait_for_a_slow_one(gate: Gate) -> None:
    """Results that are there come before those of earlier items that are not."""
    async with Pool(call, max_workers=2) as pool:
        source = [(gate.pass_through,), *((children.double, number) for number in range(50))]
        results = pool.map_unordered(source)
        first = [await anext(results) for _ in range(50)]
        assert sorted(first) == [2 * number for number in range(50)]
        gate.open()
        await anext(results)
        with pytest.raises(StopAsyncIteration):
            await anext(results)


@pytest.mark.parametrize("method", MAPS)
@pytest.mark.parametrize("buffer", [1, 2, 10, None])
async def test_an_endless_source(method: str, buffer: int | None) -> None:
    """No more items are taken from it than the consumer has had, plus the buffer; by default, twice."""
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number

    async with Pool(children.double, max_workers=2) as pool:
        had = 0
        async with aclosing(getattr(pool, method)(endless(), buffer=buffer)) as results:
            async for _ in results:
                had += 1
                assert taken <= had + (buffer or max(1024, had)) + 1
                if had == 3000:
                    break
        await pool.when_idle()
        assert taken <= 3000 + (buffer or 3000) + 1


@pytest.mark.parametrize("method", MAPS)
async def test_a_consumer_that_stops_reading_stops_the_source(method: str) -> None:
    """While nobody asks for results, no more than the buffer is taken."""
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number

    async with (
        Pool(children.double, max_workers=2) as pool,
        aclosing(getattr(pool, method)(endless(), buffer=20)) as results,
    ):
        await anext(results)
        await pool.when_idle()
        await asyncio.sleep(0)
        assert taken <= 22


@pytest.mark.parametrize("method", MAPS)
async def test_leaving_early_cancels_what_is_in_flight(
    gate: Gate, tmp_path: Path, method: str
) -> None:
    """After `aclose` of the iterator nothing of it runs any more, and the pool is usable."""
    files = [tmp_path / f"ran-{number}" for number in range(100)]
    source: list[tuple[Any, ...]] = [(children.double, 1), (gate.pass_through,)]
    source += [(children.first_time, str(file)) for file in files]
    async with Pool(call, max_workers=1) as pool:
        async with aclosing(getattr(pool, method)(source, chunksize=1)) as results:
            async for result in results:
                assert result == 2
                await gate.arrived()
                break
        assert await pool.add_task((children.double, 5)) == 10
        await pool.when_idle()
        assert not any(file.exists() for file in files)
        assert pool.statistics().cancelled == 101


@pytest.mark.parametrize("method", MAPS)
async def test_leaving_early_without_closing_the_iterator(gate: Gate, method: str) -> None:
    """A plain `break` cancels as well, as soon as the iterator is collected."""
    async with Pool(call, max_workers=1) as pool:
        async for _ in getattr(pool, method)([(children.double, 1)] + [(gate.pass_through,)] * 9):
            break
        await pool.when_idle()
        assert await pool.add_task((children.double, 5)) == 10


@pytest.mark.parametrize("method", MAPS)
async def test_a_source_that_raises(method: str) -> None:
    """The results before the error come, then the error."""

    def source() -> Iterator[int]:
        yield from range(10)
        raise LookupError("no more")

    async def source_async() -> AsyncIterator[int]:
        for number in range(10):
            yield number
        raise LookupError("no more")

    queue: WorkQueue[int] = WorkQueue()
    queue.add(*range(10))
    queue.throw(LookupError("no more"))
    async with Pool(children.double, max_workers=1) as pool:
        for each in (source(), source_async(), queue):
            results: list[int] = []
            with pytest.raises(LookupError, match="no more"):
                async for result in getattr(pool, method)(each):
                    results.append(result)  # noqa: PERF401 - what came before the error counts
            assert sorted(results) == [2 * number for number in range(10)]
        assert pool.is_idle


async def test_a_task_that_raises_in_a_map(gate: Gate) -> None:
    """The error is raised in its place; what was in flight is cancelled."""
    source = [
        (children.double, 1),
        (children.raise_error, LookupError, "this one"),
        *[(gate.pass_through,)] * 5,
    ]
    async with Pool(call, max_workers=1) as pool:
        results: list[int] = []
        with pytest.raises(LookupError, match="this one"):
            async for result in pool.map(source):
                results.append(result)  # noqa: PERF401 - what came before the error counts
        assert results == [2]
        await pool.when_idle()
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_task_that_raises_in_an_unordered_map(gate: Gate) -> None:
    """The error is raised when it comes; what was in flight is cancelled."""
    source = [(gate.pass_through,), (children.raise_error, LookupError, "this one")]
    async with Pool(call, max_workers=2) as pool:
        with pytest.raises(LookupError, match="this one"):
            async for _ in pool.map_unordered(source):
                pass
        await pool.when_idle()


async def test_retries_timeout_and_key_of_a_map(tmp_path: Path, gate: Gate) -> None:
    """They are those of each of its tasks."""
    keys: list[Any] = []
    async with Pool(call, max_workers=1) as pool:
        pool.on("task-complete", lambda _e, _r, task: keys.append(task.key))
        source = [(children.fail_the_first_times, str(tmp_path), 2)]
        assert [r async for r in pool.map(source, retries=2, key="k")] == [2]
        with pytest.raises(TimeoutError):
            async for _ in pool.map([(gate.pass_through,)], timeout=0.05):
                pass
    assert keys == ["k", None]


async def test_a_queue_that_is_fed_meanwhile() -> None:
    """Results come while the source is still open; closing it ends the iteration."""
    queue: WorkQueue[int] = WorkQueue()
    async with Pool(children.double, max_workers=1) as pool:
        results = pool.map(queue)
        for number in range(20):
            queue.add(number)
            assert await anext(results) == 2 * number
        waiting = asyncio.ensure_future(anext(results))
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.close()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_two_maps_share_a_pool() -> None:
    """Each gets its own results."""
    async with Pool(children.double, max_workers=2) as pool:

        async def collect(start: int) -> list[int]:
            return [result async for result in pool.map(range(start, start + 500), buffer=20)]

        first, second = await asyncio.gather(collect(0), collect(10_000))
    assert first == [2 * number for number in range(500)]
    assert second == [2 * number for number in range(10_000, 10_500)]


@pytest.mark.parametrize("method", MAPS)
async def test_a_cancelled_consumer_cancels_the_tasks(gate: Gate, method: str) -> None:
    """Cancelling who iterates ends what is in flight."""
    async with Pool(call, max_workers=1) as pool:

        async def consume() -> None:
            async for _ in getattr(pool, method)([(gate.pass_through,)] * 10):
                pass

        consuming = asyncio.ensure_future(consume())
        await gate.arrived()
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        await pool.when_idle()
        assert pool.statistics().cancelled == 10


@pytest.mark.parametrize("method", MAPS)
@pytest.mark.parametrize("buffer", [0, -1])
async def test_a_wrong_buffer_is_refused(method: str, buffer: int) -> None:
    """The error comes at the call, before anything is taken from the source."""
    async with Pool(children.double) as pool:
        with pytest.raises(ValueError, match="buffer"):
            getattr(pool, method)([1], buffer=buffer)
