"""Async sources that give nothing for now, when the pool that reads them ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import PoolClosed, WorkerPool, WorkQueue, sync

Pool = WorkerPool[Any, Any]
Work = tuple[Any, ...]
FIRST = (children.double, 1)


class Endless:
    """A source that gives one item, and then nothing; notes that it was left."""

    def __init__(self) -> None:
        self.left = False

    async def __aiter__(self) -> AsyncIterator[Work]:
        try:
            yield FIRST
            await asyncio.get_running_loop().create_future()
        finally:
            self.left = True


@pytest.mark.parametrize("how", ["kill", "dispose", "aclose"])
@pytest.mark.parametrize("method", ["map", "map_unordered", "process"])
async def test_the_end_of_the_pool_ends_the_reading(method: str, how: str) -> None:
    """Whoever waits gets `PoolClosed` at once, after the results; the source is left.

    Items travel in chunks in `map`, here, and one by one otherwise.
    """
    pool = Pool(call, max_workers=1)
    source, queue = Endless(), WorkQueue(FIRST)
    came: list[Any] = []
    both = asyncio.Barrier(3)

    async def consume(source: Any) -> None:
        if method == "process":
            await pool.process(source, on_complete=lambda event: note(event.result))
        else:
            options = {"timeout": 60} if method == "map_unordered" else {}
            async for result in getattr(pool, method)(source, **options):
                await note(result)

    async def note(result: Any) -> None:
        came.append(result)
        await both.wait()

    consumers = [asyncio.create_task(consume(each)) for each in (source, queue)]
    await both.wait()
    ending = asyncio.create_task(pool.aclose()) if how == "aclose" else getattr(pool, how)()
    for consumer in consumers:
        with pytest.raises(PoolClosed, match="still open"):
            await asyncio.wait_for(consumer, 20)
    assert (came, source.left) == ([2, 2], True)
    await (ending or pool.aclose())


async def test_a_source_that_ends_with_the_pool_is_no_open_one(gate: Gate) -> None:
    """Closed in the same moment, or ended by the last task's end, it has ended by itself."""

    async def asking() -> AsyncIterator[Work]:
        yield FIRST
        assert await pool.add_task((gate.pass_through,))

    pool = Pool(call, max_workers=1)
    queue = WorkQueue(FIRST)
    runs = [asyncio.create_task(pool.process(source)) for source in (queue, asking())]
    await gate.arrived()
    queue.close()
    pool.dispose()
    gate.open()
    summaries = await asyncio.gather(*runs)
    assert [summary.completed for summary in summaries] == [1, 1]
    with pytest.raises(PoolClosed):
        await pool.process(WorkQueue())
    await pool.aclose()


@pytest.mark.parametrize("how", ["kill", "dispose", "close"])
@pytest.mark.parametrize("method", ["map", "process"])
def test_another_thread_ends_the_pool(
    method: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An iterator of a blocking pool raises `PoolClosed`; nothing is logged, also when one is dropped later."""
    caplog.set_level(logging.INFO)
    pool = sync.WorkerPool[Any, Any](call, max_workers=1)
    has_first = threading.Event()
    errors: list[BaseException] = []

    def consume() -> None:
        try:
            if method == "process":
                pool.process(WorkQueue(FIRST), on_complete=lambda _: has_first.set())
            for _ in pool.map(WorkQueue(FIRST)):
                has_first.set()
        except PoolClosed as error:
            errors.append(error)

    left = pool.map(WorkQueue(FIRST))
    assert next(left) == 2
    consumer = threading.Thread(target=consume)
    consumer.start()
    assert has_first.wait(20)
    getattr(pool, how)()
    consumer.join(20)
    assert len(errors) == 1
    del left
    pool.close()
    assert caplog.records == []
