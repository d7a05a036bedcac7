"""What workers tell a measure while their tasks run."""

import asyncio
from typing import Any

from workpool import WorkerPool


class Inbox:
    """The contents of a pool's messages of some types, in the order in which they came."""

    def __init__(self, pool: WorkerPool[Any, Any], *types: str) -> None:
        self._contents: asyncio.Queue[Any] = asyncio.Queue()
        for name in types:
            pool.on_message(name, lambda content, _origin: self._contents.put_nowait(content))

    async def next(self) -> Any:
        """Wait for the next one."""
        return await self._contents.get()
