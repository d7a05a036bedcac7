"""`map` in chunks for threads. A result that is there costs some tens of nanoseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from workpool._chunk_size import ChunkSize
from workpool._chunks import Bulk, Items, Piece, one_by_one
from workpool._source_reader import SourceReader
from workpool.sync._pace import SourcePace
from workpool.sync._source_tasks import has_ended
from workpool.sync._task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from workpool.sync._pool import WorkerPool
    from workpool.sync._service import Service

_LOOK_SECONDS = 0.004
"""After so long the items that a read has got so far are sent, while it waits for its source."""


class TaskPiece(Piece, Task[Any]):
    """A piece of a `map` as a task of the blocking pool."""

    def _set_parts(self, parts: Any) -> None:
        Task._set_result(self, parts)

    def cancel_with_rest(self) -> None:
        """Cancel it and what is behind it."""
        self._cancel_soon()
        for piece in list(self.rest):
            piece.cancel_with_rest()


def results_of(lists: Generator[list[Any]]) -> Generator[Any]:
    """Iterate over the items of lists; keep none of them alive.

    `itertools.chain` would be faster by some ten nanoseconds per item. But a second thread that asks it while
    the first one waits in it crashes the interpreter; a generator raises `ValueError`.
    """
    try:
        for items in lists:
            yield from one_by_one(items)
    finally:
        lists.close()


def map_chunks(
    pool: WorkerPool[Any, Any], source: Iterable[Any], size: ChunkSize, *, ordered: bool
) -> Generator[Any]:
    """Iterate over the results, in the order of the source if `ordered`, else as they come."""
    feed = _ChunkFeed(pool, source, size, ordered=ordered)
    return results_of(feed.in_order() if ordered else feed.as_completed())


class _ChunkFeed:
    """Turns a source into pieces, in the thread that asks for the results."""

    def __init__(
        self,
        pool: WorkerPool[Any, Any],
        source: Iterable[Any],
        size: ChunkSize,
        *,
        ordered: bool,
    ) -> None:
        self._pool = pool
        self._reader = SourceReader(source)
        self._size = size
        self._ordered = ordered
        self._bulk: Bulk | None = None
        self._pieces: deque[TaskPiece] = deque()
        self._unfinished: set[TaskPiece] = set()
        self._ended: SimpleQueue[TaskPiece] = SimpleQueue()
        self._came: deque[TaskPiece] = deque()
        """At most one that has ended, taken from the queue before it was wanted."""
        self._pace = SourcePace()

    def in_order(self) -> Generator[list[Any]]:
        """Yield lists of results in the order of the source."""
        pieces = self._pieces
        try:
            while True:
                self._feed(self._has_first)
                if not pieces:
                    self._raise_error()
                    return
                parts = pieces[0].result()  # interrupted, it is cancelled with the others
                pieces.extendleft(reversed(pieces.popleft().rest))
                yield from self._lists(parts)
        finally:  # in any thread, when the iterator is collected
            self._stop(pieces)

    def as_completed(self) -> Generator[list[Any]]:
        """Yield lists of results as they come."""
        try:
            while True:
                self._feed(self._has_any)
                if self._bulk is None or self._size.taken == self._bulk.sent:
                    self._raise_error()
                    return
                yield from self._lists(self._take().result())
        finally:
            self._stop(self._unfinished)

    def _lists(self, parts: list[Any]) -> Generator[list[Any]]:
        for part in parts:
            if isinstance(part, BaseException):
                raise part
            count = len(part)
            yield part
            self._size.taken += count

    def _has_first(self, seconds: float) -> bool:
        return bool(self._pieces) and has_ended(self._pieces[0], seconds)

    def _has_any(self, seconds: float) -> bool:
        is_due = self._bulk is not None and self._bulk.sent > self._size.taken
        if seconds and is_due and not self._came:
            with suppress(Empty):
                self._came.append(self._ended.get(timeout=seconds))
        return bool(self._came) or not self._ended.empty()

    def _take(self) -> TaskPiece:
        if self._came:
            return self._came.popleft()
        self._pool._check_may_wait()
        return self._ended.get()

    def _feed(self, has_result: Callable[[float], bool]) -> None:
        """Read and send what the workers need, but not for long while there is a result."""
        read = 0
        while self._reader.open and not self._is_full():
            if self._pace.lets_go_first(read, has_result):
                return
            service = self._pool._open()
            if self._bulk is None:
                engine = self._pool._pool._engine
                assert engine is not None  # of a pool that is open
                self._bulk = Bulk(engine, self._size, self._make)
            self._read_some(service, self._bulk)
            read += 1

    def _is_full(self) -> bool:
        if self._bulk is None:
            return False
        return self._bulk.has_enough or self._bulk.sent - self._size.taken >= self._size.most_held

    def _read_some(self, service: Service, bulk: Bulk) -> None:
        reader = self._reader
        held = bulk.sent - self._size.taken
        size = min(self._size.next(reader.left), self._size.most_held - held)
        if size > 1 and not reader.is_instant:
            service.thread.post(partial(self._look_later, service, bulk))
        began = monotonic()
        items = reader.read(size)
        self._pace.note(monotonic() - began)
        if items:
            self._send(service, bulk, items)

    def _send(self, service: Service, bulk: Bulk, items: Items) -> None:
        piece = bulk.piece(items)
        if self._ordered:
            self._pieces.append(piece)
        service.thread.post(piece)
        if len(items) > 1:
            service.thread.post(partial(bulk.engine.chunks.watch, piece))

    def _look_later(self, service: Service, bulk: Bulk) -> None:
        if not bulk.engine.is_closed:
            bulk.engine.loop.call_later(_LOOK_SECONDS, self._look, service, bulk)

    def _look(self, service: Service, bulk: Bulk) -> None:
        """In the pool's thread: send what a read has got that waits for its source."""
        if not bulk.stopped:
            self._reader.take_unsent(partial(self._send, service, bulk))
            if self._reader.is_reading:
                self._look_later(service, bulk)

    def _make(self, bulk: Bulk, items: Items) -> TaskPiece:
        pool = self._pool
        piece = TaskPiece(pool, pool._pool._settings, pool._new_id(), bulk.argument(items))
        piece.set_up(bulk, items)
        if not self._ordered:
            self._unfinished.add(piece)
            piece.add_done_callback(self._on_done)
        return piece

    def _on_done(self, piece: TaskPiece) -> None:
        self._unfinished.discard(piece)
        self._ended.put(piece)

    def _raise_error(self) -> None:
        if self._reader.error is not None:
            raise self._reader.error

    def _stop(self, pieces: Iterable[TaskPiece]) -> None:
        if self._bulk is not None:
            self._bulk.stop()
        for piece in list(pieces):
            piece.cancel_with_rest()
