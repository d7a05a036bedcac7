"""Listeners, hooks and tasks that do what they like while the pool is in the middle of something."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from tests import children
from tests.children import call
from workpool import SerializationError, Task, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]


async def test_a_listener_that_adds_the_crashed_task_again() -> None:
    """Its worker is replaced once; there are never more processes than workers."""
    done = asyncio.Event()
    async with Pool(call, max_workers=2) as pool:

        def again(error: BaseException | None, _result: Any, task: Task[Any]) -> None:
            if isinstance(error, WorkerCrashed):
                pool.add_task((children.double, 4)).add_done_callback(lambda _: done.set())

        pool.on("task-complete", again)
        for _ in range(5):
            done.clear()
            with pytest.raises(WorkerCrashed):
                await pool.add_task((children.kill_self, 9))
            await done.wait()
            assert len(pool.workers) <= 2
            assert len({worker.pid for worker in pool.workers}) == len(pool.workers)


async def test_the_last_task_of_a_closing_pool_may_crash_its_worker() -> None:
    """The close ends, and the exit of the worker is told."""
    reasons: list[str] = []
    pool = Pool(call, max_workers=1)
    pool.on("worker-exited", lambda _, reason: reasons.append(reason))
    task = pool.add_task((children.kill_self, 9))
    await pool.aclose()
    await asyncio.sleep(0)  # listeners have their turn
    assert isinstance(task.exception(), WorkerCrashed)
    assert reasons == ["ended by SIGKILL"]


async def test_a_listener_that_kills_the_pool_at_the_first_failure() -> None:
    """All tasks end, also those that were being sent when the first of them failed."""
    pool = Pool(children.double, max_workers=2)
    pool.on("task-complete", lambda error, *_: pool.kill() if error else None)
    tasks = [pool.add_task(n if n != 20 else threading.Lock()) for n in range(40)]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends[20], SerializationError)
    assert len(ends) == 40
    await pool.aclose()


async def test_a_map_keeps_no_results() -> None:
    """What the consumer has had is gone: an endless source runs in bounded memory."""
    async with Pool(children.double, max_workers=2) as pool:
        for mapped in (
            pool.map(range(2000), buffer=16),
            pool.map_unordered(range(2000), buffer=16),
        ):
            seen = 0
            async for _ in mapped:
                seen += 1
                if seen == 1500:
                    gc.collect()
                    alive = sum(isinstance(thing, Task) for thing in gc.get_objects())
                    assert alive < 100


async def test_a_slow_source_lets_the_loop_go_on() -> None:
    """Results come while a source that blocks for each item is still being read."""
    read: list[int] = []

    def source() -> Any:
        for number in range(200):
            threading.Event().wait(0.002)  # a source that takes its time
            read.append(number)
            yield number

    async with Pool(children.double, max_workers=1) as pool:
        await pool.add_task(0)
        async for _ in pool.map(source()):
            assert len(read) < 200
            break


async def test_a_pinned_task_leaves_no_other_waiting_beside_an_idle_worker() -> None:
    """The task in the queue of a worker that was given another one is stolen at once."""
    async with Pool(call, max_workers=2, min_workers=2) as pool:
        await asyncio.gather(*(pool.add_task((children.identity, n), worker=n) for n in (0, 1)))
        for _ in range(10):
            light = pool.add_task((children.identity, 1), worker=0)
            pinned = pool.add_task((children.wait_for_ever,), worker=0, affinity="force")
            await light
            pinned.cancel()
            await asyncio.wait([pinned])


@pytest.mark.parametrize("size", [100_000, 1_000_000, 2_000_000])
async def test_large_arguments_fill_an_async_worker(size: int) -> None:
    """As many tasks run at a time with arguments that travel apart as with small ones."""
    async with Pool(children.together, max_workers=1, worker_concurrency=12) as pool:
        argument = b"x" * size
        tasks = [pool.add_task((12, argument)) for _ in range(12)]
        assert await asyncio.gather(*tasks) == [12] * 12


async def test_a_thread_left_by_a_task_does_not_keep_a_retired_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that does not end when it should is ended, and its slot is free."""
    monkeypatch.setattr("workpool._fleet.EXIT_GRACE", 0.2)
    async with Pool(call, max_workers=1, max_tasks_per_worker=1) as pool:
        await pool.add_task((children.leave_a_thread,))
        assert await pool.add_task((children.double, 2)) == 4
