"""The workers: handles, states, policies that end them, statistics, events."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, call_async, call_with_client, end_of, once
from workpool import (
    Entrypoint,
    PoolStatistics,
    Task,
    WorkerCrashed,
    WorkerHandle,
    WorkerPool,
)

Pool = WorkerPool[Any, Any]


async def until_idle(worker: WorkerHandle) -> None:
    """Wait until a worker that has reported its last result sleeps."""
    while worker.state != "idle":
        await asyncio.sleep(0.002)  # nothing tells of it; the test's deadline ends this


# Policies


@pytest.mark.parametrize("entrypoint", [call, call_async])
async def test_a_worker_retires_after_so_many_tasks(entrypoint: Any) -> None:
    """With `max_tasks_per_worker` each process runs so many tasks and is replaced; none fails."""
    reasons: list[str] = []
    form: Any = entrypoint
    async with Pool(form, max_workers=1, max_tasks_per_worker=3, worker_concurrency=1) as pool:
        pool.on("worker-exited", lambda _worker, reason: reasons.append(reason))
        pids = [await pool.add_task((os.getpid,)) for _ in range(9)]
        assert [len(set(pids[start : start + 3])) for start in (0, 3, 6)] == [1, 1, 1]
        assert len(set(pids)) == 3
        many = await asyncio.gather(*(pool.add_task((os.getpid,)) for _ in range(12)))
        assert all(many.count(pid) <= 3 for pid in many)
        assert pool.statistics().failed == 0
    assert all("3 tasks" in reason for reason in reasons[:3])


async def test_a_retiring_worker_runs_its_exit_hook() -> None:
    """A worker that retires by policy ends gracefully."""
    said: list[str] = []
    form = Entrypoint("tests.children", "call", on_worker_exit=children.note_exit)
    pool = Pool(form, max_workers=1, max_tasks_per_worker=1)
    pool.on_message("hook", lambda content, _origin: said.append(content))
    async with pool:
        for _ in range(3):
            await pool.add_task((os.getpid,))
    assert said == ["exit"] * 3


async def test_a_worker_that_grows_too_large_is_replaced() -> None:
    """With `max_memory_per_worker` (bytes) one that uses more is replaced after its task."""
    limit = 64 << 20
    async with Pool(call_with_client, max_workers=1, max_memory_per_worker=limit) as pool:
        small = await pool.add_task((children.hold_bytes, 1000))
        assert await pool.add_task((children.process_id,)) == small
        assert await pool.add_task((children.hold_bytes, limit)) == small
        assert await pool.add_task((children.process_id,)) != small
        assert pool.statistics().failed == 0


async def test_idle_workers_end_after_the_idle_timeout() -> None:
    """Idle workers above `min_workers` end gracefully; the next task starts one again."""
    said: list[str] = []
    form = Entrypoint("tests.children", "call", on_worker_exit=children.note_exit)
    pool = Pool(form, max_workers=2, min_workers=1, idle_timeout=0.05)
    pool.on_message("hook", lambda content, _origin: said.append(content))
    async with pool:
        pool.resize_up_to(2)
        handle, reason = await once(pool, "worker-exited")
        assert "idle" in reason
        assert handle.state == "exited"
        assert len(pool.workers) == 1
        assert said == ["exit"]
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_busy_worker_is_not_idle(gate: Gate) -> None:
    """A task that runs for longer than the idle timeout keeps its worker."""
    async with Pool(call, max_workers=1, idle_timeout=0.05) as pool:
        exited = once(pool, "worker-exited")
        task = pool.add_task((gate.pass_through,))
        await gate.arrived()
        with pytest.raises(TimeoutError):  # several times that long
            await asyncio.wait_for(asyncio.shield(exited), 0.3)
        gate.open()
        await task
        await exited
        assert pool.workers == ()
        assert await pool.add_task((children.double, 2)) == 4


# Handles


async def test_the_states_of_a_worker(gate: Gate) -> None:
    """starting, busy, idle, retiring, exited; the handle is usable in each of them."""

    def start(_client: Any) -> None:
        gate.pass_through()

    form = children.with_start_hook(call, start)
    async with Pool(form, max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        [worker] = pool.workers
        [pid] = await gate.arrived()
        assert (worker.id, worker.pid, worker.state) == (0, pid, "starting")
        gate.open()
        await gate.arrived()
        while worker.state == "starting":
            await asyncio.sleep(0.002)  # until the pool has read that it is ready
        assert worker.state == "busy"
        assert worker.load > 0
        gate.open()
        await task
        await until_idle(worker)
        assert (worker.tasks_completed, worker.load) == (1, 0)
        task = pool.add_task((gate.pass_through,))
        await gate.arrived()
        exited = once(pool, "worker-exited")
        worker.retire()
        assert worker.state == "retiring"
        gate.open()
        assert await task == pid
        await exited
        assert worker.state == "exited"
        assert (worker.id, worker.pid, worker.tasks_completed) == (0, pid, 2)
        worker.post_message("nobody", "hears this")
        worker.retire()
        worker.kill()
        assert pool.workers == ()


async def test_retire_ends_a_worker_between_tasks(gate: Gate) -> None:
    """It finishes its task and runs its exit hook; what waited goes to another worker."""
    said: list[tuple[str, int]] = []
    form = Entrypoint("tests.children", "call", on_worker_exit=children.note_exit)
    async with Pool(form, max_workers=1) as pool:
        pool.on_message("hook", lambda content, origin: said.append((content, origin.pid)))
        task = pool.add_task((gate.pass_through,))
        behind = [pool.add_task((os.getpid,)) for _ in range(20)]
        [pid] = await gate.arrived()
        pool.workers[0].retire()
        later = pool.add_task((os.getpid,))
        gate.open()
        assert await task == pid
        assert pid not in await asyncio.gather(*behind, later)
        assert said == [("exit", pid)]
        assert pool.statistics().restarts == 0


async def test_retire_of_an_idle_worker() -> None:
    """An idle worker that is retired ends at once, and is not replaced before there is work."""
    async with Pool(call, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        [worker] = pool.workers
        exited = once(pool, "worker-exited")
        worker.retire()
        assert (await exited)[0] is worker
        assert pool.workers == ()
        assert await pool.add_task((os.getpid,)) != pid


async def test_kill_ends_a_worker_at_once(gate: Gate) -> None:
    """The running task fails with `WorkerCrashed`, what waited runs in the replacement."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        behind = pool.add_task((os.getpid,))
        [pid] = await gate.arrived()
        pool.workers[0].kill()
        with pytest.raises(WorkerCrashed):
            await task
        assert await behind != pid


async def test_kill_of_an_idle_worker_loses_nothing() -> None:
    """No task fails, and the next one has a worker."""
    async with Pool(call, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        pool.workers[0].kill()
        assert await pool.add_task((os.getpid,)) != pid
        await end_of(pid)


async def test_kill_of_a_starting_worker_loses_nothing(gate: Gate) -> None:
    """The tasks that waited for it run in its replacement."""

    def start(_client: Any) -> None:
        gate.pass_through()

    async with Pool(children.with_start_hook(call, start), max_workers=1) as pool:
        tasks = [pool.add_task((os.getpid,)) for _ in range(5)]
        [pid] = await gate.arrived()
        pool.workers[0].kill()
        await gate.arrived()
        gate.open()
        assert pid not in await asyncio.gather(*tasks)


# Statistics and events


async def test_statistics(gate: Gate) -> None:
    """Counts of tasks by state, and figures of each worker, as a frozen dataclass."""
    pool = Pool(call, max_workers=1)
    assert pool.statistics() == PoolStatistics()
    async with pool:
        good = [pool.add_task((children.double, 1)) for _ in range(5)]
        bad = pool.add_task((children.raise_error, ValueError))
        await asyncio.wait([*good, bad])
        stuck = pool.add_task((gate.pass_through,))
        await gate.arrived()
        waiting = [pool.add_task((children.double, 1)) for _ in range(100)]
        waiting[-1].cancel()
        await asyncio.sleep(0)
        statistics = pool.statistics()
        assert dataclasses.is_dataclass(statistics)
        with pytest.raises(dataclasses.FrozenInstanceError):
            statistics.completed = 0  # type: ignore[misc]
        assert statistics.waiting + statistics.dispatched == 100
        assert (statistics.completed, statistics.failed, statistics.cancelled) == (5, 1, 1)
        assert (statistics.steals, statistics.restarts) == (0, 0)
        [worker] = statistics.workers
        [handle] = pool.workers
        assert (worker.id, worker.pid, worker.state) == (0, handle.pid, "busy")
        assert (worker.tasks_completed, worker.tasks_stolen) == (6, 0)
        assert worker.load > 0
        gate.open()
        await pool.when_idle()
        assert pool.statistics().completed == 5 + 1 + 99
        assert stuck.done()


async def test_is_idle_and_when_idle(gate: Gate) -> None:
    """The pool is idle when every task has ended, however."""
    async with Pool(call, max_workers=1) as pool:
        assert pool.is_idle
        await pool.when_idle()
        tasks = [
            pool.add_task((gate.pass_through,)),
            pool.add_task((children.raise_error, OSError)),
        ]
        waiting = asyncio.ensure_future(pool.when_idle())
        also_waiting = asyncio.ensure_future(pool.when_idle())
        await gate.arrived()
        assert not pool.is_idle
        assert not waiting.done()
        also_waiting.cancel()
        gate.open()
        await waiting
        assert pool.is_idle
        assert all(task.done() for task in tasks)
        assert isinstance(tasks[1].exception(), OSError)


async def test_events_and_what_they_tell() -> None:
    """Each event calls its listeners, sync and async, with its arguments, in order."""
    happened: list[tuple[Any, ...]] = []

    async def slowly(task: Task[Any]) -> None:
        await asyncio.sleep(0)
        happened.append(("added later", task))

    def added(task: Task[Any]) -> None:
        happened.append(("added", task))

    def complete(error: BaseException | None, result: Any, task: Task[Any]) -> None:
        happened.append(("complete", error, result, task))

    def launched(worker: WorkerHandle) -> None:
        happened.append(("launched", worker))

    def exited(worker: WorkerHandle, reason: str) -> None:
        happened.append(("exited", worker, type(reason)))

    pool = Pool(call, max_workers=1)
    pool.on("task-added", added)
    pool.on("task-added", slowly)
    pool.on("task-complete", complete)
    pool.on("worker-launched", launched)
    pool.on("worker-exited", exited)
    async with pool:
        good = pool.add_task((children.double, 4))
        await good
        [worker] = pool.workers
        bad = pool.add_task((children.raise_error, ValueError, "no"))
        await asyncio.wait([bad])
        pool.remove_listener("task-added", added)
        pool.remove_listener("task-complete", complete)
        await pool.add_task((children.double, 1), main_thread=True)
    assert ("added", good) in happened
    assert ("added later", good) in happened
    assert ("launched", worker) in happened
    assert ("complete", None, 8, good) in happened
    assert ("complete", bad.exception(), None, bad) in happened
    assert happened[-1] == ("exited", worker, str)
    assert len([event for event in happened if event[0] == "added"]) == 2
    assert len([event for event in happened if event[0] == "complete"]) == 2
    assert len([event for event in happened if event[0] == "added later"]) == 3


async def test_completion_is_told_of_every_end(gate: Gate) -> None:
    """Cancelled, crashed and in-parent tasks complete exactly once as well."""
    ended: list[tuple[Any, type]] = []
    async with Pool(call, max_workers=1) as pool:
        pool.on("task-complete", lambda error, _result, task: ended.append((task, type(error))))
        stuck = pool.add_task((gate.pass_through,))
        cancelled = pool.add_task((children.double, 1))
        await gate.arrived()
        cancelled.cancel()
        pool.workers[0].kill()
        here = pool.add_task((children.double, 1), main_thread=True)
        large = pool.add_task((bytes, 100_000))
        await pool.when_idle()
        assert isinstance(stuck.exception(), WorkerCrashed)
    assert sorted(ended, key=lambda pair: pair[0].id) == [
        (stuck, WorkerCrashed),
        (cancelled, asyncio.CancelledError),
        (here, type(None)),
        (large, type(None)),
    ]


async def test_a_listener_that_raises_is_reported() -> None:
    """What listeners raise goes to the loop's exception handler; the pool goes on."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def refuse(*_: Any) -> None:
        raise ValueError("sync")

    async def refuse_later(*_: Any) -> None:
        raise ValueError("async")

    async with Pool(call, max_workers=1) as pool:
        pool.on("task-complete", refuse)
        pool.on("task-complete", refuse_later)
        assert await pool.add_task((children.double, 2)) == 4
        assert await pool.add_task((children.double, 3)) == 6
    assert sorted(str(context["exception"]) for context in reported) == [
        "async",
        "async",
        "sync",
        "sync",
    ]


def test_unknown_events_and_listeners_are_refused() -> None:
    """A wrong event name or a listener that is not registered raises."""
    pool = Pool(call)
    with pytest.raises(ValueError, match="no event 'task-done'"):
        pool.on("task-done", print)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not registered"):
        pool.remove_listener("task-added", print)
    with pytest.raises(TypeError, match="callable"):
        pool.on("task-added", 5)  # type: ignore[arg-type]
