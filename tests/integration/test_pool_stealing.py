"""No task waits while a worker is idle: whoever is free takes what lies in anybody's queue."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, start_all
from workpool import WorkerHandle, WorkerPool

Pool = WorkerPool[Any, Any]


def worker_of(pool: Pool, pid: int) -> WorkerHandle:
    [found] = [worker for worker in pool.workers if worker.pid == pid]
    return found


@pytest.mark.parametrize("hold", ["pass_holding_gil", "pass_through"])
async def test_tasks_are_stolen_from_a_worker_that_cannot_move(gate: Gate, hold: str) -> None:
    """Tasks in the queue of a worker inside a C call that holds its GIL run in another one."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        stuck = pool.add_task((getattr(gate, hold),))
        [pid] = await gate.arrived()
        victim = worker_of(pool, pid)
        [thief] = [worker for worker in pool.workers if worker is not victim]
        stolen_before = thief.tasks_stolen
        tasks = [pool.add_task((os.getpid,), worker=victim) for _ in range(50)]
        assert set(await asyncio.gather(*tasks)) == {thief.pid}
        assert thief.tasks_stolen - stolen_before == 50
        assert pool.statistics().steals >= 50
        assert not stuck.done()
        assert victim.state == "busy"
        gate.open()
        assert await stuck == pid


async def test_lone_tiny_tasks_are_stolen_from_a_worker_that_cannot_let_go_of_the_last(
    gate: Gate,
) -> None:
    """It has reported that task, so it passes for free; who sleeps is woken when it does not begin the next."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        await asyncio.gather(*(pool.add_task((children.double, n)) for n in range(2000)))
        assert await pool.add_task((type, children.Lingering(gate)))
        [stuck] = await gate.arrived()
        for _ in range(20):
            assert await pool.add_task((os.getpid,)) != stuck
        gate.open()


async def test_everybody_works_although_all_was_given_to_one(gate: Gate) -> None:
    """Tasks addressed to one worker's queue keep every other worker busy at the same time."""
    async with Pool(call, max_workers=4) as pool:
        await start_all(pool, gate, 4)
        for slot in (0, 1, 2, 3, 0, 1, 2, 3):
            tasks = [pool.add_task((gate.pass_through,), worker=slot) for _ in range(6)]
            assert len(set(await gate.arrived(4))) == 4
            gate.open(6)
            await gate.arrived(2)
            await asyncio.gather(*tasks)


async def test_long_tasks_do_not_wait_behind_each_other(gate: Gate) -> None:
    """Tasks that were believed to be tiny and turn out long are spread over idle workers."""
    async with Pool(call, max_workers=3) as pool:
        await start_all(pool, gate, 3)
        await asyncio.gather(*(pool.add_task((children.double, n)) for n in range(2000)))
        tasks = [pool.add_task((gate.pass_through,)) for _ in range(3)]
        assert len(set(await gate.arrived(3))) == 3
        gate.open(3)
        await asyncio.gather(*tasks)


async def test_tiny_tasks_do_not_wait_behind_a_long_one(gate: Gate, other_gate: Gate) -> None:
    """All of many tiny tasks end while a long one that was added before them runs."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, other_gate, 2)
        tiny = [pool.add_task((children.double, number)) for number in range(500)]
        long = pool.add_task((gate.pass_through,))
        tiny += [pool.add_task((children.double, number)) for number in range(500, 3000)]
        await gate.arrived()
        assert await asyncio.gather(*tiny) == [2 * number for number in range(3000)]
        assert not long.done()
        gate.open()
        await long


async def test_a_tiny_task_added_while_all_but_one_are_busy(gate: Gate, other_gate: Gate) -> None:
    """Wherever a task is put, the one idle worker runs it."""
    async with Pool(call, max_workers=3) as pool:
        await start_all(pool, other_gate, 3)
        long = [pool.add_task((gate.pass_through,)) for _ in range(2)]
        busy = set(await gate.arrived(2))
        for slot in (None, 0, 1, 2):
            for _ in range(5):
                assert await pool.add_task((os.getpid,), worker=slot) not in busy
        gate.open(2)
        assert set(await asyncio.gather(*long)) == busy


async def test_queues_drain_while_the_event_loop_is_blocked(gate: Gate, other_gate: Gate) -> None:
    """What lies in the kernel's queues is run, by any worker, without the parent's help."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        stuck = pool.add_task((gate.pass_holding_gil,))
        [pid] = await gate.arrived()
        victim = worker_of(pool, pid)
        tasks = [pool.add_task((other_gate.pass_through,), worker=victim) for _ in range(10)]
        await asyncio.sleep(0)
        other_gate.open(10)
        # From here on this thread never returns to its event loop until all ten have run.
        pids = other_gate.arrived_blocking(10)
        assert len(pids) == 10
        assert pid not in pids
        assert not any(task.done() for task in tasks)
        gate.open()
        await asyncio.gather(stuck, *tasks)


async def test_nobody_idles_while_the_event_loop_is_blocked(gate: Gate, other_gate: Gate) -> None:
    """Both workers take from what was queued before the loop was blocked, at the same time."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        tasks = [pool.add_task((other_gate.pass_through,)) for _ in range(4)]
        await asyncio.sleep(0)
        assert len(set(other_gate.arrived_blocking(2))) == 2
        other_gate.open(4)
        other_gate.arrived_blocking(2)
        await asyncio.gather(*tasks)


async def test_a_worker_that_becomes_idle_looks_for_work(gate: Gate, other_gate: Gate) -> None:
    """A worker that ends its task while another's queue is full helps at once."""
    async with Pool(call, max_workers=2) as pool:
        await start_all(pool, gate, 2)
        stuck = pool.add_task((gate.pass_through,))
        [stuck_pid] = await gate.arrived()
        held = pool.add_task((other_gate.pass_through,))
        [free_pid] = await other_gate.arrived()
        tasks = [pool.add_task((os.getpid,), worker=worker_of(pool, stuck_pid)) for _ in range(20)]
        await asyncio.sleep(0)
        other_gate.open()
        assert set(await asyncio.gather(*tasks)) == {free_pid}
        assert not stuck.done()
        gate.open()
        assert (await stuck, await held) == (stuck_pid, free_pid)


async def test_tasks_queued_for_a_starting_worker_are_not_kept_from_others(
    tmp_path: Path, gate: Gate, other_gate: Gate
) -> None:
    """While one worker hangs in its start hook, the other does all the work."""

    def start(client: Any) -> None:
        if client.worker_id == 1:
            gate.pass_through()

    form: Any = children.with_start_hook(call, start)
    async with Pool(form, max_workers=2) as pool:
        first = pool.add_task((os.getpid,))
        pid = await first
        pool.resize_up_to(2)
        await gate.arrived()
        tasks = [pool.add_task((os.getpid,)) for _ in range(100)]
        tasks += [pool.add_task((os.getpid,), worker=1) for _ in range(20)]
        assert set(await asyncio.gather(*tasks)) == {pid}
        gate.open()


async def test_async_workers_steal_from_each_other(gate: Gate) -> None:
    """A worker that runs several tasks at a time takes from the queue of one that is blocked."""
    async with Pool(children.call_async, max_workers=2, worker_concurrency=2) as pool:
        tasks = [pool.add_task((gate.pass_async,)) for _ in range(4)]
        pids = set(await gate.arrived(4))
        assert len(pids) == 2
        gate.open(4)
        await asyncio.gather(*tasks)
        blocking = pool.add_task((gate.pass_through,))  # blocks that worker's event loop
        [pid] = await gate.arrived()
        others = [pool.add_task((os.getpid,), worker=worker_of(pool, pid)) for _ in range(20)]
        assert set(await asyncio.gather(*others)) == pids - {pid}
        gate.open()
        assert await blocking == pid


async def test_tasks_of_a_busy_async_worker_run_at_once_elsewhere(gate: Gate) -> None:
    """As many tasks run at a time as all workers have room for, wherever they were put."""
    async with Pool(children.call_async, max_workers=2, worker_concurrency=3) as pool:
        first = [pool.add_task((gate.pass_async,)) for _ in range(6)]
        await gate.arrived(6)
        gate.open(6)
        await asyncio.gather(*first)
        tasks = [pool.add_task((gate.pass_async,), worker=0) for _ in range(9)]
        assert len(set(await gate.arrived(6))) == 2
        gate.open(9)
        await asyncio.gather(*tasks)
