"""What is refused, or goes wrong in the user's own functions, and must not take the pool along."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import workpool.sync
from tests import children
from tests.children import call, call_async
from workpool import PoolClosed, SerializationError, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]
ROOT = Path(__file__).parents[2]

CACHED = """
import asyncio, functools
from workpool import WorkerPool

@functools.lru_cache(maxsize=None)
def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

def work(number):
    return fibonacci(number)

async def main():
    for entrypoint in (work, fibonacci):
        async with WorkerPool(entrypoint, max_workers=1) as pool:
            print(await pool.add_task(50))

asyncio.run(main())
"""


async def test_a_key_that_cannot_be_hashed_is_refused() -> None:
    """The error comes from `add_task`, and the pool is as if it had not been called."""
    async with Pool(children.double, max_workers=1) as pool:
        with pytest.raises(TypeError, match="unhashable"):
            pool.add_task(1, key=[])  # type: ignore[arg-type]
        assert pool.is_idle


@pytest.mark.parametrize("answer", [None, "much", float("nan"), float("inf")])
@pytest.mark.parametrize("option", ["inherent_cost", "worker_cost"])
async def test_an_estimate_that_is_none_is_reported_and_ignored(option: str, answer: Any) -> None:
    """A task whose cost cannot be estimated runs all the same; the loop's handler is told why."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    options: Any = {option: lambda *_: answer}
    async with Pool(children.double, max_workers=1, **options) as pool:
        assert await pool.add_task(2) == 4
        assert await pool.add_task(3) == 6
    assert told
    assert all(option in context["message"] for context in told)


async def test_meta_that_cannot_be_pickled_is_named() -> None:
    """The error says that it is the meta, not the argument."""
    async with Pool(children.double, max_workers=1) as pool:
        with pytest.raises(SerializationError, match=r"the meta .*lock"):
            await pool.add_task(1, meta=threading.Lock())


async def test_tasks_here_are_cancelled_when_the_block_is_left_on_an_error() -> None:
    """A task of the main thread is pending like any other."""
    began = asyncio.Event()

    async def wait_for_ever(_: int) -> None:
        began.set()
        await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        async with Pool(wait_for_ever, max_workers=1) as pool:
            task = pool.add_task(1, main_thread=True)
            await began.wait()
            raise ZeroDivisionError
    assert task.cancelled()


async def test_tasks_here_end_when_the_pool_is_killed() -> None:
    """They fail with `PoolClosed`, and nobody waits for them any more."""

    async def wait_for_ever(_: int) -> None:
        await asyncio.Event().wait()

    pool = Pool(wait_for_ever, max_workers=1)
    task = pool.add_task(1, main_thread=True)
    idle = asyncio.ensure_future(pool.when_idle())
    await asyncio.sleep(0)
    pool.kill()
    with pytest.raises(PoolClosed):
        await task
    await idle


async def test_tasks_here_know_who_they_are() -> None:
    """Several async tasks of the main thread each see their own `client.task`."""

    async def own_meta(_: int, client: Any) -> Any:
        await asyncio.sleep(0)
        return client.task.meta

    async with Pool(own_meta, max_workers=1) as pool:
        tasks = [pool.add_task(n, main_thread=True, meta=n) for n in range(3)]
        assert await asyncio.gather(*tasks) == [0, 1, 2]


@pytest.mark.parametrize("event", ["worker-launched", "worker-exited", "task-added"])
async def test_a_listener_may_kill_the_pool(event: Any) -> None:
    """Killing from within an event ends everything, and disturbs nothing that was under way."""
    async with Pool(call, max_workers=2) as pool:
        pool.on(event, lambda *_: pool.kill())
        with pytest.raises((PoolClosed, WorkerCrashed)):
            await pool.add_task((children.kill_self, 9))
        await asyncio.sleep(0)  # listeners have their turn
        assert pool.workers == ()


def test_cached_functions_of_a_script(tmp_path: Path) -> None:
    """What `functools.lru_cache` made in `__main__` works as an entrypoint and within one."""
    script = tmp_path / "script.py"
    script.write_text(CACHED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    output = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, timeout=20, check=True
    ).stdout
    assert output == b"12586269025\n12586269025\n"


@pytest.mark.parametrize("entrypoint", [call, call_async])
async def test_a_child_that_a_task_forks_ends_like_a_program(entrypoint: Any) -> None:
    """One that returns, or exits, in the middle of the task does so quietly, with its status."""
    async with Pool(entrypoint, max_workers=1) as pool:
        assert await pool.add_task((children.fork_and_return,)) == 0
        assert await pool.add_task((children.fork_and_exit, 3)) == 3
        assert await pool.add_task((children.identity, 1)) == 1


async def test_a_task_that_closes_everything_ends_its_worker_alone() -> None:
    """Its worker cannot go on; the task fails, threads it left do not keep the process."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(WorkerCrashed):
            await pool.add_task((children.close_descriptors_with_a_thread_running,))
        assert await pool.add_task((children.identity, 1)) == 1


@pytest.mark.parametrize("pool_type", [WorkerPool, workpool.sync.WorkerPool])
@pytest.mark.parametrize("method", ["map", "map_unordered", "process"])
def test_wrong_arguments_are_told_of_the_pool(pool_type: type[Any], method: str) -> None:
    """Not of some class that users never see."""
    with pytest.raises(TypeError, match=rf"^WorkerPool\.{method}\(\) .* 'source'"):
        getattr(pool_type(children.double), method)()
