"""Tasks are taken back if they have not begun, and left alone if they have."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from tests.children import Gate, call
from workpool import WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]


async def begun_and_waiting(pool: Pool, gate: Gate) -> tuple[Any, Any]:
    """Return a task that runs, and one that lies in the same worker's queue or mail."""
    first = pool.add_task((Gate.pass_through, gate))
    await gate.arrived()
    second = pool.add_task((Gate.pass_through, gate))
    await asyncio.sleep(0)  # tasks are sent in the event loop's next turn
    return first, second


async def test_what_has_not_begun_is_taken_back(gate: Gate) -> None:
    """It is cancelled, never runs, and counts as cancelled; the one that runs is not disturbed."""
    async with Pool(call, max_workers=1) as pool:
        first, second = await begun_and_waiting(pool, gate)
        assert await second.withdraw() is True
        assert second.cancelled()
        gate.open()
        await first
        await pool.add_task((os.getpid,))
        assert gate.look() == []
        assert pool.statistics().cancelled == 1


async def test_what_runs_is_left_alone(gate: Gate) -> None:
    """The answer is False, and the task comes to its end as if nothing had been asked."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((Gate.pass_through, gate))
        await gate.arrived()
        assert not any(await asyncio.gather(task.withdraw(), task.withdraw()))
        gate.open()
        assert await task == pool.workers[0].pid
        assert await task.withdraw() is False


async def test_what_was_not_sent_is_taken_back_at_once(gate: Gate) -> None:
    """A task that waits in the pool is cancelled without a wait."""
    async with Pool(call, max_workers=1) as pool:
        first = pool.add_task((Gate.pass_through, gate))
        others = [pool.add_task((os.getpid,)) for _ in range(20)]
        assert await others[-1].withdraw() is True
        gate.open()
        await first
        assert len(set(await asyncio.gather(*others[:-1]))) == 1


async def test_a_withdrawal_of_a_pinned_task(gate: Gate) -> None:
    """What lies in a worker's mail is taken back as well, whatever that worker is doing."""
    async with Pool(call, max_workers=1) as pool:
        first = pool.add_task((Gate.pass_through, gate))
        await gate.arrived()
        second = pool.add_task((os.getpid,), worker=0, affinity="force")
        await asyncio.sleep(0)
        assert await second.withdraw() is True
        gate.open()
        await first


async def test_the_worker_dies_meanwhile(gate: Gate) -> None:
    """A task whose worker is killed while it is being withdrawn has not begun, and is taken back."""
    async with Pool(call, max_workers=1) as pool:
        first, second = await begun_and_waiting(pool, gate)
        withdrawal = asyncio.ensure_future(second.withdraw())
        await asyncio.sleep(0)
        os.kill(pool.workers[0].pid, signal.SIGKILL)
        assert await withdrawal is True
        with pytest.raises(WorkerCrashed):
            await first


async def test_what_has_ended_unread_is_not_taken_back(gate: Gate, other_gate: Gate) -> None:
    """A task that has left its lane while its report waits to be read has begun."""
    async with Pool(call, max_workers=1) as pool:
        engine: Any = pool._open_engine()
        first, _ = await begun_and_waiting(pool, gate)
        last = pool.add_task((Gate.pass_through, other_gate))
        withdrawal = asyncio.ensure_future(first.withdraw())
        await asyncio.sleep(0)
        attempt = engine.ledger.attempt_of(first)
        gate.open(2)
        other_gate.arrived_blocking()  # so the first is reported
        engine.withdrawals._look(first, attempt)  # as if it were time, and nothing read yet
        assert await withdrawal is False
        assert await first == pool.workers[0].pid
        other_gate.open()
        await last


async def test_one_who_waits_for_the_answer_is_cancelled(gate: Gate) -> None:
    """Others who have asked about the same task have their answer."""
    async with Pool(call, max_workers=1) as pool:
        first, second = await begun_and_waiting(pool, gate)
        waits = [asyncio.ensure_future(second.withdraw()) for _ in range(2)]
        await asyncio.sleep(0)
        waits[0].cancel()
        assert await waits[1] is True
        gate.open()
        await first


async def test_a_task_of_the_main_thread_is_left_alone() -> None:
    """One that runs in this process has begun."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((asyncio.sleep, 0, "done"), main_thread=True)
        assert await task.withdraw() is False
        assert await task == "done"
