"""What type checkers make of the public names. Only type-checked, never run."""

from __future__ import annotations

from concurrent.futures import Future, as_completed
from typing import Any, assert_type

from workpool import (
    Entrypoint,
    Executor,
    PoolStatistics,
    Shared,
    Task,
    WorkerClient,
    WorkerHandle,
    WorkerPool,
    WorkQueue,
    entrypoint,
    share,
    sync,
)


def sync_one(argument: int) -> str:
    return str(argument)


def sync_two(argument: int, client: WorkerClient) -> str:
    client.post_message_to_pool("seen", argument)
    return str(client.worker_id)


async def async_one(argument: int) -> str:
    return str(argument)


async def async_two(argument: int, client: WorkerClient) -> str:
    return f"{argument} {client.worker_id}"


@entrypoint
def decorated(argument: int) -> str:
    return str(argument)


@decorated.on_worker_start
def set_up(client: WorkerClient) -> None:
    client.state.ready = True


async def pools_know_their_types() -> None:
    assert_type(WorkerPool(sync_one), WorkerPool[int, str])
    assert_type(WorkerPool(sync_two, max_workers=2), WorkerPool[int, str])
    assert_type(WorkerPool(async_one, worker_concurrency=3), WorkerPool[int, str])
    assert_type(WorkerPool(async_two), WorkerPool[int, str])
    assert_type(WorkerPool(decorated), WorkerPool[int, str])
    assert_type(WorkerPool("package.module:symbol"), WorkerPool[Any, Any])
    assert_type(WorkerPool(Entrypoint("package.module", "symbol")), WorkerPool[Any, Any])
    assert_type(decorated(1), str)


async def tasks_know_their_results(pool: WorkerPool[int, str]) -> None:
    task = pool.add_task(1, key="k", timeout=1.5, retries=2, affinity="strong", worker=0)
    assert_type(task, Task[str])
    assert_type(await task, str)
    assert_type(task.worker, WorkerHandle | None)
    assert_type(task.cost, float | None)
    async for result in pool.map([1, 2, 3], buffer=2):
        assert_type(result, str)
    async for result in pool.map_unordered(WorkQueue(1, 2)):
        assert_type(result, str)
    assert_type(pool.workers, tuple[WorkerHandle, ...])
    assert_type(pool.statistics(), PoolStatistics)
    async with WorkerPool(sync_one) as entered:
        assert_type(entered, WorkerPool[int, str])


async def wrong_uses_are_refused(pool: WorkerPool[int, str]) -> None:
    pool.add_task("text")  # type: ignore[arg-type]
    WorkerPool(sync_one, max_worker=2)  # type: ignore[call-overload]
    await pool.when_idle(1)  # type: ignore[call-arg]


def blocking_pools_know_their_types(pool: sync.WorkerPool[int, str]) -> None:
    assert_type(sync.WorkerPool(sync_one), sync.WorkerPool[int, str])
    assert_type(sync.WorkerPool(async_two), sync.WorkerPool[int, str])
    assert_type(sync.WorkerPool("package.module:symbol"), sync.WorkerPool[Any, Any])
    task = pool.add_task(1, retries=2)
    assert_type(task, sync.Task[str])
    assert_type(task.result(), str)
    futures: list[Future[str]] = [task]
    assert_type(futures[0].result(1.5), str)
    for result in pool.map([1, 2, 3]):
        assert_type(result, str)
    with sync.WorkerPool(sync_one) as entered:
        assert_type(entered, sync.WorkerPool[int, str])
    pool.add_task("text")  # type: ignore[arg-type]


def executors_know_their_types(executor: Executor) -> None:
    assert_type(executor.submit(sync_one, 1).result(), str)
    assert_type(next(executor.map(sync_one, [1])), str)
    executor.submit(sync_one, "text")  # type: ignore[arg-type]
    numbers = {executor.submit(sync_one, number): number for number in range(3)}
    assert_type(numbers[next(as_completed(numbers))], int)


def sharing(values: list[int]) -> None:
    with share(values) as shared:
        assert_type(shared, Shared[list[int]])
        assert_type(shared.get(), list[int])
