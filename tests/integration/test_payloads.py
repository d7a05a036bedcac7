"""Large arguments and results: of every kind, private, and written as seldom as can be."""

from __future__ import annotations

import array
import asyncio
import os
from typing import Any

import numpy
import pytest

from tests import payload_children as children
from tests.children import call, call_async
from workpool import Executor, WorkerPool, sync
from workpool._system import parcel_writer

Pool = WorkerPool[Any, Any]

LARGE = 300_000
RETURNABLE = 1 << 18  # numbers of 8 bytes: two megabytes


def numbers(count: int = RETURNABLE) -> Any:
    return numpy.arange(count, dtype=float)


@pytest.mark.parametrize(
    "value",
    [
        b"b" * LARGE,
        bytearray(b"a" * LARGE),
        array.array("i", range(LARGE)),
        "\u00e9" * LARGE,
        memoryview(b"v" * LARGE),
        {"nested": [b"one" * LARGE, (bytearray(LARGE), b"two" * LARGE)]},
    ],
    ids=["bytes", "bytearray", "array", "text", "view", "nested"],
)
async def test_buffers_of_every_kind_travel_both_ways(value: Any) -> None:
    """Often enough that each way of pickling has its turn; small ones between them too."""
    async with Pool(children.same, max_workers=1) as pool:
        for _ in range(3):
            arrived = await pool.add_task(value)
            assert type(arrived) is type(value)
            assert arrived == value
            assert await asyncio.gather(*map(pool.add_task, ["small"] * 40)) == ["small"] * 40


async def test_arrays_arrive_writable_and_aligned() -> None:
    """Whatever stands before them in the argument; their memory is the parcel's, not a copy."""
    async with Pool(call, max_workers=1) as pool:
        for before in (1, 100, LARGE + 1):
            first: Any = numpy.zeros(before, "u1")
            work = (lambda pair: children.describe(pair[1]), [first, numbers()])
            assert await pool.add_task(work) == (True, False, True, 0)


@pytest.mark.parametrize("entrypoint", [call, call_async])
async def test_an_array_that_comes_back_unchanged_is_its_own(entrypoint: Any) -> None:
    """It equals what was sent; neither side's writes reach the other, nor what is sent next."""
    async with Pool(entrypoint, max_workers=1) as pool:
        sent = numbers()
        results = []
        for number in range(5):
            result = await pool.add_task((children.same, sent))
            assert numpy.array_equal(result, numbers())
            result[:] = number
            results.append(result)
        assert numpy.array_equal(sent, numbers())
        assert [set(result) for result in results] == [{0}, {1}, {2}, {3}, {4}]


async def test_an_array_that_was_written_to_comes_back_changed() -> None:
    """One number in a page of its own is enough to be seen."""
    async with Pool(call, max_workers=1) as pool:
        for _ in range(3):
            result = await pool.add_task((children.write_first, numbers()))
            assert result[0] == -1
            assert numpy.array_equal(result[1:], numbers()[1:])


async def test_what_a_task_keeps_is_not_written_over() -> None:
    """A worker may hold an array for ever: later arguments go elsewhere."""
    async with Pool(call, max_workers=1) as pool:
        for number in range(4):
            await pool.add_task((children.keep, numbers() + number))
            await pool.add_task((children.same, numbers()))
        kept = await pool.add_task((children.let_go, 0))
        assert [held[0] for held in kept] == [0, 1, 2, 3]
        assert all(numpy.array_equal(held - held[0], numbers()) for held in kept)


async def test_memory_of_arguments_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One array after the other is written to the same memory; an idle pool gives it back."""
    monkeypatch.setattr(parcel_writer, "IDLE_SECONDS", 0.05)
    async with Pool(call, max_workers=1) as pool:
        for number in range(5):
            assert await pool.add_task((children.first_number, numbers() + number)) == number
        assert pool._engine is not None
        writer = pool._engine.dispatcher.large.parcels
        assert 0 < writer.kept_bytes < 3 * numbers().nbytes
        while writer.kept_bytes:
            await asyncio.sleep(0.01)


async def test_without_memory_for_a_parcel_its_task_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's error; the pool goes on."""

    def no_space(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    async with Pool(call, max_workers=1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", no_space)
            with pytest.raises(OSError, match="No space"):
                await pool.add_task((children.first_number, numbers()))
        assert await pool.add_task((children.first_number, numbers())) == 0


def test_the_other_faces_send_the_same_way() -> None:
    """The blocking pool and the executor: bytes, arrays, and arrays that come back."""
    with sync.WorkerPool[Any, Any](call, max_workers=1) as pool:
        assert numpy.array_equal(pool.add_task((children.same, numbers())).result(), numbers())
    with Executor(max_workers=1) as executor:
        for value in (b"x" * LARGE, bytearray(LARGE)):
            assert executor.submit(children.same, value).result() == value
        assert executor.submit(children.write_first, numbers()).result()[0] == -1
