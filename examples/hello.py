"""The smallest pool: one function, one worker process, one result.

python examples/hello.py
"""

from __future__ import annotations

import asyncio

from workpool import WorkerPool


def greet(name: str) -> str:
    """Run in a worker process."""
    return f"Hello, {name}!"


async def main() -> None:
    """Add a task and wait for its result."""
    async with WorkerPool[str, str](greet) as pool:
        print(await pool.add_task("World"))


asyncio.run(main())
