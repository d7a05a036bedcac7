"""A worker that is killed, or stopped, at any step of what it does costs its own task at most."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from benchmarks.syscall_sweep.account import Account, Pool
from benchmarks.syscall_sweep.tasks import ENTRYPOINTS
from benchmarks.syscall_sweep.workload import (
    STAGES,
    Stage,
    cancellation,
    quick_and_quiet,
    small_tasks,
)
from tests.fault_points import KILL, STOP, FaultPoints, all_points

pytestmark = pytest.mark.once

POINTS = [point for point in all_points() if not point.startswith("batches: ")]
"""Those of batches, which these workers with their wishes never get, have tests of their own."""

LOST = {
    "sync_loop: claimed": 0,
    "sync_loop: begun": 1,
    "sync_loop: before the call": 1,
    "sync_loop: after the call": 1,
    "sync_loop: before the next is taken": 1,
    "sync_loop: the next is taken": 1,
    "sync_loop: before the report": 1,
    "sync_loop: claimed ahead": 1,
    "sync_loop: reported": 0,
    "sync_loop: cleared": 0,
    "async_loop: claimed": 0,
    "async_loop: begun": 1,
    "async_loop: running": 1,
    "async_loop: before the call": 1,
    "async_loop: after the call": 1,
    "async_loop: before the report": 1,
    "async_loop: ended": 0,
    "async_loop: reported": 0,
    "async_loop: cleared": 0,
    "worker: pinned task taken": 0,
    "worker: parcel fetched": 1,
    "worker: before the buffers are copied": 1,
    "worker: buffers copied": 1,
    "reporter: before it is laid on the belt": 1,
    "reporter: on the belt, not reported": 1,
    "reporter: on the belt and reported": 0,
    "reporter: parcel sent, not announced": 1,
    "reporter: parcel announced": 0,
}
"""How many tasks a kill at a point of a worker with one task at a time costs."""

POINTS_OF = {
    "sync": [point for point in POINTS if not point.startswith("async_loop: ")],
    "async": [point for point in POINTS if point.startswith("async_loop: ")],
}
"""Where the workers of such an entrypoint go; the steps that are the same for both once only."""

INDEPENDENT = (small_tasks,)
"""The stages in which no task is for one worker alone."""

MAY_WAIT = 3
"""Tasks that may wait while a worker stands still: two in its lanes, one in a queue that a worker
is counted on for that seemed to be asleep."""

FAULTS = ("kill", "stop, kill", "stop, go on")


@pytest.mark.deadline(90)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_fault_at_every_point(tmp_path: Path, kind: str, fault: str) -> None:
    """Every task ends once, none runs twice, only what had begun in a killed worker is lost."""
    stages = sorted(STAGES, key=lambda stage: stage is cancellation)
    lanes = 2 if kind == "async" and fault != "kill" else 1
    with quick_and_quiet(), FaultPoints(tmp_path) as faults:
        async with Pool(
            ENTRYPOINTS[kind], max_workers=2, worker_concurrency=lanes, env=faults.environment
        ) as pool:
            account = Account(pool, tmp_path / "record", slots=2, is_async=kind == "async")
            for point in POINTS_OF[kind]:
                faults.arm(point, KILL if fault == "kill" else STOP)
                pool.resize_up_to(2)  # one that was killed at its leisure is not replaced at once
                fired = await run_until_fired(faults, account, fault, stages)
                assert fired, f"nobody came to {point}"
                await small_tasks(account)
                assert account.violations() == [], f"after a fault at {point}"
                assert account.lost() <= (lanes if account.killed else 0), point
                if lanes == 1 and account.killed:
                    assert account.lost() == LOST.get(point, account.lost()), point
                account.forget()


async def run_until_fired(
    faults: FaultPoints, account: Account, fault: str, stages: list[Stage]
) -> bool:
    """Go through the workload until the fault has happened, and to the end of that stage.

    That stage is the first of the `stages` from then on: the next point is probably reached in it.
    """
    for stage in 3 * tuple(stages):  # a theft, say, takes two that are at it at the right time
        reaction = asyncio.create_task(react(faults, account, fault, stage))
        await stage(account)
        if not faults.pending:
            await reaction
            await account.settle()
            if stage is not cancellation:  # slow, and its tasks are not lost in the same sense
                stages.remove(stage)
                stages.insert(0, stage)
            return True
        reaction.cancel()
    return False


async def react(faults: FaultPoints, account: Account, fault: str, stage: Stage) -> None:
    """Wait for the fault, and do the test's part of it."""
    pid = await faults.fired()
    if fault != "kill":
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        while stage in INDEPENDENT and len(account.pending) > MAY_WAIT:
            await asyncio.sleep(0.001)
        os.kill(pid, signal.SIGKILL if fault == "stop, kill" else signal.SIGCONT)
    if fault != "stop, go on":
        account.killed.add(pid)
        while pid in (worker.pid for worker in account.pool.workers):
            await asyncio.sleep(0.001)


def test_every_step_has_a_point() -> None:
    """There are as many points as there were, at least, and no two have one name."""
    assert len(POINTS) == len(set(POINTS)) >= 50
    assert set(LOST) <= set(POINTS)
