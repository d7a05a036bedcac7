"""Programs as the workers of a pool: what holds for every worker holds for them."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import channel_children, children
from tests.channel_children import command, have_done, until_ready, work
from tests.children import Gate, once
from tests.contract.programs import has_ended_within
from workpool import (
    ChannelClosed,
    TaskTimeout,
    WorkerCrashed,
    WorkerHandle,
    WorkerPool,
    WorkerStartError,
    spawned_worker,
    sync,
)
from workpool.channels import SpawnedWorker

Worker = SpawnedWorker[Any, Any]
Pool = WorkerPool[Any, Any]

PROCESS_ID = ("process id",)


def worker() -> Worker:
    return spawned_worker(command(work), init=until_ready, execute=have_done)


async def test_tasks_go_to_the_program_of_the_worker_they_are_sent_to() -> None:
    """Each worker has one program, for all its tasks; affinity names it."""
    async with Pool(worker(), max_workers=2) as pool:
        tasks = [
            pool.add_task(PROCESS_ID, worker=slot, affinity="force") for slot in (0, 1, 0, 1, 0)
        ]
        pids = await asyncio.gather(*tasks)
        assert pids == [pids[0], pids[1], pids[0], pids[1], pids[0]]
        assert len(set(pids)) == 2
        assert [task.worker and task.worker.id for task in tasks] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("death", [("exit", 3), ("kill", int(signal.SIGKILL))])
async def test_a_crash_fails_its_task_alone_and_is_told(death: tuple[str, int]) -> None:
    """The error has all that a crash's has; the worker has ended and another takes its place."""
    async with Pool(worker(), max_workers=1) as pool:
        pid = await pool.add_task(PROCESS_ID)
        [old] = pool.workers
        exited, launched = once(pool, "worker-exited"), once(pool, "worker-launched")
        crashing = pool.add_task(death)
        others = [pool.add_task(("double", number)) for number in range(5)]
        how = "exited with code 3" if death[0] == "exit" else "ended by SIGKILL"
        with pytest.raises(WorkerCrashed, match=rf"^task {crashing.id} .*{how}") as crashed:
            await crashing
        assert await asyncio.gather(*others) == [0, 2, 4, 6, 8]
        error = crashed.value
        assert (error.task_id, error.attempts, error.pid) == (crashing.id, 1, pid)
        assert (error.exit_code, error.signal_name) == (
            (3, None) if death[0] == "exit" else (None, "SIGKILL")
        )
        assert "ChannelClosed" in str(error.__cause__)
        handle, reason = await exited
        assert handle is old
        assert f"process {pid}) {how}" in reason
        [new] = await launched
        assert new is pool.workers[0]
        assert new.pid != old.pid


async def test_a_program_that_ends_between_two_tasks_is_told() -> None:
    """Its worker ends with it, and is replaced where the pool wants so many."""
    async with Pool(worker(), max_workers=1, min_workers=1) as pool:
        pid = await pool.add_task(PROCESS_ID)
        exited, launched = once(pool, "worker-exited"), once(pool, "worker-launched")
        os.kill(pid, signal.SIGKILL)
        _, reason = await exited
        assert f"process {pid}) ended by SIGKILL" in reason
        await launched
        assert await pool.add_task(("double", 4)) == 8


async def test_a_program_that_ends_before_its_first_task_is_not_replaced_for_ever() -> None:
    """Each task meets the end once; nobody goes on starting programs that nobody uses."""
    exited: list[WorkerHandle] = []
    end_at_once = spawned_worker(command(channel_children.write, b"", "end"), execute=have_done)
    async with Pool(end_at_once, max_workers=1) as pool:
        pool.on("worker-exited", lambda worker, _: exited.append(worker))
        for _ in range(2):
            with pytest.raises(WorkerCrashed, match="code 0: it never wrote to the channel"):
                await pool.add_task(PROCESS_ID)
    assert len(exited) == 2


async def test_crashes_are_run_again_where_that_is_allowed(tmp_path: Path) -> None:
    """In another program; `attempts` counts both."""
    async with Pool(worker(), max_workers=1) as pool:
        task = pool.add_task(("die the first time", str(tmp_path / "death")), retries=1)
        assert isinstance(await task, int)
        assert task.attempts == 2
        hopeless = pool.add_task(("exit", 3), retries=1)
        with pytest.raises(WorkerCrashed) as crashed:
            await hopeless
        assert crashed.value.attempts == 2


async def test_a_task_that_is_ended_takes_none_of_those_beside_it_with_it(gate: Gate) -> None:
    """A program that works on several is killed when it has done the others; later ones have another."""
    async with Pool(worker(), max_workers=1, worker_concurrency=4) as pool:
        pid = await pool.add_task(PROCESS_ID)
        beside = pool.add_task(("wait at gate", gate.__reduce__()[1][0]))
        assert await gate.arrived() == [pid]
        with pytest.raises(TaskTimeout):
            await pool.add_task(("double", 1), timeout=0.1)  # the program is busy
        other = None
        while other is None:  # what begins before the program has been given up is held up as well
            with suppress(TaskTimeout):
                other = await pool.add_task(PROCESS_ID, timeout=1)
        assert other != pid
        gate.open()
        assert await beside == pid
        await children.end_of(pid)
        assert await pool.add_task(PROCESS_ID) == other


@pytest.mark.parametrize("end", ["timeout", "cancel"])
async def test_a_task_that_is_ended_takes_its_program_with_it(gate: Gate, end: str) -> None:
    """A timeout and a cancellation kill it, as nobody knows what it is doing; the next has another."""
    async with Pool(worker(), max_workers=1) as pool:
        pid = await pool.add_task(PROCESS_ID)
        if end == "timeout":
            with pytest.raises(TaskTimeout):
                await pool.add_task(("sleep", 1000), timeout=0.2)
        else:
            directory = gate.__reduce__()[1][0]
            task = pool.add_task(("wait at gate", directory))
            assert await gate.arrived() == [pid]
            task.cancel()
        await children.end_of(pid)
        assert await pool.add_task(PROCESS_ID) != pid


async def test_what_a_program_prints_is_its_workers_output() -> None:
    """Line by line, with the worker; the last words of one that dies too."""
    lines: list[tuple[int, str, str]] = []

    def note(worker: WorkerHandle, stream: str, line: str) -> None:
        lines.append((worker.id, stream, line))

    async with Pool(worker(), max_workers=1, worker_output=note) as pool:
        await pool.add_task(("print", "said in passing"))
    assert (0, "stdout", "said in passing") in lines


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"command": "no-such-program"}, WorkerStartError, "no program 'no-such-program'"),
        (
            {"command": "true", "init": until_ready},
            WorkerStartError,
            "init raised ChannelClosed.*code 0",
        ),
        (
            {"command": "sleep 9", "init": until_ready, "start_timeout": 0.1},
            WorkerStartError,
            r"not done within 0\.1 seconds",
        ),
        (
            {"command": command(channel_children.answer, "nonsense", "stay")},
            ChannelClosed,
            "is not JSON",
        ),
        (
            {"command": command(channel_children.answer, '{"answer": 99}', "stay")},
            ChannelClosed,
            "request 99, which was never made",
        ),
        (
            {"command": command(work), "execute": children.raise_in_hook},
            ValueError,
            "the hook does not like it here",
        ),
    ],
    ids=["no command", "dies", "never ready", "malformed line", "wrong answer", "handler raises"],
)
async def test_what_goes_wrong_is_one_clear_error_of_each_task(
    options: dict[str, Any], kind: type[Exception], why: str
) -> None:
    """Nothing hangs, and the pool closes."""
    async with Pool(spawned_worker(**{"execute": have_done, **options}), max_workers=1) as pool:
        outcomes = await asyncio.gather(*map(pool.add_task, "ab"), return_exceptions=True)
        for error in outcomes:
            with pytest.raises(kind, match=f"(?s){why}"):
                raise error if isinstance(error, Exception) else AssertionError(error)


def test_programs_of_a_blocking_pool() -> None:
    """`workpool.sync` takes them as well; its end is theirs."""
    with sync.WorkerPool(worker(), max_workers=2) as pool:
        assert list(pool.map([("double", n) for n in range(10)])) == [2 * n for n in range(10)]
        pid = pool.add_task(PROCESS_ID).result()
    assert has_ended_within([pid], 1.0)
