"""Arguments in spans of the arena and results by the belt: whole, private, bounded, whatever happens."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests import payload_children as children
from tests.children import Gate, call, call_with_client
from workpool import SerializationError, WorkerCrashed, WorkerPool
from workpool._system import parcel_writer
from workpool._system.arena import RECORD_LIMIT, SPAN_LIMIT
from workpool._system.status_page import BELT_BYTES
from workpool._worker_process import WorkerProcess

Pool = WorkerPool[Any, Any]

MIDDLE = 100_000
BORDERS = (4000, 1 << 14, RECORD_LIMIT, 1 << 16, SPAN_LIMIT, BELT_BYTES)


def numbers(size: int = MIDDLE) -> Any:
    return numpy.arange(size // 8, dtype=float)


@pytest.mark.parametrize("kind", [bytes, bytearray, str, memoryview, list])
async def test_sizes_around_every_border_come_back(kind: Any) -> None:
    """One more byte or one less changes the way, and nothing else."""
    sizes = [border + more for border in BORDERS for more in range(-60, 3, 7)]
    make = {str: lambda n: "\u00e9" * (n // 2), list: lambda n: [bytes(n), "x" * 40, {"n": n}]}
    make |= {memoryview: lambda n: memoryview(bytes(n))}
    values = [make.get(kind, kind)(size) for size in sizes]
    async with Pool(children.same, max_workers=2) as pool:
        came = await asyncio.gather(*map(pool.add_task, values))
        assert came == values
        assert {type(value) for value in came} == {kind}


async def test_arrays_are_private_and_writable() -> None:
    """What a task, or who has its result, writes is seen by nobody else."""
    async with Pool(call, max_workers=1) as pool:
        sent = numbers()
        results = [await pool.add_task((children.write_first, sent)) for _ in range(4)]
        for place, result in enumerate(results):
            assert (result[0], sent[0]) == (-1, 0)
            result[:] = place
        assert [set(result) for result in results] == [{0}, {1}, {2}, {3}]


async def test_what_a_task_keeps_is_its_own() -> None:
    """Records that are written to the same memory later do not change it."""
    async with Pool(call, max_workers=1) as pool:
        for number in range(4):
            await pool.add_task((children.keep, numbers() + number))
            await pool.add_task((children.keep, memoryview(bytes([number]) * MIDDLE)))
        kept = await pool.add_task((children.let_go, 0))
        assert [held[0] for held in kept] == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_read_only_arrays_stay_read_only() -> None:
    """Although the memory they arrive in could be written to."""
    array = numbers()
    array.flags.writeable = False
    async with Pool(call, max_workers=1) as pool:
        assert "read-only" in await pool.add_task((children.try_to_write, array))
        assert not (await pool.add_task((children.same, array))).flags.writeable


async def test_many_waiting_tasks_are_objects_still(gate: Gate) -> None:
    """Thousands of megabytes wait; shared memory has what is in the queues, and no more."""
    async with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        await gate.arrived()
        argument = bytes(1_000_000)
        tasks = [pool.add_task((len, argument)) for _ in range(3000)]
        await asyncio.sleep(0)
        assert pool._engine is not None
        arena = pool._engine.dispatcher.arena
        assert os.fstat(arena.descriptor).st_blocks * 512 < 8 * SPAN_LIMIT
        for task in tasks[100:]:
            task.cancel()
        gate.open()
        await running
        assert await asyncio.gather(*tasks[:100]) == [1_000_000] * 100


async def test_results_that_nobody_reads_for_long(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the belt holds, while the event loop is blocked: they travel otherwise, in order."""
    parcels: list[bytes] = []
    receive = WorkerProcess.receive_parcel

    def count(self: WorkerProcess, number: bytes) -> tuple[int, bytes]:
        parcels.append(number)
        return receive(self, number)

    monkeypatch.setattr(WorkerProcess, "receive_parcel", count)
    async with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        await gate.arrived()
        tasks = [pool.add_task((children.filled, number, 500_000)) for number in range(20)]
        await asyncio.sleep(0)
        gate.open()
        deadline = time.monotonic() + 10
        assert pool._engine is not None
        dispatcher = pool._engine.dispatcher
        enough = dispatcher.wakeups.tokens_waiting() - BELT_BYTES // 500_000 - 3
        while dispatcher.wakeups.tokens_waiting() > enough and time.monotonic() < deadline:
            time.sleep(0.001)  # the loop is to be blocked
        await running
        results = await asyncio.gather(*tasks)
        assert results == [bytes([number]) * 500_000 for number in range(20)]
    assert parcels


async def test_a_crash_loses_its_own_large_task_alone(tmp_path: Path) -> None:
    """With retries it runs again, with the same argument; those behind it in the queue run once."""
    async with Pool(call, max_workers=1) as pool:
        path = str(tmp_path / "first")
        again = pool.add_task((children.die_the_first_time, path, numbers()), retries=1)
        behind = [pool.add_task((children.first_number, numbers() + n)) for n in range(5)]
        assert await again == 0
        assert await asyncio.gather(*behind) == [0, 1, 2, 3, 4]
        with pytest.raises(WorkerCrashed):
            await pool.add_task((children.die_the_first_time, str(tmp_path / "other"), numbers()))
        assert pool._engine is not None
        assert pool._engine.dispatcher.arena.records == 0


async def test_a_failure_that_is_tried_again_has_its_argument(tmp_path: Path) -> None:
    """The record of the first attempt is gone by then."""
    async with Pool(call, max_workers=1) as pool:
        work = (children.fail_the_first_time, str(tmp_path / "first"), numbers() + 7)
        assert await pool.add_task(work, retries=1) == 7


async def test_large_tasks_are_stolen(gate: Gate) -> None:
    """What waits behind a task that runs for long is read by the thief."""
    async with Pool(call, max_workers=2) as pool:
        stuck = pool.add_task((gate.pass_through,), worker=0, affinity="force")
        await gate.arrived()
        tasks = [pool.add_task((children.first_number, numbers() + n), worker=0) for n in range(8)]
        assert await asyncio.gather(*tasks) == list(range(8))
        gate.open()
        await stuck


async def test_cancelled_before_it_began(gate: Gate) -> None:
    """It never runs, its place is free again, and its neighbours are whole."""
    async with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        await gate.arrived()
        tasks = [pool.add_task((children.first_number, numbers() + n)) for n in range(12)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        gate.open()
        await running
        assert await asyncio.gather(*tasks[1::2]) == [1, 3, 5, 7, 9, 11]
        await pool.when_idle()
        assert await pool.add_task((len, bytes(MIDDLE))) == MIDDLE
        assert pool._engine is not None
        while pool._engine.ledger.dispatched:
            await asyncio.sleep(0.001)
        assert pool._engine.dispatcher.arena.records == 0


async def test_messages_and_errors_by_the_belt() -> None:
    """They are as large as results may be, and come in their order."""
    came: list[Any] = []
    async with Pool(call_with_client, max_workers=1) as pool:
        pool.on_message("note", lambda content, _worker: came.append(content))
        await pool.add_task((children.post_notes, [b"a" * 5000, b"b" * MIDDLE, b"c", b"d" * 5000]))
        with pytest.raises(ValueError, match="y" * 1000):
            await pool.add_task((children.raise_long, MIDDLE))
        await asyncio.sleep(0)
    assert came == [b"a" * 5000, b"b" * MIDDLE, b"c", b"d" * 5000]


async def test_threads_that_post_at_the_same_time() -> None:
    """Each body comes whole, as often as it was sent."""
    came: list[bytes] = []
    async with Pool(call_with_client, max_workers=1) as pool:
        pool.on_message("note", lambda content, _worker: came.append(content))
        await pool.add_task((children.post_from_threads, 4, 25))
        await asyncio.sleep(0)
    expected = [bytes([thread]) * (5000 + 977 * n) for thread in range(4) for n in range(25)]
    assert sorted(came) == sorted(expected)


async def test_a_result_that_cannot_be_read_gives_its_place_back() -> None:
    """Its task fails; what comes after it by the belt is whole, and the pool can be closed."""
    async with Pool(call, max_workers=1) as pool:
        for _ in range(2 * BELT_BYTES // SPAN_LIMIT):
            with pytest.raises(SerializationError, match="no way back"):
                await pool.add_task((children.unreadable, 900_000))
        assert await pool.add_task((children.filled, 7, MIDDLE)) == b"\7" * MIDDLE


async def test_shared_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle pool holds nothing of large arguments and results that have passed, and goes on after that."""
    monkeypatch.setattr(parcel_writer, "IDLE_SECONDS", 0.05)
    async with Pool(children.same, max_workers=2) as pool:
        assert pool._engine is not None
        dispatcher = pool._engine.dispatcher
        held = [dispatcher.arena.descriptor, dispatcher.page.descriptor]
        await asyncio.gather(*(pool.add_task(n) for n in range(20)))
        before = sum(os.fstat(descriptor).st_blocks for descriptor in held) * 512
        for _ in range(2):
            blocks = [bytes([n]) * 900_000 for n in range(12)]
            assert await asyncio.gather(*map(pool.add_task, blocks)) == blocks
            while (
                sum(os.fstat(descriptor).st_blocks for descriptor in held) * 512 > before + 200_000
            ):
                await asyncio.sleep(0.005)
