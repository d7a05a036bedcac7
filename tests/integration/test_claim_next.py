"""A task claims the task that its worker runs next: binding, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from tests import children
from tests.children import Gate, OneWayResult, call_with_client
from workpool import Entrypoint, SerializationError, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]

LARGE = b"x" * 100_000


async def sent() -> None:
    """Let the pool send what was added: it does so in the event loop's next turn."""
    await asyncio.sleep(0)


async def test_claims_what_waits_in_its_own_queue(gate: Gate) -> None:
    """Key and argument are those of the task added next, which then runs in the same worker."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim, gate))
        await gate.arrived()
        second = pool.add_task((children.pid_with_client, "second"), key="second")
        third = pool.add_task((children.pid_with_client, "third"))
        await sent()
        gate.open()
        assert await first == ("second", (children.pid_with_client, "second"))
        assert await second == await third == pool.workers[0].pid


async def test_nothing_waits() -> None:
    """Without another task there is nothing to claim, and no wait."""
    async with Pool(call_with_client, max_workers=1) as pool:
        assert await pool.add_task((children.claim,)) is None
        assert await pool.add_task((children.claim,)) is None


async def test_claims_pinned_tasks_and_large_arguments(gate: Gate) -> None:
    """What is addressed to the worker counts as waiting; a large argument is fetched once."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim, gate))
        await gate.arrived()
        work = (children.pid_with_client, LARGE)
        pinned = pool.add_task(work, worker=0, affinity="force")
        await sent()
        gate.open()
        assert await first == (None, work)
        assert await pinned == pool.workers[0].pid


async def test_claims_from_other_queues(gate: Gate, other_gate: Gate) -> None:
    """With an empty queue of its own, a worker claims what waits behind a busy one."""
    async with Pool(call_with_client, max_workers=2, min_workers=2) as pool:
        busy = pool.add_task((children.claim_and_wait, gate), worker=0, affinity="force")
        thief = pool.add_task((children.claim, other_gate), worker=1, affinity="force")
        await asyncio.gather(gate.arrived(), other_gate.arrived())
        stolen = pool.add_task((children.pid_with_client,), worker=0)
        await sent()
        other_gate.open()
        assert await thief == (None, (children.pid_with_client,))
        assert await stolen == pool.workers[1].pid
        gate.open()
        assert await busy == -1


async def test_a_claimed_task_is_cancelled(gate: Gate) -> None:
    """It is skipped although it was claimed, and the worker goes on."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim_and_wait, gate))
        second = pool.add_task((children.pid_with_client, "second"))
        third = pool.add_task((children.pid_with_client, "third"))
        await gate.arrived()
        second.cancel()
        await sent()
        gate.open()
        assert await first == second.id
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await third == pool.workers[0].pid


async def test_a_worker_dies_with_a_claimed_task(gate: Gate) -> None:
    """The task that claimed is lost; the claimed one had not begun, and runs elsewhere, once."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim_and_wait, gate))
        second = pool.add_task((children.pid_with_client, "second"))
        [pid] = await gate.arrived()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashed):
            await first
        assert await second not in (pid, os.getpid())
        assert pool.statistics().failed == 1


async def test_a_claimed_argument_cannot_be_unpickled(gate: Gate) -> None:
    """That is the error of the task it belongs to; who claimed it sees nothing to claim."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim, gate))
        await gate.arrived()
        second = pool.add_task((children.pid_with_client, OneWayResult()))
        await sent()
        gate.open()
        assert await first is None
        with pytest.raises(SerializationError):
            await second


async def test_an_interrupted_task_has_claimed(gate: Gate) -> None:
    """The claim outlives the cancellation of the task that made it."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim_and_wait, gate))
        second = pool.add_task((children.pid_with_client, "second"))
        [pid] = await gate.arrived()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == pid


async def test_a_worker_about_to_end_claims_nothing(gate: Gate) -> None:
    """One that is asked to retire takes no more; what waits runs in its successor."""
    async with Pool(call_with_client, max_workers=1) as pool:
        first = pool.add_task((children.claim, gate))
        [pid] = await gate.arrived()
        second = pool.add_task((children.pid_with_client,))
        pool.workers[0].retire()
        await sent()
        gate.open()
        assert await first is None
        assert await second != pid


async def test_only_for_the_running_task() -> None:
    """Hooks, other threads and workers with an async entrypoint get a clear error."""
    entrypoint = Entrypoint(
        "tests.children", "call_with_client", on_worker_start=children.claim_in_hook
    )
    async with Pool(entrypoint, max_workers=1) as pool:
        assert "running task" in await pool.add_task((children.refusal,))
        assert "running task" in await pool.add_task((children.claim_in_thread,))
    async with Pool("tests.children:call_async_with_client", max_workers=1) as pool:
        with pytest.raises(RuntimeError, match="synchronous entrypoint"):
            await pool.add_task((children.claim,))
