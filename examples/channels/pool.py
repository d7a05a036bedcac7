"""A pool whose workers are programs: children in Node.js (or in Python) count the words of files.

python examples/channels/pool.py README.md CHANGELOG.md
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from workpool import RequestFailed, WorkerPool, spawned_worker
from workpool.channels import ParentChannel

HERE = Path(__file__).parent
NODE = ["node", str(HERE / "node_child.mjs")]
PYTHON = [sys.executable, str(HERE / "python_child.py")]


async def until_ready(channel: ParentChannel) -> None:
    """Run once per worker: wait until its program says that it is ready."""
    await channel.listen_once("ready", timeout=10)


async def count_words(channel: ParentChannel, path: str) -> int:
    """Run once per task, in the worker whose program is at the other end of the channel."""
    words: int = await channel.request("count_words", path, timeout=10)
    return words


async def main(paths: list[str]) -> None:
    """Add a task per file; each has an error of its own if its file cannot be read."""
    command = NODE if shutil.which("node") else PYTHON
    counter = spawned_worker(command, init=until_ready, execute=count_words)
    async with WorkerPool(counter, max_workers=2) as pool:
        tasks = [pool.add_task(path, timeout=20, retries=1) for path in paths]
        for task in tasks:
            try:
                print(f"{task.argument}: {await task} words")
            except RequestFailed as error:
                print(f"{task.argument}: {error.error_type}")


asyncio.run(main(sys.argv[1:] or [__file__]))
