"""`map` in chunks for asyncio: a source in, results out, a bounded number of items between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from workpool._chunk_size import ChunkSize
from workpool._chunks import Bulk, Items, Part, Piece, one_by_one
from workpool._open_source import OpenSource
from workpool._source_reader import LONGEST_READ, SourceReader
from workpool._task import Task

if TYPE_CHECKING:
    from workpool._pool import WorkerPool


class TaskPiece(Piece, Task[Any]):
    """A piece of a `map` as a task of the asyncio pool."""

    def _set_parts(self, parts: list[Part]) -> None:
        asyncio.Future.set_result(self, parts)


async def map_chunks(
    pool: WorkerPool[Any, Any],
    source: Iterable[Any] | AsyncIterable[Any],
    size: ChunkSize,
    *,
    ordered: bool,
) -> AsyncIterator[Any]:
    """Yield the results, in the order of the source if `ordered`, else as they come."""
    feed = _ChunkFeed(pool, source, size, ordered=ordered)
    try:
        while (parts := await feed.next()) is not None:
            for part in parts:
                if isinstance(part, BaseException):
                    raise part
                count = len(part)
                for result in one_by_one(part):
                    yield result
                feed.make_room(count)
            del parts
    finally:
        await feed.stop()


class _ChunkFeed:
    """Turns a source into pieces, no more items between source and consumer than there may be."""

    def __init__(
        self,
        pool: WorkerPool[Any, Any],
        source: Iterable[Any] | AsyncIterable[Any],
        size: ChunkSize,
        *,
        ordered: bool,
    ) -> None:
        self._pool = pool
        self._size = size
        self._ordered = ordered
        self._bulk = Bulk(pool._open_engine(), size, self._make)
        self._next: deque[TaskPiece] = deque()
        self._unfinished: set[TaskPiece] = set()
        self._held = 0
        self._turn_began = time.monotonic()
        self._changed = asyncio.Event()
        self._feeding = asyncio.ensure_future(self._feed(source))

    async def next(self) -> list[Part] | None:
        """Return the parts the consumer gets next, or None when there is nothing left."""
        while not self._next:
            if self._feeding.done() and not self._unfinished:
                self._feeding.result()  # an error of the source itself
                return None
            await self._change()
        piece = self._next[0]
        parts: list[Part] = await piece
        self._next.popleft()
        if self._ordered:
            self._next.extendleft(reversed(piece.rest))
        return parts

    def make_room(self, count: int) -> None:
        """Note that the consumer has taken so many results."""
        self._held -= count
        self._size.taken += count
        self._changed.set()

    async def stop(self) -> None:
        """Stop reading the source and cancel what is in flight."""
        self._bulk.stop()
        self._feeding.cancel()
        await asyncio.wait([self._feeding])
        if not self._feeding.cancelled():
            self._feeding.exception()  # the consumer has gone, or has had it
        for piece in list(self._unfinished):
            piece.cancel()

    async def _feed(self, source: Iterable[Any] | AsyncIterable[Any]) -> None:
        try:
            if isinstance(source, AsyncIterable):
                await self._feed_from_async(source)
            else:
                await self._feed_from(SourceReader(source))
        finally:
            self._changed.set()

    async def _feed_from(self, reader: SourceReader) -> None:
        while True:
            await self._wait_for_room()
            size = min(self._size.next(reader.left), self._size.most_held - self._held)
            self._send(reader.read(size))
            if not reader.open:
                if reader.error is not None:
                    raise reader.error
                return
            if self._turn_is_over():
                await asyncio.sleep(0)

    async def _feed_from_async(self, source: AsyncIterable[Any]) -> None:
        """Send items as they come; those that come while the workers are busy travel together."""
        items: list[Any] = []
        sending = asyncio.ensure_future(self._send_when_wanted(items))
        error: Exception | None = None
        try:
            with OpenSource(self._pool._open_engine()) as open_source:
                async for item in source:
                    open_source.is_asked = False
                    items.append(item)
                    if self._is_hungry or len(items) >= self._size.next():
                        await self._wait_for_room()
                        self._send_some(items)
                    if self._turn_is_over():  # its own waits may never really wait
                        await asyncio.sleep(0)
                    open_source.ask()
        except Exception as raised:  # noqa: BLE001 - the source's; its turn comes after the items
            error = raised
        finally:
            sending.cancel()
        while items:
            await self._wait_for_room()
            self._send_some(items)
        if error is not None:
            raise error

    @property
    def _is_hungry(self) -> bool:
        """Whether a worker may be about to have nothing to do."""
        return len(self._unfinished) < 2 * self._size.workers

    async def _send_when_wanted(self, items: list[Any]) -> None:
        """Send what has come from a source that makes us wait, when a worker could do it."""
        while True:
            await self._change()
            if items and self._is_hungry and self._held < self._size.most_held:
                self._send_some(items)

    def _send_some(self, items: list[Any]) -> None:
        size = min(self._size.next(), max(1, self._size.most_held - self._held))
        some = items[:size]
        del items[:size]
        self._send(some)

    def _send(self, items: Items) -> None:
        if not items:
            return
        engine = self._pool._open_engine()
        piece = self._bulk.piece(items)
        self._held += len(items)
        if self._ordered:
            self._next.append(piece)
        engine.add(piece)
        engine.chunks.watch(piece)
        self._changed.set()

    def _make(self, bulk: Bulk, items: Items) -> TaskPiece:
        engine, pool = bulk.engine, self._pool
        piece = TaskPiece(loop=engine.task_loop)
        piece._pool = pool
        piece._settings = pool._settings
        piece.id = engine.ledger.new_id()
        piece.argument = bulk.argument(items)
        piece.key = piece.meta = None
        piece.attempts = piece.dispatches = 0
        piece.slot = -1
        piece.set_up(bulk, items)
        piece.add_done_callback(self._on_done)
        self._unfinished.add(piece)
        return piece

    def _on_done(self, piece: Any) -> None:
        self._unfinished.discard(piece)
        if not self._ordered:
            self._next.append(piece)
        self._changed.set()

    async def _wait_for_room(self) -> None:
        while self._held >= self._size.most_held or self._bulk.has_enough:
            await self._change()

    def _turn_is_over(self) -> bool:
        now = time.monotonic()
        if now - self._turn_began < LONGEST_READ:
            return False
        self._turn_began = now
        return True

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
