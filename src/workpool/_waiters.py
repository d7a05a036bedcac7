"""Coroutines that wait for the same thing."""

from __future__ import annotations

import asyncio


class Waiters:
    """Lets any number of coroutines of one event loop wait until they are released."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait until the next release."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def release(self) -> None:
        """Let all who wait go on."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
