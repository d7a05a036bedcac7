"""What type checkers make of `workpool.channels`. Only type-checked, never run."""

from __future__ import annotations

from typing import assert_type

from workpool import WorkerPool
from workpool.channels import (
    ChildChannel,
    CommandResult,
    CommandRunner,
    ParentChannel,
    SpawnedWorker,
    spawned_worker,
)


async def ask(channel: ParentChannel, number: int) -> str:
    return str(await channel.request("ask", number))


def tell(channel: ParentChannel, number: int) -> bool:
    channel.send("tell", number)
    return channel.active


async def run(runner: CommandRunner, path: str) -> bytes:
    result = await runner.run(["wc", path])
    assert_type(result, CommandResult)
    return result.stdout


async def ready(channel: ParentChannel) -> None:
    await channel.listen_once("ready", timeout=5)


async def spawned_workers_know_their_types() -> None:
    assert_type(spawned_worker("node x.mjs", init=ready, execute=ask), SpawnedWorker[int, str])
    assert_type(spawned_worker(["a", "b"], execute=tell), SpawnedWorker[int, bool])
    assert_type(spawned_worker(None, execute=run), SpawnedWorker[str, bytes])
    assert_type(WorkerPool(spawned_worker("x", execute=ask)), WorkerPool[int, str])


async def both_ends_can_be_entered() -> None:
    async with ParentChannel("x", cwd="/", env={"A": "b"}, pickled=True) as parent:
        assert_type(parent, ParentChannel)
        assert_type(parent.id, int)
        await parent.destroy()
    async with ChildChannel(timeout=5) as child:
        assert_type(child, ChildChannel)
        await child.leave()


async def wrong_uses_are_refused() -> None:
    spawned_worker("x", execute=run)  # type: ignore[arg-type]
    spawned_worker(None, execute=ask)  # type: ignore[arg-type]
    ParentChannel(5)  # type: ignore[arg-type]
