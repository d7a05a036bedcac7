"""Cancelling and timeouts: the task ends, what it did in its worker ends, nobody else is harmed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, call_async, once
from workpool import TaskTimeout, WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path, "second") as gate:
        yield gate


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait a whole second for tasks that will not end."""
    monkeypatch.setattr("workpool._interrupts.CANCEL_GRACE", 0.2)


async def wait_for_file(path: Path) -> str:
    """Wait until a task has written something into a file; return it."""
    while not (path.exists() and path.read_text()):
        await asyncio.sleep(0.005)  # a file cannot be waited for; the test's deadline ends this
    return path.read_text()


async def test_a_waiting_task_that_is_cancelled_never_runs(gate: Gate, tmp_path: Path) -> None:
    """Neither a task in the pool's backlog nor one in a worker's queue runs once cancelled."""
    async with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        await gate.arrived()
        files = [tmp_path / f"ran-{number}" for number in range(200)]
        tasks = [pool.add_task((children.first_time, str(file))) for file in files]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            assert task.cancel()
            assert task.cancelled()
            assert task.state == "cancelled"
        gate.open()
        assert await asyncio.gather(*tasks[1::2]) == [True] * 100
        await running
        await pool.when_idle()
        assert not any(file.exists() for file in files[::2])
        for task in tasks[::2]:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert pool.statistics().cancelled == 100


async def test_cancelling_twice_or_after_the_end_does_nothing() -> None:
    """`cancel` says whether it did anything, and a task is counted once."""
    async with Pool(children.double, max_workers=1) as pool:
        task = pool.add_task(1)
        assert task.cancel()
        assert not task.cancel()
        done = pool.add_task(2)
        assert await done == 4
        assert not done.cancel()
        statistics = pool.statistics()
        assert (statistics.cancelled, statistics.completed) == (1, 1)


@pytest.mark.parametrize("size", [100_000, 2_000_000])
async def test_large_arguments_of_cancelled_tasks_are_freed(gate: Gate, size: int) -> None:
    """Cancelled tasks with large arguments give their room back, so that others go on."""
    async with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        await gate.arrived()
        for _ in range(5):
            tasks = [pool.add_task((len, b"x" * size)) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
        gate.open()
        await running
        assert (
            await asyncio.gather(*(pool.add_task((len, b"x" * size)) for _ in range(10)))
            == [size] * 10
        )


@pytest.mark.parametrize(
    ("entrypoint", "function", "interruption"),
    [
        (call, children.pass_or_note, "TaskCancelled"),
        (call_async, children.pass_or_note_async, "CancelledError"),
    ],
    ids=["sync", "async"],
)
async def test_a_running_task_is_interrupted(
    gate: Gate, tmp_path: Path, entrypoint: Any, function: Any, interruption: str
) -> None:
    """A running sync task gets `TaskCancelled`, an async one is cancelled; the worker lives."""
    note = tmp_path / "note"
    async with Pool(entrypoint, max_workers=1) as pool:
        task = pool.add_task((function, gate, str(note)))
        behind = pool.add_task((os.getpid,))
        [pid] = await gate.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await wait_for_file(note) == interruption
        assert await behind == pid
        assert await pool.add_task((os.getpid,)) == pid
        assert pool.statistics().restarts == 0


async def test_an_interruption_between_the_bytecodes_of_python_code(
    gate: Gate, tmp_path: Path
) -> None:
    """A sync task that computes without ever blocking is interrupted as well."""
    note = tmp_path / "note"
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.spin_or_note, gate, str(note)))
        [pid] = await gate.arrived()
        task.cancel()
        assert await wait_for_file(note) == "TaskCancelled"
        assert await pool.add_task((os.getpid,)) == pid


async def test_cancelling_one_of_many_in_an_async_worker(gate: Gate, tmp_path: Path) -> None:
    """The other tasks of the same worker are not disturbed."""
    async with Pool(call_async, max_workers=1, worker_concurrency=4) as pool:
        tasks = [
            pool.add_task((children.pass_or_note_async, gate, str(tmp_path / f"note-{number}")))
            for number in range(4)
        ]
        pids = await gate.arrived(4)
        tasks[1].cancel()
        await wait_for_file(tmp_path / "note-1")
        gate.open(3)
        await asyncio.gather(*tasks[:1], *tasks[2:])
        assert await pool.add_task((os.getpid,)) == pids[0]


@pytest.mark.parametrize("how", ["swallow", "swallow_async", "pass_holding_gil"])
async def test_a_task_that_does_not_end_is_killed(
    gate: Gate, second: Gate, short_grace: None, how: str
) -> None:
    """After the grace period the worker is killed and replaced; waiting tasks go on."""
    arguments: tuple[Any, ...] = (gate, second) if how.startswith("swallow") else (gate,)
    function = Gate.pass_holding_gil if how == "pass_holding_gil" else getattr(children, how)
    entrypoint = call_async if how.endswith("async") else call
    async with Pool(entrypoint, max_workers=1, worker_concurrency=1) as pool:
        task = pool.add_task((function, *arguments))
        behind = [pool.add_task((os.getpid,)) for _ in range(20)]
        [pid] = await gate.arrived()
        exited = once(pool, "worker-exited")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        handle, reason = await exited
        assert handle.pid == pid
        assert "SIGKILL" in reason
        [after] = set(await asyncio.gather(*behind))
        assert after != pid
        assert task.cancelled()


async def test_others_in_an_async_worker_end_before_it_is_killed(
    gate: Gate, second: Gate, tmp_path: Path, short_grace: None
) -> None:
    """A worker that is to be killed for one task first lets its other tasks end."""
    with Gate(tmp_path, "third") as third:
        async with Pool(call_async, max_workers=1, worker_concurrency=2) as pool:
            stubborn = pool.add_task((children.swallow_async, gate, second))
            good = pool.add_task((third.pass_async,))
            [pid] = await gate.arrived()
            await third.arrived()
            exited = once(pool, "worker-exited")
            stubborn.cancel()
            await second.arrived()  # it has swallowed the cancellation
            while pool.workers[0].state != "retiring":
                await asyncio.sleep(0.005)  # until the grace period is over
            # Work that comes meanwhile is for the next worker.
            later = pool.add_task((os.getpid,))
            third.open()
            assert await good == pid
            handle, _ = await exited
            assert handle.pid == pid
            assert await later != pid


async def test_wait_for_interrupts(gate: Gate, tmp_path: Path) -> None:
    """`asyncio.wait_for` that gives up cancels the running task."""
    note = tmp_path / "note"
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.pass_or_note, gate, str(note)))
        [pid] = await gate.arrived()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.01)
        assert task.cancelled()
        assert await wait_for_file(note) == "TaskCancelled"
        assert await pool.add_task((os.getpid,)) == pid


async def test_leaving_a_timeout_block_interrupts(gate: Gate, tmp_path: Path) -> None:
    """`asyncio.timeout` around an awaited task cancels it."""
    note = tmp_path / "note"
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.pass_or_note, gate, str(note)))
        await gate.arrived()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await task
        assert await wait_for_file(note) == "TaskCancelled"


async def test_a_cancelled_gather_cancels_its_tasks(gate: Gate) -> None:
    """Cancelling who awaits a `gather` cancels running and waiting tasks alike."""
    async with Pool(call, max_workers=1) as pool:
        tasks = [pool.add_task((gate.pass_through,)) for _ in range(5)]
        waiting = asyncio.ensure_future(asyncio.wait_for(asyncio.gather(*tasks), 20))
        await gate.arrived()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert all(task.cancelled() for task in tasks)
        await pool.when_idle()
        assert await pool.add_task((children.double, 4)) == 8
        assert gate.look() == []


# Timeouts


@pytest.mark.parametrize("of", ["pool", "task"])
@pytest.mark.parametrize(
    ("entrypoint", "function", "interruption"),
    [
        (call, children.pass_or_note, "TaskCancelled"),
        (call_async, children.pass_or_note_async, "CancelledError"),
    ],
    ids=["sync", "async"],
)
async def test_a_task_that_takes_too_long(
    gate: Gate, tmp_path: Path, entrypoint: Any, function: Any, interruption: str, of: str
) -> None:
    """It is interrupted and raises `TaskTimeout`, which is a `TimeoutError`; the worker lives."""
    note = tmp_path / "note"
    async with Pool(entrypoint, max_workers=1, timeout=0.1 if of == "pool" else None) as pool:
        pid = await pool.add_task((os.getpid,))
        own = 0.1 if of == "task" else None
        task = pool.add_task((function, gate, str(note)), timeout=own)
        with pytest.raises(TaskTimeout, match=r"0\.1 seconds") as caught:
            await task
        assert isinstance(caught.value, TimeoutError)
        assert task.state == "failed"
        assert await wait_for_file(note) == interruption
        assert await pool.add_task((os.getpid,)) == pid
        statistics = pool.statistics()
        assert (statistics.failed, statistics.cancelled, statistics.restarts) == (1, 0, 0)


async def test_the_time_counts_from_the_tasks_start(gate: Gate) -> None:
    """A task that waits longer than its timeout before it begins is not affected."""
    async with Pool(call, max_workers=1) as pool:
        first = pool.add_task((gate.pass_through,))
        behind = pool.add_task((children.double, 2), timeout=0.05)
        await gate.arrived()
        with pytest.raises(TimeoutError):  # longer than that timeout
            await asyncio.wait_for(asyncio.shield(behind), 0.2)
        gate.open()
        await first
        assert await behind == 4


@pytest.mark.parametrize("how", ["swallow", "pass_holding_gil"])
async def test_a_task_that_swallows_its_timeout_is_killed(
    gate: Gate, second: Gate, short_grace: None, how: str
) -> None:
    """The task fails with `TaskTimeout`, its worker is killed and replaced."""
    work = (gate.pass_holding_gil,) if how != "swallow" else (children.swallow, gate, second)
    async with Pool(call, max_workers=1) as pool:
        exited = once(pool, "worker-exited")
        task = pool.add_task(work, timeout=0.1)
        behind = pool.add_task((os.getpid,))
        with pytest.raises(TaskTimeout):
            await task
        handle, reason = await exited
        assert "SIGKILL" in reason
        assert await behind != handle.pid


async def test_a_timeout_is_retried(gate: Gate, tmp_path: Path) -> None:
    """A task that took too long runs again if it has retries."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task(
            (children.stuck_the_first_time, gate, str(tmp_path / "once")), timeout=0.1, retries=1
        )
        assert await task == "second"
        assert task.attempts == 2


async def test_many_timeouts_at_once() -> None:
    """Every one of several tasks over time ends; those within their time give their results."""
    async with Pool(call_async, max_workers=1, worker_concurrency=20) as pool:
        slow = [pool.add_task((asyncio.sleep, 3600), timeout=0.1) for _ in range(10)]
        fast = [pool.add_task((children.double, number), timeout=20) for number in range(10)]
        outcomes = await asyncio.gather(*slow, return_exceptions=True)
        assert all(isinstance(outcome, TaskTimeout) for outcome in outcomes)
        assert await asyncio.gather(*fast) == [2 * number for number in range(10)]
        await pool.when_idle()
