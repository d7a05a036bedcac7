"""What tasks do that is their right, and must not disturb the pool."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, call_async
from workpool import WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]
BOTH = pytest.mark.parametrize("entrypoint", [call, call_async])


@BOTH
async def test_a_ctrl_c_is_not_for_workers(gate: Gate, entrypoint: Any) -> None:
    """A SIGINT that the pool did not send interrupts neither a task nor an idle worker."""
    async with Pool(entrypoint, max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        os.kill(pid, signal.SIGINT)
        gate.open()
        assert await task == pid
        os.kill(pid, signal.SIGINT)
        assert await pool.add_task((os.getpid,)) == pid


@BOTH
async def test_a_task_that_raises_cancelled_error(entrypoint: Any) -> None:
    """A task that was not cancelled and raises `CancelledError` ends; its worker lives."""
    async with Pool(entrypoint, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        task = pool.add_task((children.raise_error, asyncio.CancelledError))
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is not None
        assert await pool.add_task((os.getpid,)) == pid
        await pool.when_idle()


async def test_exceptions_keep_notes_causes_and_groups() -> None:
    """An exception group arrives as one, and its traceback text shows causes and notes."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(ExceptionGroup) as caught:
            await pool.add_task((children.raise_group,))
        assert [type(error) for error in caught.value.exceptions] == [ValueError, OSError]
        text = str(caught.value.__cause__)
        assert "a note" in text
        assert "LookupError: the cause" in text


async def test_processes_of_a_task() -> None:
    """A task may use multiprocessing with any start method, and processes of its own."""
    async with Pool(call, max_workers=1) as pool:
        for method in ("fork", "spawn"):
            assert await pool.add_task((children.use_multiprocessing, method)) == [0, 2, 4]
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_pool_in_a_task() -> None:
    """A task may have a pool of its own."""
    async with Pool(call, max_workers=1) as pool:
        assert await pool.add_task((children.use_pool,)) == [0, 2, 4]


async def test_a_pool_in_an_async_task() -> None:
    """Also in the event loop of an async worker."""
    async with Pool(call_async, max_workers=1) as pool:
        assert await pool.add_task((children.use_pool_async,)) == [0, 2, 4]


async def test_threads_of_a_task_do_not_keep_a_worker(gate: Gate) -> None:
    """A worker with a daemon thread left by a task ends when the pool closes."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((children.leave_thread, gate))
        [pid] = await gate.arrived()
    assert not children.is_alive(pid)


async def test_a_stopped_worker_holds_up_only_its_task(gate: Gate) -> None:
    """While one worker is stopped (SIGSTOP), the other does everything else."""
    async with Pool(call, max_workers=2) as pool:
        tasks = [pool.add_task((gate.pass_through,)) for _ in range(2)]
        await gate.arrived(2)
        gate.open(2)
        await asyncio.gather(*tasks)
        stuck = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        os.kill(pid, signal.SIGSTOP)
        victim = next(worker for worker in pool.workers if worker.pid == pid)
        others = [pool.add_task((os.getpid,), worker=victim) for _ in range(50)]
        assert pid not in await asyncio.gather(*others)
        os.kill(pid, signal.SIGCONT)
        gate.open()
        assert await stuck == pid


async def test_a_task_may_change_the_process(tmp_path: Path) -> None:
    """A directory, an environment or standard streams that a task changed harm no other task."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((os.chdir, str(tmp_path)))
        await pool.add_task((children.close_standard_streams,))
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_task_may_close_descriptors_it_does_not_own() -> None:
    """Closing everything, as a careless daemonizing library does, crashes its worker at most."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((os.closerange, 3, 1024))
        await asyncio.wait([task])
        assert isinstance(task.exception(), WorkerCrashed)
        assert await pool.add_task((children.double, 2)) == 4


async def test_deeply_nested_and_recursive_values() -> None:
    """A value that contains itself comes back so; one too deep for pickle fails its task."""
    recursive: list[Any] = [1]
    recursive.append(recursive)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    async with Pool(children.identity, max_workers=1) as pool:
        result = await pool.add_task(recursive)
        assert result[1] is result
        with pytest.raises(Exception, match="ecursion"):
            await pool.add_task(deep)
        assert await pool.add_task(1) == 1
    while deep:
        deep = deep[0]


def test_a_pool_in_another_thread_and_in_debug_mode() -> None:
    """A pool lives in whatever thread runs its event loop; asyncio's debug mode finds no fault."""
    results: list[list[int]] = []

    async def use() -> None:
        async with Pool(children.double, max_workers=2) as pool:
            results.append(await asyncio.gather(*map(pool.add_task, range(50))))

    def run() -> None:
        asyncio.run(use(), debug=True)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[2 * number for number in range(50)]] * 3


async def test_a_blocked_async_worker_is_killed_for_a_cancelled_task(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that blocks its worker's event loop in a C call takes the worker with it."""
    monkeypatch.setattr("workpool._interrupts.CANCEL_GRACE", 0.2)
    async with Pool(call_async, max_workers=1) as pool:
        task = pool.add_task((gate.pass_holding_gil,))
        [pid] = await gate.arrived()
        behind = [pool.add_task((os.getpid,)) for _ in range(30)]
        task.cancel()
        outcomes = await asyncio.gather(*behind, return_exceptions=True)
        assert pid not in outcomes
        assert all(isinstance(outcome, int) for outcome in outcomes)


async def test_adding_tasks_from_callbacks_and_listeners() -> None:
    """A task that ends may lead to the next, from wherever its end is told."""
    async with Pool(children.double, max_workers=1) as pool:
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def go_on(task: asyncio.Future[int]) -> None:
            if task.result() > 1000:
                last.set_result(task.result())
            else:
                pool.add_task(task.result()).add_done_callback(go_on)

        pool.add_task(1).add_done_callback(go_on)
        assert await last == 1024
        assert pool.statistics().completed == 10


async def test_a_listener_that_cancels_other_tasks() -> None:
    """Every task ends once, although the end of one cancels all others."""
    async with Pool(children.double, max_workers=1) as pool:
        tasks = [pool.add_task(number) for number in range(500)]

        def cancel_the_rest(*_: Any) -> None:
            for task in tasks:
                task.cancel()

        pool.on("task-complete", cancel_the_rest)
        await asyncio.wait(tasks)
        await pool.when_idle()
        statistics = pool.statistics()
        assert statistics.completed + statistics.cancelled == 500
        assert statistics.cancelled > 0
