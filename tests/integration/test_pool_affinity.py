"""Placement: affinity, learned and given costs, `tasks_per_worker`."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, once, start_all
from workpool import Task, WorkerHandle, WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.mark.parametrize("entrypoint", [call, children.call_async])
async def test_forced_tasks_run_in_their_worker_only(gate: Gate, entrypoint: Any) -> None:
    """They wait for it although others are idle, and nobody steals them."""
    async with Pool(entrypoint, max_workers=2, worker_concurrency=1) as pool:
        await start_all(pool, gate, 2)
        for worker in pool.workers:
            stuck = pool.add_task((gate.pass_through,), affinity="force", worker=worker)
            assert await gate.arrived() == [worker.pid]
            by_handle = [
                pool.add_task((os.getpid,), affinity="force", worker=worker) for _ in range(10)
            ]
            by_id = pool.add_task((os.getpid,), affinity="force", worker=worker.id)
            for _ in range(20):  # the other one is idle all the while
                assert await pool.add_task((os.getpid,)) != worker.pid
            assert not any(task.done() for task in (stuck, by_id, *by_handle))
            gate.open()
            assert set(await asyncio.gather(*by_handle, by_id)) == {worker.pid}


async def test_a_forced_task_starts_its_worker() -> None:
    """A worker that does not run yet is started for a task that names it."""
    async with Pool(children.call_with_client, max_workers=3) as pool:
        for slot in (2, 0, 1):
            task = pool.add_task((children.worker_id,), affinity="force", worker=slot)
            assert await task == slot


async def test_a_forced_task_survives_its_workers_death(gate: Gate) -> None:
    """Forced tasks that waited for a worker that died run in the one that takes its place."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        worker = pool.workers[1]
        stuck = pool.add_task((gate.pass_through,), affinity="force", worker=1)
        forced = [pool.add_task((os.getpid,), affinity="force", worker=1) for _ in range(10)]
        await gate.arrived()
        worker.kill()
        with pytest.raises(Exception, match="SIGKILL"):
            await stuck
        pids = set(await asyncio.gather(*forced))
        [replacement] = [worker for worker in pool.workers if worker.id == 1]
        assert pids == {replacement.pid} != {worker.pid}


@pytest.mark.parametrize("size", [100_000, 2_000_000])
async def test_a_forced_task_can_be_cancelled_and_carry_much(gate: Gate, size: int) -> None:
    """Forced tasks with large arguments arrive; cancelled ones never run."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        stuck = pool.add_task((gate.pass_through,), affinity="force", worker=0)
        await gate.arrived()
        settings: dict[str, Any] = {"affinity": "force", "worker": 0}
        tasks = [pool.add_task((len, b"x" * size), **settings) for _ in range(6)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        gate.open()
        await stuck
        assert await asyncio.gather(*tasks[1::2]) == [size] * 3
        await pool.when_idle()
        assert await pool.add_task((len, b"x" * size), **settings) == size


async def test_strong_tasks_stay_while_loads_are_even(gate: Gate) -> None:
    """A few tasks with strong affinity run in their worker."""
    async with Pool(call, max_workers=2, inherent_cost=lambda _task: 0.001) as pool:
        await start_all(pool, gate, 2)
        for worker in pool.workers:
            tasks = [
                pool.add_task((os.getpid,), affinity="strong", worker=worker) for _ in range(20)
            ]
            assert set(await asyncio.gather(*tasks)) == {worker.pid}


async def test_strong_tasks_move_when_loads_are_badly_uneven(gate: Gate, other_gate: Gate) -> None:
    """Much strong work behind a worker that is stuck is given to one that is idle."""
    async with Pool(call, max_workers=2, inherent_cost=lambda _task: 1.0) as pool:
        await start_all(pool, gate, 2)
        worker = pool.workers[0]
        stuck = pool.add_task((gate.pass_through,), affinity="strong", worker=worker)
        assert await gate.arrived() == [worker.pid]
        tasks = [
            pool.add_task((other_gate.pass_through,), affinity="strong", worker=worker)
            for _ in range(20)
        ]
        [pid] = await other_gate.arrived()
        assert pid != worker.pid
        other_gate.open(20)
        gate.open()
        await asyncio.gather(stuck, *tasks)


async def test_costs_are_learned_by_key(gate: Gate) -> None:
    """Tasks of a key that was slow before weigh more than those of a key that was fast."""
    async with Pool(call, max_workers=1) as pool:
        for _ in range(5):
            slow = pool.add_task((children.spin, 0.02), key="slow")
            fast = pool.add_task((children.double, 1), key="fast")
            await asyncio.gather(slow, fast)
        loads = {}
        for key in ("slow", "fast"):
            stuck = pool.add_task((gate.pass_through,), key=key)
            await gate.arrived()
            loads[key] = pool.workers[0].load
            gate.open()
            await stuck
            if key == "slow":
                assert pool.workers[0].load == 0
        assert loads["slow"] >= 0.01 > loads["fast"]


async def test_inherent_cost_is_asked_with_the_task(gate: Gate) -> None:
    """The user's estimate in seconds is the load until the key is known."""
    asked: list[Any] = []

    def cost(task: Task[Any]) -> float:
        asked.append((task.argument, task.key, task.meta))
        return 7.0

    async with Pool(call, max_workers=1, inherent_cost=cost) as pool:
        stuck = pool.add_task((gate.pass_through,), key="k", meta="m")
        await gate.arrived()
        assert asked == [((gate.pass_through,), "k", "m")]
        assert 7.0 <= pool.workers[0].load < 7.1
        gate.open()
        await stuck


async def test_worker_cost_decides_the_place(gate: Gate) -> None:
    """Placement goes to the worker whose load plus cost for the task is least."""
    asked: list[tuple[Task[Any], WorkerHandle]] = []

    def cost(task: Task[Any], worker: WorkerHandle) -> float:
        asked.append((task, worker))
        return 0.0 if worker.id == task.meta else 5.0

    async with Pool(call, max_workers=2, worker_cost=cost) as pool:
        await start_all(pool, gate, 2)
        asked.clear()
        for slot in (0, 1, 1, 0, 1):
            task = pool.add_task((gate.pass_through,), meta=slot)
            await gate.arrived()
            # Whoever runs it (anybody may steal it): the load is where it was placed.
            assert [worker.load > 0 for worker in pool.workers] == [slot == 0, slot == 1]
            gate.open()
            await task
        assert len(asked) == 10
        assert all(isinstance(worker, WorkerHandle) for _, worker in asked)


async def test_a_worker_cost_that_raises_is_reported() -> None:
    """The error reaches the loop's exception handler; the task runs all the same."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def cost(task: Task[Any], worker: WorkerHandle) -> float:
        raise LookupError("no idea")

    async with Pool(call, max_workers=1, worker_cost=cost) as pool:
        assert await pool.add_task((children.double, 4)) == 8
    assert isinstance(reported[0]["exception"], LookupError)


async def test_workers_start_when_tasks_need_them(gate: Gate) -> None:
    """No worker without work; one more for each task that finds all busy, up to the most."""
    async with Pool(call, max_workers=3) as pool:
        assert pool.workers == ()
        for _ in range(5):
            await pool.add_task((children.double, 1))
            assert len(pool.workers) == 1
        tasks = []
        for count in (1, 2, 3, 3):
            tasks.append(pool.add_task((gate.pass_through,)))
            if len(tasks) <= 3:
                await gate.arrived()
            assert len(pool.workers) == count
        gate.open(4)
        await asyncio.gather(*tasks)


async def test_tasks_per_worker_delays_the_next_worker(gate: Gate) -> None:
    """Another worker is started when pending tasks per worker exceed it, not before."""
    async with Pool(call, max_workers=3, tasks_per_worker=4) as pool:
        tasks = []
        for count in range(1, 14):
            tasks.append(pool.add_task((gate.pass_through,)))
            assert len(pool.workers) == min(3, 1 + (count - 1) // 4)
        gate.open(13)
        await asyncio.gather(*tasks)


async def test_min_workers_are_there_from_the_first_use() -> None:
    """They start without any task."""
    pool = Pool(call, max_workers=4, min_workers=2)
    assert pool.workers == ()
    async with pool:
        assert len(pool.workers) == 2


async def test_resize_up_to_starts_workers() -> None:
    """It starts as many as are missing, never more than `max_workers`, and ends none."""
    async with Pool(call, max_workers=3) as pool:
        pool.resize_up_to(2)
        first = pool.workers
        assert len(first) == 2
        pool.resize_up_to(1)
        assert pool.workers == first
        launched = once(pool, "worker-launched")
        pool.resize_up_to(99)
        assert len(pool.workers) == 3
        assert (await launched)[0] in pool.workers
        with pytest.raises(ValueError, match="n must be"):
            pool.resize_up_to(-1)
