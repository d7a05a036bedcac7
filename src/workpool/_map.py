"""`map` and `map_unordered`: a source in, results out, a bounded number of tasks between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")

Source = Iterable[ArgT] | AsyncIterable[ArgT]


async def map_ordered(
    source: Source[ArgT], buffer: int, add: Callable[[ArgT], asyncio.Future[ResultT]]
) -> AsyncIterator[ResultT]:
    """Yield the results in the order of the source."""
    feed = _Feed(source, buffer, add)
    try:
        while (future := await feed.next_added()) is not None:
            result = await future
            feed.remove(future)
            yield result
    finally:
        await feed.stop()


async def map_as_completed(
    source: Source[ArgT], buffer: int, add: Callable[[ArgT], asyncio.Future[ResultT]]
) -> AsyncIterator[ResultT]:
    """Yield the results as they come."""
    feed = _Feed(source, buffer, add)
    try:
        while (future := await feed.next_done()) is not None:
            feed.remove(future)
            yield future.result()
    finally:
        await feed.stop()


class _Feed:
    """Turns a source into tasks, no more than `buffer` of them between source and consumer."""

    def __init__(
        self, source: Source[Any], buffer: int, add: Callable[[Any], asyncio.Future[Any]]
    ) -> None:
        self._buffer = buffer
        self._add = add
        self._added: deque[asyncio.Future[Any]] = deque()
        self._done: deque[asyncio.Future[Any]] = deque()
        self._unfinished: set[asyncio.Future[Any]] = set()
        self._held = 0
        self._changed = asyncio.Event()
        self._feeding = asyncio.ensure_future(self._feed(source))

    async def next_added(self) -> asyncio.Future[Any] | None:
        """Return the oldest task not yet returned, or None at the end of the source."""
        await self._wait_for(self._added)
        return self._added.popleft() if self._added else None

    async def next_done(self) -> asyncio.Future[Any] | None:
        """Return a task that has ended, or None when all have and the source is at its end."""
        await self._wait_for(self._done)
        return self._done.popleft() if self._done else None

    def remove(self, future: asyncio.Future[Any]) -> None:
        """Make room for another task."""
        self._held -= 1
        self._changed.set()

    async def stop(self) -> None:
        """Stop reading the source and cancel what is in flight."""
        self._feeding.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._feeding
        for future in self._unfinished:
            future.cancel()
        for future in (*self._added, *self._done):
            if future.done() and not future.cancelled():
                future.exception()  # nobody will look at it any more: not worth a warning

    async def _feed(self, source: Source[Any]) -> None:
        try:
            if isinstance(source, AsyncIterable):
                async for argument in source:
                    await self._enter(argument)
            else:
                for argument in source:
                    await self._enter(argument)
        finally:
            self._changed.set()

    async def _enter(self, argument: Any) -> None:
        future = self._add(argument)
        self._held += 1
        self._added.append(future)
        self._unfinished.add(future)
        future.add_done_callback(self._on_done)
        self._changed.set()
        while self._held >= self._buffer:
            await self._change()

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        self._unfinished.discard(future)
        self._done.append(future)
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _wait_for(self, queue: deque[asyncio.Future[Any]]) -> None:
        while not queue:
            if self._feeding.done() and not (self._unfinished and queue is self._done):
                self._feeding.result()  # an error of the source itself
                return
            await self._change()
