"""Who waits for something on a channel: each with a time limit, all ended with the channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_FOR_EVER = 1e9
"""Seconds from which on a time limit is none."""


class Waits:
    """The waits of one channel."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, too_late: Callable[[str, float], Exception]
    ) -> None:
        """`too_late(doing, seconds)` makes the error of a wait that took too long."""
        self._loop = loop
        self._too_late = too_late
        self._pending: dict[asyncio.Future[Any], str] = {}

    async def wait(self, future: asyncio.Future[Any], doing: str, seconds: float) -> Any:
        """Return the future's result; raise if the time or the channel is over before it comes."""
        self._pending[future] = doing
        timer = None
        if seconds < _FOR_EVER:
            timer = self._loop.call_later(seconds, self._time_out, future, seconds)
        try:
            return await future
        finally:
            del self._pending[future]
            if timer is not None:
                timer.cancel()
            if future.done() and not future.cancelled():
                future.exception()  # looked at, also where a cancellation was faster

    def end_all(self, error: Callable[[str], Exception]) -> None:
        """End every wait with the error that `error(doing)` makes."""
        for future, doing in self._pending.items():
            if not future.done():
                future.set_exception(error(doing))

    def _time_out(self, future: asyncio.Future[Any], seconds: float) -> None:
        if not future.done():
            future.set_exception(self._too_late(self._pending[future], seconds))
