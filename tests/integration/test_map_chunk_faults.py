"""Chunks of a `map` that do not come to a good end: stuck, dead, left, too long for their worker."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests import children, chunk_children
from tests.children import Gate, call
from tests.chunk_children import note_and_do, noted
from workpool import WorkerCrashed, WorkerPool
from workpool.sync import WorkerPool as BlockingPool

Pool = WorkerPool[Any, Any]
MAPS = ["map", "map_unordered"]


async def test_a_death_in_a_chunk(tmp_path: Path) -> None:
    """The first item whose result is lost raises, those before have been had, nothing is run twice."""
    path = str(tmp_path / "notes")
    items: list[Any] = [(note_and_do, path, n, abs, n) for n in range(60)]
    items[25] = (note_and_do, path, 25, children.kill_self, 9)
    async with Pool(call, max_workers=1) as pool:
        had: list[Any] = []
        with pytest.raises(WorkerCrashed, match="SIGKILL") as caught:
            async for result in pool.map(items, chunksize=10):
                had.append(result)  # noqa: PERF401 - as above
        assert had == list(range(len(had)))
        assert 20 <= len(had) <= 25
        assert "sent together" in str(caught.value)
        await pool.when_idle()
        assert len(set(noted(path))) == len(noted(path))
        assert await pool.add_task((children.double, 2)) == 4


@pytest.mark.parametrize("method", MAPS)
async def test_leaving_early(method: str) -> None:
    """What is in flight is cancelled, and the pool goes on."""
    async with Pool(children.double, max_workers=2) as pool:
        async with aclosing(getattr(pool, method)(itertools.count())) as results:
            async for result in results:
                if result > 20_000:
                    break
        await pool.when_idle()
        assert await pool.add_task(4) == 8


@pytest.mark.parametrize(("entry", "most_held"), [("pass_through", 1), ("pass_holding_gil", 64)])
async def test_a_stuck_item_lets_its_neighbours_go(
    tmp_path: Path, gate: Gate, entry: str, most_held: int
) -> None:
    """All others of its chunk are had: behind it run by an idle worker, before it taken from the tray.

    If it holds the GIL, but for its own stretch, in work for some microseconds otherwise. Nothing is run twice.
    """
    path = str(tmp_path / "notes")
    items: list[Any] = [(note_and_do, path, n, abs, n) for n in range(600)]
    items[300] = (note_and_do, path, 300, getattr(gate, entry))
    async with Pool(call, max_workers=2) as pool:
        pool.resize_up_to(2)
        await asyncio.gather(*(pool.add_task((abs, n)) for n in range(10)))
        results = pool.map_unordered(items, chunksize=600)
        rescued = [await anext(results) for _ in range(600 - most_held)]
        await gate.arrived()
        gate.open()
        others = [result async for result in results]
        assert len(rescued) + len(others) == 600
        assert noted(path) == list(range(600))


@pytest.mark.parametrize(
    ("method", "early", "late"), [("map", 150, 300), ("map_unordered", 344, 599)]
)
async def test_a_stuck_item_that_lets_its_neighbours_go_late(
    tmp_path: Path, gate: Gate, other_gate: Gate, method: str, early: int, late: int
) -> None:
    """When the GIL is free again, what is left of the stretch is had as well, in its place in the order."""
    path = str(tmp_path / "notes")
    items: list[Any] = [(abs, n) for n in range(600)]  # cheap: in stretches of up to 256
    items[301:320] = [(note_and_do, path, n, abs, n) for n in range(301, 320)]
    items[300] = (note_and_do, path, 300, chunk_children.pass_both, gate, other_gate)
    async with Pool(call, min_workers=2, max_workers=2) as pool:
        await asyncio.gather(*(pool.add_task((abs, n)) for n in range(10)))
        results = getattr(pool, method)(items, chunksize=600)
        had = [await anext(results) for _ in range(early)]
        await gate.arrived()
        gate.open()
        had += [await anext(results) for _ in range(late - early)]
        await other_gate.arrived()
        other_gate.open()
        had += [result async for result in results]
        assert (had if method == "map" else sorted(had)) == list(range(600))
        assert noted(path) == list(range(300, 320))
        assert pool.statistics().completed == 610


async def test_slow_items_in_a_row(tmp_path: Path, gate: Gate) -> None:
    """They are run by all workers at once, though they came in one chunk; the order is kept."""
    path = str(tmp_path / "notes")
    items: list[Any] = [(note_and_do, path, n, abs, n) for n in range(900)]
    slow = range(400, 440)
    for number in slow:
        items[number] = (note_and_do, path, number, gate.pass_through)
    async with Pool(call, min_workers=4, max_workers=4) as pool:
        await asyncio.gather(*(pool.add_task((abs, n)) for n in range(50)))
        results = pool.map(items, chunksize=900)
        first = asyncio.ensure_future(anext(results))
        pids = set(await gate.arrived(4))
        assert len(pids) == 4
        gate.open(len(slow))
        had = [await first, *[result async for result in results]]
        assert {n for n in range(900) if had[n] != n} == set(slow)
        assert set(had[slow.start : slow.stop]) == pids
        assert noted(path) == list(range(900))


async def test_a_death_after_a_rescue(tmp_path: Path, gate: Gate) -> None:
    """It costs the item alone whose worker had been cut off, and no result comes twice."""
    path = str(tmp_path / "notes")
    items: list[Any] = [(note_and_do, path, n, abs, n) for n in range(600)]
    items[300] = (note_and_do, path, 300, chunk_children.pass_and_die, gate)
    async with Pool(call, min_workers=2, max_workers=2) as pool:
        await asyncio.gather(*(pool.add_task((abs, n)) for n in range(10)))
        results = pool.map_unordered(items, chunksize=600)
        rescued = [await anext(results) for _ in range(599)]
        await gate.arrived()
        gate.open()
        with pytest.raises(WorkerCrashed, match="one of 600 items sent together"):
            await anext(results)
        assert sorted(rescued) == [n for n in range(600) if n != 300]
        assert noted(path) == list(range(600))
        assert (pool.statistics().completed, pool.statistics().failed) == (609, 1)


async def test_a_stuck_item_keeps_the_order(gate: Gate) -> None:
    """What others have run meanwhile comes in its place."""
    items: list[Any] = [(abs, n) for n in range(200)]
    items[10] = (gate.pass_through,)
    async with Pool(call, max_workers=2) as pool:
        results = pool.map(items, chunksize=200)
        first = asyncio.ensure_future(anext(results))
        (pid,) = await gate.arrived()
        gate.open()
        had = [await first, *[result async for result in results]]
        assert had == [*range(10), pid, *range(11, 200)]


async def test_a_workers_number_of_items_is_limited() -> None:
    """`max_tasks_per_worker` counts items: what is too much for one worker the next one runs."""
    async with Pool(chunk_children.process_id_of, max_workers=1, max_tasks_per_worker=7) as pool:
        pids = [result async for result in pool.map(range(30), chunksize=20)]
        assert sorted(Counter(pids).values()) == [2, 7, 7, 7, 7]


async def test_a_child_forked_by_an_item(tmp_path: Path) -> None:
    """It ends with its item, and does not go on with the next."""
    async with Pool(chunk_children.fork_for_five, max_workers=1) as pool:
        assert [result async for result in pool.map(range(40), chunksize=40)] == list(range(40))
    path = str(tmp_path / "notes")
    items = [(note_and_do, path, n, chunk_children.fork_for_five, n) for n in range(40)]
    async with Pool(call, max_workers=1) as pool:
        [result async for result in pool.map(items, chunksize=40)]
    assert noted(path) == list(range(40))


def test_closing_a_blocking_map() -> None:
    """Closing or dropping its iterator cancels what is in flight."""
    with BlockingPool(children.double, max_workers=2) as pool:
        results = pool.map(itertools.count())
        assert list(itertools.islice(results, 30_000)) == list(range(0, 60_000, 2))
        results.close()  # type: ignore[attr-defined]
        pool.when_idle(20)
        assert list(itertools.islice(pool.map_unordered(itertools.count()), 5))
        pool.when_idle(20)
