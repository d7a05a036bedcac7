"""Workers that live long: asked and answering, and restarted with other settings."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from tests import requests_children
from tests.children import Gate, call, call_async, once
from workpool import (
    Entrypoint,
    PoolClosed,
    RequestFailed,
    SerializationError,
    WorkerHandle,
    WorkerPool,
    WorkerStartError,
    WorkerTraceback,
)

Pool = WorkerPool[Any, Any]
ENTRYPOINTS = ["call", "call_async"]


def listening(function: str = "call", hook: Any = requests_children.listen) -> Entrypoint:
    return Entrypoint("tests.children", function, on_worker_start=hook)


async def started(pool: Pool, count: int = 1) -> tuple[WorkerHandle, ...]:
    """Start workers; return them."""
    pool.resize_up_to(count)
    return pool.workers


# Requests


@pytest.mark.parametrize("function", ENTRYPOINTS)
async def test_a_worker_answers(function: str) -> None:
    """Each request has its own answer, from sync and async handlers, also while it starts."""
    async with Pool(listening(function), max_workers=1) as pool:
        [worker] = await started(pool)
        answers = await asyncio.gather(*(worker.request("double", n) for n in range(20)))
        assert answers == [2 * n for n in range(20)]
        assert await worker.request("later", "soon") == ["soon"]
        large = b"x" * 300_000
        assert await worker.request("later", large) == [large]


@pytest.mark.parametrize("function", ENTRYPOINTS)
async def test_what_the_handler_raises_is_raised(function: str) -> None:
    """As itself, with the worker's traceback; the worker goes on."""
    async with Pool(listening(function), max_workers=1) as pool:
        [worker] = await started(pool)
        with pytest.raises(LookupError, match="nothing") as caught:
            await worker.request("fail", "nothing")
        assert isinstance(caught.value.__cause__, WorkerTraceback)
        with pytest.raises(RequestFailed, match="no handler for the request 'unknown'"):
            await worker.request("unknown")
        assert await worker.request("double", 4) == 8


async def test_what_cannot_travel_fails_its_request_alone() -> None:
    """On whichever side, in whichever direction."""
    async with Pool(listening(), max_workers=1) as pool:
        [worker] = await started(pool)
        for kind, content in (
            ("double", threading.Lock()),
            ("lock", None),
            ("double", requests_children.OneWay()),
            ("later", "kept"),
        ):
            if kind == "later":
                assert await worker.request(kind, content) == ["kept"]
                continue
            with pytest.raises(SerializationError):
                await worker.request(kind, content)


async def test_a_worker_that_ends_answers_no_more(gate: Gate) -> None:
    """All that wait for it fail, by its death, its retirement and the pool's end alike."""
    async with Pool(listening(), max_workers=1) as pool:
        [worker] = await started(pool)
        with pytest.raises(RequestFailed, match="ended before it answered"):
            await worker.request("die")
        with pytest.raises(RequestFailed, match=r"has ended.*restart\(\)"):
            await worker.request("double", 1)
        pool.add_task((gate.pass_through,)).add_done_callback(lambda task: task.exception())
        await gate.arrived()
        asking = asyncio.ensure_future(pool.workers[0].request("double", 1))
        await asyncio.sleep(0)
        pool.kill()
        with pytest.raises(RequestFailed):
            await asking


async def test_a_wait_for_an_answer_is_limited(gate: Gate) -> None:
    """A sync worker in a task does not answer; a late answer goes nowhere."""
    async with Pool(listening(), max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        await gate.arrived()
        [worker] = pool.workers
        with pytest.raises(TimeoutError, match=r"'double' within 0\.01 seconds"):
            await worker.request("double", 1, timeout=0.01)
        with pytest.raises(ValueError, match="timeout"):
            await worker.request("double", 1, timeout=0)
        with pytest.raises(TypeError, match="type of a request must be text"):
            await worker.request(5)  # type: ignore[arg-type]
        gate.open()
        await task
        assert await worker.request("double", 2) == 4


# Restarts


@pytest.mark.parametrize("function", ENTRYPOINTS)
async def test_a_restart_changes_one_worker(function: str) -> None:
    """It has its own variables and start arguments; the other goes on as it was."""
    async with Pool(listening(function), max_workers=2, env={"SHARED": "s", "OWN": "0"}) as pool:
        one, other = await started(pool, 2)
        new = await one.restart(env={"OWN": "1"}, start_arguments={"level": 3})
        assert (new.id, pool.workers) == (one.id, (new, other))
        assert new.pid != one.pid
        assert one.state == "exited"
        assert await new.request("environment", "OWN") == "1"
        assert await new.request("environment", "SHARED") == "s"
        assert await new.request("arguments") == {"level": 3}
        assert await other.request("environment", "OWN") == "0"
        assert await other.request("arguments") is None


async def test_settings_stay_with_the_slot() -> None:
    """Whoever replaces a restarted worker has them too; a restart without any keeps them."""
    async with Pool(listening(), max_workers=1) as pool:
        [worker] = await started(pool)
        worker = await worker.restart(env={"OWN": "1"}, start_arguments=7)
        await pool.add_task((os.getpid,))
        launched = once(pool, "worker-launched")
        worker.kill()
        [worker] = await launched
        assert await worker.request("environment", "OWN") == "1"
        worker = await worker.restart()
        assert await worker.request("arguments") == 7
        worker = await worker.restart(start_arguments=None)
        assert await worker.request("arguments") is None


async def test_restarts_at_the_same_time_are_one(gate: Gate) -> None:
    """What they give adds up, the last word counts, and all get the same worker."""
    launched: list[WorkerHandle] = []
    async with Pool(listening(), max_workers=1) as pool:
        pool.on("worker-launched", launched.append)
        task = pool.add_task((gate.pass_through,))
        await gate.arrived()
        [worker] = pool.workers
        restarts = [
            asyncio.ensure_future(worker.restart(env={"A": str(n), f"B{n}": "b"})) for n in range(5)
        ]
        await asyncio.sleep(0)
        gate.open()
        await task
        [new] = set(await asyncio.gather(*restarts))
        assert len(launched) == 2
        assert await new.request("environment", "A") == "4"
        assert await new.request("environment", "B0") == "b"


async def test_a_restart_while_the_new_worker_starts(gate: Gate) -> None:
    """Both get the worker that has what both gave."""
    hook = requests_children.listen
    async with Pool(listening(hook=hook), max_workers=1) as pool:
        [worker] = await started(pool)
        await worker.request("double", 1)
        launched = once(pool, "worker-launched")
        first = asyncio.ensure_future(worker.restart(env={"A": "1"}))
        await launched
        second = asyncio.ensure_future(worker.restart(env={"B": "2"}))
        new = await first
        assert new is await second
        assert await new.request("environment", "A") == "1"
        assert await new.request("environment", "B") == "2"


@pytest.mark.parametrize("how", ["die", "raise"])
async def test_a_restart_that_fails_says_so(how: str) -> None:
    """And the next one, with better settings, works."""
    async with Pool(listening(hook=requests_children.listen_or_die), max_workers=1) as pool:
        [worker] = await started(pool)
        await worker.request("double", 1)
        with pytest.raises(WorkerStartError):
            await worker.restart(start_arguments=how)
        new = await worker.restart(start_arguments="live")
        assert await new.request("arguments") == "live"


async def test_tasks_are_not_lost_by_restarts() -> None:
    """Those of everybody, and those forced to the worker that is restarted."""
    async with Pool(call_async, max_workers=2) as pool:
        tasks = [pool.add_task((int, str(n))) for n in range(300)]
        forced = [pool.add_task((int, n), affinity="force", worker=0) for n in range(50)]
        for _ in range(3):
            await pool.workers[0].restart(env={"A": "1"})
        assert await asyncio.gather(*tasks, *forced) == [*range(300), *range(50)]


async def test_a_closing_pool_restarts_nobody(gate: Gate) -> None:
    """Whoever waits for a restart is told; whoever asks for one as well."""
    async with Pool(call, max_workers=1) as pool:
        pool.add_task((gate.pass_through,)).add_done_callback(lambda task: task.exception())
        await gate.arrived()
        [worker] = pool.workers
        waiting = asyncio.ensure_future(worker.restart())
        await asyncio.sleep(0)
        pool.kill()
        with pytest.raises(PoolClosed):
            await waiting
        with pytest.raises(PoolClosed):
            await worker.restart()


async def test_wrong_settings_change_nothing() -> None:
    """They are refused where they are given; the worker goes on."""
    async with Pool(listening(), max_workers=1) as pool:
        [worker] = await started(pool)
        with pytest.raises(TypeError, match="env"):
            await worker.restart(env={"A": 1})  # type: ignore[dict-item]
        with pytest.raises(SerializationError):
            await worker.restart(start_arguments=threading.Lock())
        assert pool.workers == (worker,)
        assert await worker.request("double", 1) == 2
