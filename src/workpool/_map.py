"""A source in, results or tasks out, a bounded number of tasks between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from workpool._open_source import OpenSource

if TYPE_CHECKING:
    from workpool._engine import Engine

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")
FutureT = TypeVar("FutureT", bound="asyncio.Future[Any]")

_LONGEST_TURN = 0.001
"""Seconds a source may be read for before the event loop has a turn."""

_MOST_TOGETHER = 64

Source = Iterable[ArgT] | AsyncIterable[ArgT]


async def map_ordered(
    source: Source[ArgT],
    buffer: int,
    add: Callable[[ArgT], asyncio.Future[ResultT]],
    open_engine: Callable[[], Engine],
) -> AsyncIterator[ResultT]:
    """Yield the results in the order of the source."""
    feed = _Feed(source, buffer, add, open_engine, ordered=True)
    try:
        while (future := await feed.next()) is not None:
            result = await future
            feed.make_room()
            yield result
    finally:
        await feed.stop()


async def map_as_completed(
    source: Source[ArgT],
    buffer: int,
    add: Callable[[ArgT], asyncio.Future[ResultT]],
    open_engine: Callable[[], Engine],
) -> AsyncIterator[ResultT]:
    """Yield the results as they come."""
    feed = _Feed(source, buffer, add, open_engine, ordered=False)
    try:
        while (future := await feed.next()) is not None:
            feed.make_room()
            yield future.result()
    finally:
        await feed.stop()


async def tasks_as_ended(
    source: Source[ArgT],
    buffer: int,
    add: Callable[[ArgT], FutureT],
    open_engine: Callable[[], Engine],
) -> AsyncIterator[FutureT]:
    """Yield the tasks themselves as they end, in whatever way; room is made when the next is taken."""
    feed = _Feed(source, buffer, add, open_engine, ordered=False)
    try:
        while (future := await feed.next()) is not None:
            yield future  # type: ignore[misc]  # it came from `add`
            feed.make_room()
    finally:
        await feed.stop()


async def tasks_ended_together(
    source: Source[ArgT],
    buffer: int,
    add: Callable[[ArgT], FutureT],
    open_engine: Callable[[], Engine],
) -> AsyncIterator[list[FutureT]]:
    """As `tasks_as_ended`, but yield lists of the tasks that have ended meanwhile."""
    feed = _Feed(source, buffer, add, open_engine, ordered=False)
    try:
        while (future := await feed.next()) is not None:
            futures = [future, *feed.more(_MOST_TOGETHER - 1)]
            yield futures  # type: ignore[misc]  # they came from `add`
            feed.make_room(len(futures))
    finally:
        await feed.stop()


class _Feed:
    """Turns a source into tasks, no more than `buffer` of them between source and consumer.

    The consumer gets them in the order of the source if `ordered`, else in that of their ends.
    """

    def __init__(
        self,
        source: Source[Any],
        buffer: int,
        add: Callable[[Any], asyncio.Future[Any]],
        open_engine: Callable[[], Engine],
        *,
        ordered: bool,
    ) -> None:
        self._open_engine = open_engine
        self._buffer = buffer
        self._add = add
        self._ordered = ordered
        self._next: deque[asyncio.Future[Any]] = deque()
        self._unfinished: set[asyncio.Future[Any]] = set()
        self._held = 0
        self._turn_began = time.monotonic()
        self._changed = asyncio.Event()
        self._feeding = asyncio.ensure_future(self._feed(source))

    async def next(self) -> asyncio.Future[Any] | None:
        """Return the task the consumer gets next, or None when there is none left."""
        while not self._next:
            if self._feeding.done() and not self._unfinished:
                self._feeding.result()  # an error of the source itself
                return None
            await self._change()
        return self._next.popleft()

    def more(self, most: int) -> list[asyncio.Future[Any]]:
        """Return so many tasks that have ended at most; for consumers who get them in this order."""
        return [self._next.popleft() for _ in range(min(most, len(self._next)))]

    def make_room(self, count: int = 1) -> None:
        """Note that the consumer has taken so many results."""
        self._held -= count
        self._changed.set()

    async def stop(self) -> None:
        """Stop reading the source and cancel what is in flight."""
        self._feeding.cancel()
        await asyncio.wait([self._feeding])
        if not self._feeding.cancelled():
            self._feeding.exception()  # the consumer has gone, or has had it
        for future in self._unfinished:
            future.cancel()
        for future in self._next:
            if future.done() and not future.cancelled():
                future.exception()  # nobody will look at it any more: not worth a warning

    async def _feed(self, source: Source[Any]) -> None:
        try:
            if isinstance(source, AsyncIterable):
                with OpenSource(self._open_engine()) as open_source:
                    async for argument in source:
                        open_source.is_asked = False
                        await self._enter(argument)
                        if self._turn_is_over():  # its own waits may never really wait
                            await asyncio.sleep(0)
                        open_source.ask()
            else:
                for argument in source:
                    await self._enter(argument)
                    if self._turn_is_over():
                        await asyncio.sleep(0)
        finally:
            self._changed.set()

    def _turn_is_over(self) -> bool:
        """Whether a source that takes its time must let the event loop go on."""
        now = time.monotonic()
        if now - self._turn_began < _LONGEST_TURN:
            return False
        self._turn_began = now
        return True

    async def _enter(self, argument: Any) -> None:
        future = self._add(argument)
        self._held += 1
        self._unfinished.add(future)
        if self._ordered:
            self._next.append(future)
        future.add_done_callback(self._on_done)
        self._changed.set()
        while self._held >= self._buffer:
            await self._change()

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        self._unfinished.discard(future)
        if not self._ordered:
            self._next.append(future)
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
