"""Event loops other than asyncio's own, and its own in another mode."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests import children
from tests.children import call
from workpool import PoolClosed, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]
Run = Callable[[Coroutine[Any, Any, None]], None]


def run_in_uvloop(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def run_in_debug_mode(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main, debug=True)


# The first loop of a process opens a pipe that libuv keeps for good: not what a test left behind.
run_in_uvloop(asyncio.sleep(0))

LOOPS: list[Run] = [run_in_uvloop, run_in_debug_mode]

if sys.version_info >= (3, 12):

    def run_with_eager_tasks(main: Coroutine[Any, Any, None]) -> None:
        async def eager() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            await main

        asyncio.run(eager())

    LOOPS.append(run_with_eager_tasks)

ALL_LOOPS = pytest.mark.parametrize("run", LOOPS)


@ALL_LOOPS
def test_tasks_crashes_and_timeouts(run: Run) -> None:
    """The pool does what it does under asyncio: results, errors, a crash, a timeout, a graceful end."""

    async def main() -> None:
        async with Pool(call, max_workers=2) as pool:
            tasks = [pool.add_task((children.double, number)) for number in range(200)]
            assert await asyncio.gather(*tasks) == [2 * number for number in range(200)]
            with pytest.raises(WorkerCrashed):
                await pool.add_task((children.kill_self, 9))
            with pytest.raises(TimeoutError):
                await pool.add_task((children.wait_for_ever,), timeout=0.05)
            assert [n async for n in pool.map([(children.double, 4)])] == [8]
            assert await pool.add_task((children.double, 1), main_thread=True) == 2

    run(main())


@ALL_LOOPS
def test_a_kill_ends_everything(run: Run) -> None:
    """Killing reaps the processes and ends the tasks, also where pidfds do not block."""

    async def main() -> None:
        pool = Pool(call, max_workers=2)
        tasks = [pool.add_task((children.wait_for_ever,)) for _ in range(3)]
        pool.kill()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, PoolClosed) for end in ends)

    run(main())
