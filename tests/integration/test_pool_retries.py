"""Tasks that run again after a failure: which, how often, after what pause."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests import children
from tests.children import call, once
from workpool import PoolClosed, RetryPolicy, WorkerCrashed
from workpool import WorkerPool as Pool


def begun_in(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def test_only_the_failures_a_policy_names_are_run_again(tmp_path: Path) -> None:
    """A crash is run again, an exception is not; the function is asked here, with the error."""
    asked: list[str] = []

    def crashes(error: BaseException) -> bool:
        asked.append(type(error).__name__)
        return isinstance(error, WorkerCrashed)

    async with Pool(call, max_workers=1, retries=RetryPolicy(3, on=crashes)) as pool:
        crashing = pool.add_task((children.die_the_first_times, str(tmp_path), 2))
        assert await crashing is not None
        assert crashing.attempts == 3
        with pytest.raises(ZeroDivisionError):
            await pool.add_task((children.raise_error, ZeroDivisionError))
    assert asked == ["WorkerCrashed", "WorkerCrashed", "ZeroDivisionError"]


async def test_a_policys_function_that_raises_ends_the_task_with_its_error() -> None:
    """The task's error is the outcome; a note on it tells of the function."""

    def broken(error: BaseException) -> bool:
        raise KeyError("policy")

    async with Pool(call, max_workers=1, retries=RetryPolicy(3, on=broken)) as pool:
        with pytest.raises(ZeroDivisionError) as caught:
            await pool.add_task((children.raise_error, ZeroDivisionError))
    assert any("KeyError('policy')" in note for note in caught.value.__notes__)


async def test_a_task_pauses_before_it_runs_again(tmp_path: Path) -> None:
    """The pauses are the policy's; the worker is free for others meanwhile."""
    loop = asyncio.get_running_loop()
    policy = RetryPolicy(2, backoff=0.05, factor=2)
    async with Pool(call, max_workers=1) as pool:
        started = loop.time()
        task = pool.add_task((children.fail_the_first_times, str(tmp_path), 2), retries=policy)
        assert await pool.add_task((children.double, 1)) == 2
        await task
        assert task.attempts == 3
        assert loop.time() - started >= 0.15


@pytest.mark.parametrize("ending", ["cancel", "kill"])
async def test_a_pausing_task_can_be_ended(tmp_path: Path, ending: str) -> None:
    """Cancelled or killed with its pool while it waits for its next run, it never runs again."""
    policy = RetryPolicy(5, backoff=3600)
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.fail_the_first_times, str(tmp_path), 5), retries=policy)
        while not task.attempts:
            await pool.add_task((children.double, 1))
        assert (task.state, pool.is_idle, pool.statistics().waiting) == ("waiting", False, 1)
        if ending == "cancel":
            task.cancel()
            await pool.when_idle()
            assert task.state == "cancelled"
        else:
            pool.kill()
            with pytest.raises(PoolClosed):
                await task
    assert begun_in(tmp_path) == 1


async def test_closing_waits_for_a_pausing_task(tmp_path: Path) -> None:
    """What was added is finished, its further runs included, though every worker may be gone."""
    policy = RetryPolicy(2, backoff=0.1, factor=1)
    async with Pool(call, max_workers=1, max_tasks_per_worker=1) as pool:
        task = pool.add_task((children.fail_the_first_times, str(tmp_path), 2), retries=policy)
    assert task.state == "completed"


async def test_a_task_forced_to_a_worker_comes_back_to_it(tmp_path: Path) -> None:
    """The worker may have ended while it paused: it is started for the task."""
    policy = RetryPolicy(1, backoff=0.05)
    async with Pool(call, max_workers=2) as pool:
        task = pool.add_task(
            (children.fail_the_first_times, str(tmp_path), 1),
            retries=policy,
            affinity="force",
            worker=1,
        )
        while not task.attempts:
            await asyncio.sleep(0)
        exited = once(pool, "worker-exited")
        pool.workers[0].retire()
        await exited
        await task
        assert task.worker is not None
        assert task.worker.id == 1


async def test_innocent_tasks_outlive_a_poisonous_one() -> None:
    """A task that kills every worker it meets ends after its retries; all others complete once."""
    async with Pool(call, max_workers=2) as pool:
        poison = pool.add_task((children.kill_self, signal.SIGKILL), retries=3)
        others = [pool.add_task((children.double, n)) for n in range(200)]
        with pytest.raises(WorkerCrashed) as caught:
            await poison
        assert caught.value.attempts == 4
        assert await asyncio.gather(*others) == [2 * n for n in range(200)]
        assert {task.attempts for task in others} == {1}
