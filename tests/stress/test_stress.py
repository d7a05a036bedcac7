"""Many tasks, many accidents: nothing is lost, nothing is done twice, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import children, leftovers
from workpool import WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.mark.deadline(60)
async def test_many_tasks_with_kills_and_cancellations() -> None:
    """Every task ends once: with its result, cancelled by us, or crashed by one of few kills."""
    dice = random.Random(20)
    kills, count = 6, 40_000
    ends = dict.fromkeys(range(count), 0)

    def ended(_error: Any, _result: Any, task: Any) -> None:
        ends[task.argument] += 1

    async with Pool(children.double, max_workers=3) as pool:
        pool.on("task-complete", ended)
        tasks = [pool.add_task(number) for number in range(count)]
        cancelled = set(dice.sample(range(count), 2000))
        for number in cancelled:
            if dice.random() < 0.2:
                await asyncio.sleep(0)
            if not tasks[number].cancel():
                cancelled = cancelled - {number}
        killed_at = sorted(dice.sample(range(count // 20, count), kills))
        for number in killed_at:
            await asyncio.wait([tasks[number]])
            if pool.workers:
                os.kill(dice.choice(pool.workers).pid, signal.SIGKILL)
        await asyncio.wait(tasks)
        await pool.when_idle()
        crashed = 0
        for number, task in enumerate(tasks):
            if number in cancelled:
                assert task.cancelled()
            elif task.exception() is not None:
                assert isinstance(task.exception(), WorkerCrashed)
                crashed += 1
            else:
                assert task.result() == 2 * number
        assert crashed <= kills
        statistics = pool.statistics()
        assert statistics.cancelled == len(cancelled)
        assert statistics.failed == crashed
        assert statistics.completed == count - crashed - len(cancelled)
    assert set(ends.values()) == {1}


@pytest.mark.deadline(60)
async def test_tasks_begin_at_most_once_although_workers_die(tmp_path: Path) -> None:
    """Each task writes one byte; after kills no file has two, and each finished one has one."""
    dice = random.Random(21)
    async with Pool(children.call, max_workers=2) as pool:
        files = [tmp_path / str(number) for number in range(1500)]
        tasks = [pool.add_task((children.append_byte, str(file))) for file in files]
        for number in (200, 500, 900, 1300):
            await asyncio.wait([tasks[number]])
            if pool.workers:
                os.kill(dice.choice(pool.workers).pid, signal.SIGKILL)
        await asyncio.wait(tasks)
        for file, task in zip(files, tasks, strict=True):
            written = file.stat().st_size if file.exists() else 0
            assert written <= 1
            assert written == 1 or isinstance(task.exception(), WorkerCrashed)


@pytest.mark.deadline(60)
async def test_retries_complete_everything_although_workers_die() -> None:
    """With retries enough, kills at random moments fail no task at all."""
    dice = random.Random(22)
    async with Pool(children.call_async, max_workers=2, retries=10) as pool:
        tasks = [pool.add_task((children.double, number)) for number in range(8000)]
        for number in (1000, 3000, 5000, 7000):
            await asyncio.wait([tasks[number]])
            if pool.workers:
                os.kill(dice.choice(pool.workers).pid, signal.SIGKILL)
        assert await asyncio.gather(*tasks) == [2 * number for number in range(8000)]


@pytest.mark.deadline(60)
async def test_sizes_mixed_with_cancellations_and_kills() -> None:
    """Arguments of all sizes keep their contents through cancellations and kills."""
    dice = random.Random(23)
    sizes = [0, 10, 1000, 15_000, 17_000, 40_000, 300_000]
    async with Pool(children.identity, max_workers=2) as pool:
        work = [(number, bytes([number % 256]) * dice.choice(sizes)) for number in range(1500)]
        tasks = [pool.add_task(each) for each in work]
        for number, task in enumerate(tasks):
            if number % 7 == 3:
                if number % 2:
                    await asyncio.sleep(0)
                task.cancel()
            if number in (500, 1000):
                await asyncio.wait([task])
                if pool.workers:
                    os.kill(dice.choice(pool.workers).pid, signal.SIGKILL)
        await asyncio.wait(tasks)
        crashed = 0
        for each, task in zip(work, tasks, strict=True):
            if task.cancelled():
                continue
            if task.exception() is None:
                assert task.result() == each
            else:
                assert isinstance(task.exception(), WorkerCrashed)
                crashed += 1
        assert crashed <= 2
        assert await pool.add_task((0, b"x" * 300_000)) == (0, b"x" * 300_000)


@pytest.mark.deadline(60)
async def test_many_pools_after_each_other_leave_nothing() -> None:
    """Closed, killed and disposed pools give back every descriptor and process."""

    async def one(number: int) -> None:
        pool = Pool(children.double, max_workers=2)
        tasks = [pool.add_task(each) for each in range(20)]
        if number % 3 == 0:
            assert await asyncio.gather(*tasks) == [2 * each for each in range(20)]
            await pool.aclose()
        elif number % 3 == 1:
            await tasks[0]
            pool.kill()
            await asyncio.wait(tasks)
            for task in tasks:
                task.exception()
        else:
            pool.dispose()
            await asyncio.wait(tasks)
            await pool.aclose()

    await one(0)
    before = leftovers.take_census()
    for number in range(12):
        await one(number)
    assert not leftovers.wait_until_nothing_is_left(before)


@pytest.mark.deadline(60)
async def test_pools_side_by_side() -> None:
    """Several pools in one loop do not disturb each other."""

    async def one(offset: int) -> None:
        async with Pool(children.double, max_workers=2) as pool:
            results = [result async for result in pool.map(range(offset, offset + 2000))]
        assert results == [2 * number for number in range(offset, offset + 2000)]

    await asyncio.gather(*(one(10_000 * number) for number in range(4)))


@pytest.mark.deadline(60)
async def test_no_wake_up_is_lost() -> None:
    """Single tasks, bursts and pauses of every kind never leave a task waiting."""
    dice = random.Random(24)
    async with Pool(children.double, max_workers=3) as pool:
        for _ in range(1500):
            burst = dice.choice([1, 1, 1, 2, 3, 5, 20])
            slot = dice.choice([None, None, 0, 1, 2])
            tasks = [pool.add_task(number, worker=slot) for number in range(burst)]
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() / 2000)
            assert await asyncio.gather(*tasks) == [2 * number for number in range(burst)]
