"""Hooks: something expensive is set up once per worker, and put away when the worker ends.

python examples/hooks.py
"""

from __future__ import annotations

import asyncio
import sqlite3

from workpool import WorkerClient, WorkerPool, entrypoint

ROWS = [("apple", 3), ("banana", 5), ("cherry", 8)]


@entrypoint
def price(fruit: str, client: WorkerClient) -> int:
    """Look a price up in the database that this worker opened when it started."""
    [found] = client.state.database.execute("SELECT price FROM prices WHERE fruit = ?", [fruit])
    return int(found[0])


@price.on_worker_start
def open_database(client: WorkerClient) -> None:
    """Run once per worker, before its first task."""
    client.state.database = sqlite3.connect(":memory:")
    client.state.database.execute("CREATE TABLE prices (fruit TEXT PRIMARY KEY, price INTEGER)")
    client.state.database.executemany("INSERT INTO prices VALUES (?, ?)", ROWS)
    client.post_message_to_pool("database", "opened")


@price.on_worker_exit
def close_database(client: WorkerClient) -> None:
    """Run once per worker, when it ends gracefully."""
    client.state.database.close()
    client.post_message_to_pool("database", "closed")


async def main() -> None:
    """Ask for three prices; one worker answers, and opens its database once for all of them."""
    pool: WorkerPool[str, int] = WorkerPool(price, max_workers=1)
    pool.on_message("database", lambda what, origin: print(f"worker {origin.id}: database {what}"))
    async with pool:
        tasks = [pool.add_task(fruit) for fruit, _ in ROWS]
        for task in tasks:
            print(task.argument, await task)


asyncio.run(main())
