"""Who waits for one tiny task after the other: the event loop's thread stays awake for the report."""

from __future__ import annotations

import asyncio

import pytest

from tests import children
from workpool import WorkerPool
from workpool._system.vigil import Vigil


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which each vigil of this process adds how many events it has seen."""
    seen: list[int] = []
    look = Vigil.look

    def counted(self: Vigil) -> list[tuple[int, int]]:
        self._pays, self._to_skip = True, 0  # whatever this machine is busy with
        events = look(self)
        seen.append(len(events))
        return events

    monkeypatch.setattr(Vigil, "look", counted)
    return seen


async def test_a_lone_tiny_task_is_awaited_awake(looks: list[int]) -> None:
    """Some of the results come so; all come."""
    async with WorkerPool(children.double, max_workers=1) as pool:
        pool_results = [await pool.add_task(number) for number in range(300)]
    assert pool_results == [2 * number for number in range(300)]
    assert len(looks) > 50


async def test_many_tasks_and_long_ones_are_not(looks: list[int]) -> None:
    """The event loop is never kept from its other work for them."""
    async with WorkerPool(children.double, max_workers=2, min_workers=2) as pool:
        await asyncio.gather(*map(pool.add_task, range(1000)))
        looks.clear()
        await asyncio.gather(*map(pool.add_task, range(100)))
        assert not looks
    async with WorkerPool(children.spin, max_workers=1) as slow:
        for _ in range(3):
            await slow.add_task(0.001)
        looks.clear()
        await slow.add_task(0.001)
    assert not looks
