"""Workers that end by policy or because they are told to, at the worst moment: nothing is stranded."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests import children, recycling_children
from tests.children import ExitNote, Gate, call_async, once
from workpool import Entrypoint, Task, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]
BOTH = pytest.mark.parametrize("function", ["run_noted", "run_noted_async"])


def noting(function: str, directory: Path) -> Entrypoint:
    """Return an entrypoint whose workers leave a file when they have run their exit hook."""
    return Entrypoint("tests.recycling_children", function, on_worker_exit=ExitNote(str(directory)))


def hooks_run(directory: Path) -> list[int]:
    """Return the ids of the processes that have run their exit hook, one for each time."""
    return [int(path.name.removeprefix("exit-")) for path in directory.glob("exit-*")]


def runs(directory: Path) -> dict[int, int]:
    """Return how often each task was begun, by its number."""
    return {int(path.name): path.stat().st_size for path in directory.glob("[0-9]*")}


# Limits


@BOTH
async def test_the_memory_limit_is_about_what_is_resident(function: str, tmp_path: Path) -> None:
    """A worker may reserve as much as it likes; when it uses more it ends, with its exit hook."""
    limit = 96 << 20
    form = noting(function, tmp_path)
    async with Pool(form, max_workers=1, worker_concurrency=1, max_memory_per_worker=limit) as pool:
        pid = await pool.add_task((recycling_children.reserve, 4 * limit))
        assert await pool.add_task((os.getpid,)) == pid
        exited = once(pool, "worker-exited")
        behind = pool.add_task((recycling_children.use, limit)), pool.add_task((os.getpid,))
        assert await behind[0] == pid
        assert await behind[1] != pid
        assert "memory" in (await exited)[1]
        assert hooks_run(tmp_path) == [pid]


@BOTH
async def test_pinned_tasks_outlive_the_limits_of_their_worker(
    function: str, tmp_path: Path
) -> None:
    """What waits in a worker's mail when its number is up runs in its successors, in order, once."""
    form = noting(function, tmp_path)
    async with Pool(form, max_workers=2, max_tasks_per_worker=3, worker_concurrency=1) as pool:
        tasks = [
            pool.add_task(
                (recycling_children.note, str(tmp_path), number), worker=0, affinity="force"
            )
            for number in range(10)
        ]
        pids = await asyncio.gather(*tasks)
    assert all(pids.count(pid) <= 3 for pid in pids)
    assert pids == sorted(pids, key=pids.index)
    assert runs(tmp_path) == dict.fromkeys(range(10), 1)
    assert set(pids) <= set(hooks_run(tmp_path))


# Told to end


@BOTH
@pytest.mark.parametrize("end", ["retire", "kill"])
async def test_pinned_tasks_outlive_a_worker_that_is_told_to_end(
    gate: Gate, tmp_path: Path, function: str, end: str
) -> None:
    """They run once, in the next worker of the slot, with those that come while it is ending."""
    pinned: dict[str, Any] = {"worker": 0, "affinity": "force"}
    form = noting(function, tmp_path)
    async with Pool(form, max_workers=2, worker_concurrency=1) as pool:
        running = pool.add_task((gate.pass_through,), **pinned)
        [pid] = await gate.arrived()
        note = (recycling_children.note, str(tmp_path))
        tasks = [pool.add_task((*note, number), **pinned) for number in range(5)]
        await asyncio.sleep(0)
        [worker] = [worker for worker in pool.workers if worker.pid == pid]
        getattr(worker, end)()
        tasks += [pool.add_task((*note, number), **pinned) for number in range(5, 10)]
        gate.open()
        pids = await asyncio.gather(*tasks)
        assert pid not in pids
        assert len(set(pids)) == 1
        if end == "retire":
            assert await running == pid
        else:
            assert isinstance(running.exception(), WorkerCrashed)
    assert runs(tmp_path) == dict.fromkeys(range(10), 1)
    assert (pid in hooks_run(tmp_path)) == (end == "retire")


async def test_an_async_worker_retires_when_all_it_runs_is_done(gate: Gate, tmp_path: Path) -> None:
    """It begins nothing more, finishes every task it has begun, and runs its exit hook."""
    form = noting("run_noted_async", tmp_path)
    async with Pool(form, max_workers=1, worker_concurrency=3) as pool:
        running = [pool.add_task((gate.pass_async,)) for _ in range(3)]
        [pid, *_] = await gate.arrived(3)
        behind = [pool.add_task((os.getpid,)) for _ in range(20)]
        [worker] = pool.workers
        exited = once(pool, "worker-exited")
        worker.retire()
        gate.open(3)
        assert await asyncio.gather(*running) == [pid] * 3
        assert pid not in await asyncio.gather(*behind)
        assert (await exited)[0] is worker
        assert hooks_run(tmp_path) == [pid]


async def test_a_worker_that_retires_before_it_is_ready(gate: Gate) -> None:
    """What waited for it runs in another one; it does not count as a failed start."""
    launched: list[Any] = []

    def start(_client: Any) -> None:
        gate.pass_through()

    async with Pool(children.with_start_hook(children.call, start), max_workers=1) as pool:
        pool.on("worker-launched", launched.append)
        tasks = [pool.add_task((os.getpid,)) for _ in range(5)]
        [pid] = await gate.arrived()
        pool.workers[0].retire()
        gate.open(2)
        assert pid not in await asyncio.gather(*tasks)
        assert len(launched) == 2
        assert pool.statistics().failed == 0


# Tasks that arrive at that very moment


async def retire_any(pool: Pool, choose: random.Random) -> None:
    if pool.workers:
        choose.choice(pool.workers).retire()


async def kill_any(pool: Pool, choose: random.Random) -> None:
    if pool.workers and choose.random() < 0.5:
        choose.choice(pool.workers).kill()


async def leave_it(_pool: Pool, _choose: random.Random) -> None:
    """The pool's own policy does it."""


WAYS: dict[str, tuple[dict[str, Any], Callable[[Pool, random.Random], Awaitable[None]]]] = {
    "retire": ({}, retire_any),
    "kill": ({}, kill_any),
    "idle_timeout": ({"idle_timeout": 0.003}, leave_it),
    "max_tasks": ({"max_tasks_per_worker": 2}, leave_it),
}


TASKS = 36


@BOTH
@pytest.mark.parametrize("way", WAYS)
async def test_tasks_arrive_while_workers_end(function: str, way: str, tmp_path: Path) -> None:
    """Every task ends, having run once; every worker that was not killed ran its exit hook once."""
    policy, disturb = WAYS[way]
    choose = random.Random(way)
    tasks: list[Task[Any]] = []
    launched: list[Any] = []
    form = noting(function, tmp_path)
    async with Pool(form, max_workers=2, worker_concurrency=2, **policy) as pool:
        pool.on("worker-launched", launched.append)
        for number in range(TASKS):
            pinned: dict[str, Any] = {"worker": number % 2, "affinity": "force"}
            settings = pinned if number % 3 == 0 else {}
            work = (recycling_children.note, str(tmp_path), number)
            tasks.append(pool.add_task(work, **settings))
            if choose.random() < 0.5:
                await asyncio.sleep(choose.choice((0, 0.001, 0.004, 0.02)))
                await disturb(pool, choose)
        await asyncio.wait(tasks)
    failed = [number for number, task in enumerate(tasks) if task.exception() is not None]
    assert all(isinstance(tasks[number].exception(), WorkerCrashed) for number in failed)
    begun = runs(tmp_path)
    assert max(begun.values()) == 1
    assert all(begun[number] == 1 for number in range(TASKS) if number not in failed)
    if way != "kill":
        assert failed == []
        assert sorted(hooks_run(tmp_path)) == sorted(worker.pid for worker in launched)


async def test_an_async_worker_that_could_take_more_is_busy(gate: Gate) -> None:
    """Beside a task that runs it is not idle, so that no limit on idleness ends it."""
    async with WorkerPool(call_async, max_workers=1, worker_concurrency=4) as pool:
        task = pool.add_task((gate.pass_async,))
        await gate.arrived()
        [worker] = pool.workers
        assert worker.state == "busy"
        gate.open()
        await task
        while worker.state != "idle":
            await asyncio.sleep(0)
