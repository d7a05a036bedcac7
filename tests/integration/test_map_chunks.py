"""Chunks of a `map`: every item has the outcome it would have alone, wherever it travels."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import children, chunk_children
from tests.children import Gate, call
from tests.chunk_children import note_and_do, noted
from workpool import Entrypoint, SerializationError, WorkerPool
from workpool.sync import WorkerPool as BlockingPool

Pool = WorkerPool[Any, Any]
MAPS = ["map", "map_unordered"]

sources = st.lists(st.integers(0, 3), max_size=40)
sizes = st.one_of(st.none(), st.integers(1, 12))


def work(number: int) -> Any:
    return (children.raise_value_error, "zero") if not number else (children.double, number)


def outcomes(results: Iterator[Any]) -> list[Any]:
    """Return what an iterator gives, with the error that ends it."""
    had: list[Any] = []
    try:
        had.extend(results)
    except ValueError as error:
        had.append(str(error))
    return had


async def collected(results: Any) -> list[Any]:
    """As `outcomes`, of an asynchronous iterator."""
    had: list[Any] = []
    try:
        async for result in results:
            had.append(result)  # noqa: PERF401 - what came before an error counts
    except ValueError as error:
        had.append(str(error))
    return had


@pytest.mark.deadline(60)
def test_a_map_is_the_builtin_map() -> None:
    """Whatever the items, the chunks and the buffer: the same results, and the same error where it is raised."""
    with BlockingPool(call, max_workers=2) as pool:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(sources, sizes, st.one_of(st.none(), st.integers(1, 9)), st.booleans())
        def check(
            numbers: list[int], chunksize: int | None, buffer: int | None, lazy: bool
        ) -> None:
            items = list(map(work, numbers))
            source = iter(items) if lazy else items
            results = pool.map(source, chunksize=chunksize, buffer=buffer)
            assert outcomes(results) == outcomes(map(call, items))

        check()


async def test_the_same_in_a_loop() -> None:
    """Of lists and generators, in order and as they come, with chunks of any size."""
    items = [work(number) for number in range(1, 400)]
    expected = [2 * number for number in range(1, 400)]
    async with Pool(call, max_workers=2) as pool:
        for chunksize, source in itertools.product((None, 2, 7, 1000), (items, tuple(items), None)):
            given_source = source or (item for item in items)
            assert await collected(pool.map(given_source, chunksize=chunksize)) == expected
        assert sorted(await collected(pool.map_unordered(items, chunksize=9))) == expected
        failing = [*items[:100], work(0), *items[100:]]
        assert await collected(pool.map(failing, chunksize=9)) == [*expected[:100], "zero"]


async def test_a_chunk_is_one_task() -> None:
    """Cheap items take few tasks; as chunks are counted as their items, statistics do not show it."""
    async with Pool(children.double, max_workers=2) as pool:
        first = pool.add_task(0)
        await first
        assert await collected(pool.map(range(1000), chunksize=100)) == list(range(0, 2000, 2))
        last = pool.add_task(0)
        await last
        assert last.id - first.id == 11
        statistics = pool.statistics()
        assert (statistics.completed, statistics.waiting, statistics.failed) == (1002, 0, 0)
        assert sum(worker.tasks_completed for worker in pool.workers) == 1002


async def test_sizes_are_found_out() -> None:
    """Of cheap items many travel together, of costly ones each by itself."""
    async with Pool(call, max_workers=2) as pool:
        first = pool.add_task((abs, 0))
        await first
        cheap = await collected(pool.map([(children.double, n) for n in range(20_000)]))
        assert cheap == list(range(0, 40_000, 2))
        second = pool.add_task((abs, 0))
        await second
        assert second.id - first.id < 2000
        await collected(pool.map([(children.spin, 0.005)] * 60))
        last = pool.add_task((abs, 0))
        assert last.id - second.id == 61


@pytest.mark.parametrize("method", MAPS)
async def test_an_error_in_a_chunk(tmp_path: Path, method: str) -> None:
    """It comes with the worker's traceback, after what came before it; what is behind it is not run."""
    path = str(tmp_path / "notes")
    items: list[Any] = [(note_and_do, path, n, abs, n) for n in range(40)]
    items[30] = (note_and_do, path, 30, children.raise_value_error, "thirty")
    async with Pool(call, max_workers=1) as pool:
        had: list[Any] = []
        with pytest.raises(ValueError, match="thirty") as caught:
            async for result in getattr(pool, method)(items, chunksize=40):
                had.append(result)  # noqa: PERF401 - as above
        assert had == list(range(30))
        assert "raise_value_error" in str(caught.value.__cause__)
        assert noted(path) == list(range(31))
        assert pool.statistics().failed == 1


async def test_what_ends_an_iteration() -> None:
    """A `StopIteration` of an item does not end the chunk in silence."""
    async with Pool(chunk_children.stop_iteration, max_workers=1) as pool:
        had: list[Any] = []
        with pytest.raises(RuntimeError, match="StopIteration"):
            async for result in pool.map(range(40), chunksize=40):
                had.append(result)  # noqa: PERF401 - as above
        assert had == list(range(7))


async def test_a_result_that_cannot_be_pickled() -> None:
    """It alone fails, in its place, and is named."""
    items: list[Any] = [(children.identity, n) for n in range(20)]
    items[12] = (children.make, children.Unpicklable)
    async with Pool(call, max_workers=1) as pool:
        had: list[Any] = []
        with pytest.raises(SerializationError, match=r"the result .*Unpicklable"):
            async for result in pool.map(items, chunksize=20):
                had.append(result)  # noqa: PERF401 - as above
        assert had == list(range(12))


async def test_an_argument_that_cannot_be_pickled() -> None:
    """It alone fails, in its place; its neighbours are run."""
    items: list[Any] = [(children.identity, n) for n in range(20)]
    items[12] = (children.identity, threading.Lock())
    async with Pool(call, max_workers=2) as pool:
        had: list[Any] = []
        with pytest.raises(SerializationError, match="the argument"):
            async for result in pool.map(items, chunksize=20):
                had.append(result)  # noqa: PERF401 - as above
        assert had == list(range(12))
        assert await pool.add_task((children.double, 1)) == 2


@pytest.mark.parametrize("entrypoint", [chunk_children.task_id, chunk_children.double_async])
async def test_entrypoints_that_take_items_singly(entrypoint: Any) -> None:
    """Those that are async, or see their task, get each item as a task, whatever is asked for."""
    async with Pool(entrypoint, max_workers=2) as pool:
        had = await collected(pool.map(range(50), chunksize=10))
        assert len(set(had)) == 50
        assert pool.statistics().completed == 50


async def test_a_hook_before_each_item(tmp_path: Path) -> None:
    """A `pre_task` hook is called for every item."""
    path, module = str(tmp_path / "notes"), chunk_children.__name__
    entry = Entrypoint(module, "number_of", pre_task=chunk_children.note_before)
    async with Pool(entry, max_workers=1) as pool:
        had = await collected(pool.map([(path, n) for n in range(20)], chunksize=10))
        assert had == noted(path) == list(range(20))


async def test_coroutines_made_by_a_function() -> None:
    """A function that is not async may return coroutines, always or sometimes."""
    async with Pool(chunk_children.coroutine_for_all, max_workers=1) as pool:
        assert await collected(pool.map(range(80), chunksize=40)) == [*range(50), "50"]
    async with Pool(chunk_children.coroutine_for_some, max_workers=1) as pool:
        assert await collected(pool.map(range(40), chunksize=40)) == list(range(40))


async def test_with_listeners_each_item_is_a_task() -> None:
    """Who listens to tasks hears of every item."""
    heard: list[int] = []
    async with Pool(children.double, max_workers=2) as pool:
        pool.on("task-complete", lambda error, result, task: heard.append(result))
        await collected(pool.map(range(50), chunksize=10))
    assert sorted(heard) == list(range(0, 100, 2))


async def test_large_items_do_not_travel_in_crowds() -> None:
    """What is on its way to a result is bounded by its size as well.

    Not in order: there, small results of large items may wait for one worker that the machine keeps.
    """
    taken = 0

    def large() -> Iterator[Any]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield (len, bytes(50_000))

    had = most = 0
    async with Pool(call, max_workers=2) as pool:
        async for _ in pool.map_unordered(large()):
            had += 1
            most = max(most, taken - had)
    assert most <= 150


async def test_a_source_in_bounded_memory() -> None:
    """A million items of an endless source pass; never are more held than a fixed number."""
    source = itertools.count()
    had = most = 0
    async with Pool(children.double, max_workers=2) as pool:
        async for result in pool.map(source):
            had += 1
            if not had % 1000:
                most = max(most, int(repr(source)[6:-1]) - had)
            if had == 200_000:
                assert result == 2 * (had - 1)
                break
    assert most <= 200_000


def test_a_source_that_waits_for_what_it_has_given(gate: Gate) -> None:
    """Items that have been read are run, although the read that got them goes on."""

    def source() -> Iterator[Any]:
        for number in range(5000):
            yield (children.double, number)
        for _ in range(3):
            yield (gate.arrive,)
            gate.arrived_blocking()

    with BlockingPool(call, max_workers=2) as pool:
        assert len(list(pool.map(source()))) == 5003
        assert len(list(pool.map(source(), chunksize=100))) == 5003


async def test_an_async_source() -> None:
    """One that always has items gets them chunked; one that makes wait has each of them sent at once."""

    async def quick() -> Any:
        for number in range(3000):
            yield number

    seen = asyncio.Event()

    async def waiting() -> Any:
        yield 1
        await seen.wait()
        yield 2

    async with Pool(children.double, max_workers=2) as pool:
        assert await collected(pool.map(quick())) == list(range(0, 6000, 2))
        had = []
        async for result in pool.map(waiting(), chunksize=10):
            had.append(result)
            seen.set()
        assert had == [2, 4]


def test_wrong_chunk_sizes() -> None:
    """They are refused at the call."""
    with BlockingPool(children.double) as pool:
        wrong: Any
        for wrong, error in ((0, ValueError), (1.5, TypeError)):
            with pytest.raises(error, match="chunksize"):
                partial(pool.map, [1])(chunksize=wrong)
