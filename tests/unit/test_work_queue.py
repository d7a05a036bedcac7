"""`WorkQueue`: a source that is fed by hand."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from workpool import WorkQueue


async def settle() -> None:
    """Let everything that is ready run to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_items_come_in_order_and_end_after_close() -> None:
    """What was given and added before the close is all there is."""
    queue = WorkQueue(1, 2)
    queue.add(3, 4)
    queue.close()
    assert len(queue) == 4
    assert [item async for item in queue] == [1, 2, 3, 4]
    assert len(queue) == 0


async def test_an_empty_queue_waits() -> None:
    """The iteration sleeps until an item or the end comes."""
    queue: WorkQueue[int] = WorkQueue()
    got: list[int] = []

    async def consume() -> None:
        async for item in queue:
            got.append(item)  # noqa: PERF401 - seen as they come

    consumer = asyncio.ensure_future(consume())
    await settle()
    for item in range(3):
        queue.add(item)
        await settle()
        assert got[-1] == item
    queue.close()
    await consumer


def test_it_says_what_it_is() -> None:
    """How many items wait, and whether more may come."""
    queue = WorkQueue(1, 2)
    assert repr(queue) == "<WorkQueue open, 2 waiting>"
    queue.close()
    assert repr(queue) == "<WorkQueue closed, 2 waiting>"


async def test_throw_ends_the_iteration_after_the_items() -> None:
    """The error comes in the place of the end, for every iterator and every time."""
    queue = WorkQueue("a")
    queue.throw(ValueError("no more"))
    assert queue.closed
    assert await anext(queue) == "a"
    for _ in range(2):
        with pytest.raises(ValueError, match="no more"):
            await anext(queue)


async def test_throw_takes_only_what_can_end_an_iteration() -> None:
    """Anything else is refused and changes nothing; an error that counts as false is an error."""

    class Falsy(Exception):
        def __bool__(self) -> bool:
            return False

    queue: WorkQueue[int] = WorkQueue()
    wrong: list[Any] = [5, None, ValueError, StopIteration(), StopAsyncIteration()]
    for error in wrong:
        with pytest.raises(TypeError, match=r"throw\(\) takes an exception|use close\(\)"):
            queue.throw(error)
    assert not queue.closed
    queue.throw(Falsy())
    with pytest.raises(Falsy):
        await anext(queue)


async def test_a_closed_queue_stays_closed() -> None:
    """Adding after the end is the caller's mistake; closing twice is not."""
    queue: WorkQueue[int] = WorkQueue()
    queue.close()
    queue.close()
    assert queue.closed
    with pytest.raises(RuntimeError, match="close"):
        queue.add(1)
    with pytest.raises(StopAsyncIteration):
        await anext(queue)


async def test_every_item_goes_to_one_iterator() -> None:
    """Several consumers share the items, none is seen twice or lost."""
    queue: WorkQueue[int] = WorkQueue()
    got: list[int] = []

    async def consume() -> None:
        async for item in queue:
            got.append(item)
            await asyncio.sleep(0)

    consumers = [asyncio.ensure_future(consume()) for _ in range(3)]
    for item in range(50):
        queue.add(item)
        if item % 7 == 0:
            await settle()
    queue.close()
    await asyncio.gather(*consumers)
    assert sorted(got) == list(range(50))


async def test_a_cancelled_consumer_loses_nothing() -> None:
    """An item that a consumer was woken for, and cancelled before it took it, wakes another."""
    queue: WorkQueue[int] = WorkQueue()
    first = asyncio.ensure_future(anext(queue))
    second = asyncio.ensure_future(anext(queue))
    await settle()
    queue.add(1)
    first.cancel()
    assert await second == 1
    assert first.cancelled()


async def test_closing_wakes_everybody() -> None:
    """No consumer sleeps on after the end."""
    queue: WorkQueue[int] = WorkQueue()
    waiting = [asyncio.ensure_future(anext(queue, None)) for _ in range(3)]
    await settle()
    queue.close()
    assert await asyncio.gather(*waiting) == [None, None, None]


async def consume_all(queue: WorkQueue[int]) -> list[int]:
    return [item async for item in queue]


def test_it_is_fed_and_read_in_any_thread() -> None:
    """Several threads feed several loops; each item goes to one of them, and nobody sleeps on."""
    queue: WorkQueue[int] = WorkQueue()

    def feed(start: int) -> None:
        for item in range(start, start + 500):
            queue.add(item)

    with ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(asyncio.run, consume_all(queue)) for _ in range(2)]
        list(threads.map(feed, range(0, 1500, 500)))
        queue.close()
        assert sorted(readers[0].result() + readers[1].result()) == list(range(1500))


async def test_another_thread_wakes_who_waits() -> None:
    """Each item by itself, and the end."""
    queue: WorkQueue[int] = WorkQueue()
    for item in range(3):
        reading = asyncio.ensure_future(anext(queue))
        await settle()
        threading.Thread(target=queue.add, args=(item,)).start()
        assert await reading == item
    reading = asyncio.ensure_future(anext(queue, -1))
    await settle()
    threading.Thread(target=queue.close).start()
    assert await reading == -1


async def test_who_is_cancelled_when_another_thread_wakes_it_passes_that_on() -> None:
    """The item is on its way to the one, who does not wait any more; the other gets it."""
    queue: WorkQueue[int] = WorkQueue()
    first = asyncio.ensure_future(anext(queue))
    second = asyncio.ensure_future(anext(queue))
    await settle()
    feeder = threading.Thread(target=queue.add, args=(1,))
    feeder.start()
    feeder.join()
    first.cancel()
    assert await second == 1
    assert first.cancelled()


async def test_a_loop_that_has_ended_takes_nothing() -> None:
    """An iterator that was left waiting in it is passed over."""
    queue: WorkQueue[int] = WorkQueue()

    def leave_waiting() -> None:
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(queue._wait())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]

    await asyncio.to_thread(leave_waiting)
    reading = asyncio.ensure_future(anext(queue))
    await settle()
    queue.add(1)
    assert await reading == 1
