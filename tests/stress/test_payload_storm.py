"""Payloads of every size and kind, both ways, beside kills: each that comes back is what was sent."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from tests import payload_children as children
from workpool import WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]

SIZES = ((0, 200), (200, 5000), (3900, 4200), (16_000, 17_000), (17_000, 300_000))
LARGE_SIZES = ((300_000, 1_048_400), (1_048_400, 1_048_700), (1_048_700, 2_000_000))
"""Around each size at which the way changes, and between them."""

ALIVE = 60
"""Tasks at a time."""


def bytes_of(dice: random.Random, size: int) -> bytes:
    return bytes([dice.randrange(256)]) * (size // 2) + dice.randbytes(min(size - size // 2, 5000))


KINDS: list[Callable[[random.Random, int], Any]] = [
    bytes_of,
    lambda dice, size: bytearray(bytes_of(dice, size)),
    lambda dice, size: chr(dice.randrange(32, 0x800)) * size,
    lambda dice, size: numpy.frombuffer(bytes_of(dice, size & ~7).ljust(size & ~7), "i8").copy(),
    lambda dice, size: [bytes_of(dice, size // 2), {"a": numpy.full(size // 16, 7), "b": "x" * 9}],
    lambda dice, size: (memoryview(bytes_of(dice, size)), dice.random(), None),
]


def payload(dice: random.Random) -> Any:
    smallest, largest = dice.choice(LARGE_SIZES if dice.random() < 0.15 else SIZES)
    return dice.choice(KINDS)(dice, dice.randint(smallest, largest))


def same(one: Any, other: Any) -> bool:
    """Whether two payloads are equal, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, numpy.ndarray):
        return numpy.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("entrypoint", ["same", "same_async"])
async def test_payloads_of_all_sizes_beside_kills(entrypoint: str) -> None:
    """Every task ends with what it was given, or lost with one of few kills; nothing is left over."""
    dice = random.Random(22)
    kills, count, crashed = 5, 800, 0
    deadly = set(dice.sample(range(100, count), kills))
    async with Pool(
        getattr(children, entrypoint),
        max_workers=3,
        worker_concurrency=1 if entrypoint == "same" else 4,
    ) as pool:
        waiting: set[asyncio.Task[bool]] = set()
        for number in range(count):
            waiting.add(asyncio.ensure_future(echo(pool, payload(dice))))
            if number in deadly and pool.workers:
                os.kill(dice.choice(pool.workers).pid, signal.SIGKILL)
            if len(waiting) > ALIVE:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                crashed += sum(not task.result() for task in done)
        crashed += sum(not survived for survived in await asyncio.gather(*waiting))
        await pool.when_idle()
        assert crashed <= kills * (1 if entrypoint == "same" else 4)
        assert pool._engine is not None
        dispatcher = pool._engine.dispatcher
        assert dispatcher.arena.records == 0
        assert all(locker.empty for locker in dispatcher.lockers)


async def echo(pool: Pool, value: Any) -> bool:
    """Send something there and back; return whether it survived."""
    try:
        came = await pool.add_task(value)
    except WorkerCrashed:
        return False
    assert same(came, value), f"{type(value).__name__} came back as another"
    return True
