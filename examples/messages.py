"""Messages both ways, beside tasks and results.

python examples/messages.py
"""

from __future__ import annotations

import asyncio

from workpool import WorkerClient, WorkerHandle, WorkerPool, entrypoint


@entrypoint
def greet(name: str, client: WorkerClient) -> str:
    """Tell the pool that the work begins, then do it."""
    client.post_message_to_pool("starting", name)
    return f"{client.state.greeting}, {name}!"


@greet.on_worker_start
def listen(client: WorkerClient) -> None:
    """Listen for the pool; a worker handles its messages between tasks."""
    client.state.greeting = "Hello"
    client.on_message("greeting", change_greeting)


def change_greeting(greeting: str, client: WorkerClient) -> None:
    """Take another greeting from the pool."""
    client.state.greeting = greeting
    client.post_message_to_pool("changed", greeting)


async def main() -> None:
    """Greet, change the greeting in every worker, greet again."""
    changed = asyncio.Event()

    def on_starting(name: str, origin: WorkerHandle) -> None:
        print(f"worker {origin.id} is starting on {name}")

    def on_changed(greeting: str, origin: WorkerHandle) -> None:
        print(f"worker {origin.id} now says {greeting}")
        changed.set()

    async with WorkerPool[str, str](greet, max_workers=1) as pool:
        pool.on_message("starting", on_starting)
        pool.on_message("changed", on_changed)
        print(await pool.add_task("Joe"))
        pool.post_message_to_workers("greeting", "Good evening")
        await changed.wait()
        print(await pool.add_task("Ann"))


asyncio.run(main())
