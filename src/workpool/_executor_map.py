"""`Executor.map`: everything is submitted at once, in chunks that are cut as the workers get to them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from workpool._chunk_size import ChunkSize
from workpool._chunks import Bulk, Items, Piece
from workpool._executor_pool import ExecutorStartError, Future, is_of_start, show_call
from workpool.errors import PoolClosed
from workpool.sync._task import Task

if TYPE_CHECKING:
    from workpool._executor_pool import ExecutorPool
    from workpool._source_reader import SourceReader
    from workpool.sync._loop_thread import LoopThread

_MOST_READ = 1 << 60  # items: all there are, as far as the source is quick
_LOOK_SECONDS = 0.004  # as in sync/_chunk_map.py

_EVERYTHING = 1 << 60
"""As many results are waited for by the consumer: he gets them when he asks, and holds nothing up."""


class FuturePiece(Piece, Future[Any]):
    """A piece of a `map` as a call of an executor."""

    def _set_parts(self, parts: Any) -> None:
        Task._set_result(self, parts)

    def _set_exception(self, error: Any) -> None:
        if is_of_start(error) and not isinstance(error, ExecutorStartError):
            error = self._pool.start_failed(error)
        show_call(error, self.argument)
        Piece._set_exception(self, error)


class BulkJob:
    """The items of one `map`. Those that are in no piece yet stand behind one future, `rest`.

    While that is pending, so is the pool; it can be cancelled like any other.
    """

    def __init__(self, pool: ExecutorPool, size: ChunkSize, function: Any, *, spread: bool) -> None:
        engine = pool._pool._engine
        assert engine is not None  # of a pool that is open
        size.taken = _EVERYTHING
        self._pool = pool
        self._size = size
        self.engine = engine
        self._waiting: deque[Items] = deque()
        self._position = 0  # in the first of them
        self._count = 0
        self._is_whole = False
        """Whether the source has been read to its end."""
        self._bulk = Bulk(engine, size, self._make, function=function, spread=spread, goes_on=True)
        self._bulk.on_ended = self._send
        self.pieces: SimpleQueue[Future[Any]] = SimpleQueue()
        """The pieces in order, then the rest when it has ended."""
        self.rest: Future[Any] = Future(pool, pool._pool._settings, pool._new_id(), None)
        self.rest._accounted = True  # it is not pending yet: see `start`
        self.rest.add_done_callback(self._on_rest_done)

    def start(self) -> None:
        """Begin, in the event loop's thread."""
        if self.engine.is_closed:
            self.rest._set_exception(PoolClosed("the executor ended before this call"))
            return
        self.rest._accounted = False
        self.engine.outcomes.pending += 1
        self.engine.tasks_here.add(cast(Any, self.rest))

    def add(self, items: Items, *, last: bool) -> None:
        """Take items from the source, in the event loop's thread."""
        if items:
            self._waiting.append(items)
            self._count += len(items)
        self._is_whole = self._is_whole or last
        self._send()

    def cancel(self) -> None:
        """Begin nothing more, and cancel what nobody has taken. From any thread."""
        self._bulk.stop()
        self.rest._cancel_soon()
        while not self.pieces.empty():
            _cancel(self.pieces.get())

    def _send(self) -> None:
        """Send what the workers need for now; after the last of it the rest has ended."""
        if self.rest.done():
            return
        while self._count and not self._bulk.has_enough:
            piece = self._bulk.piece(self._next_items())
            self.pieces.put(piece)
            self.engine.add(piece)
            self.engine.chunks.watch(piece)
        if self._is_whole and not self._count:
            self.engine.outcomes.succeed(cast(Any, self.rest), None)
            self.engine.outcomes.completed -= 1  # it is no task of the user's

    def _next_items(self) -> Items:
        size = self._size.next(self._count if self._is_whole else None)
        first, position = self._waiting[0], self._position
        items = first[position : position + size]
        self._position += len(items)
        self._count -= len(items)
        if self._position == len(first):
            self._waiting.popleft()
            self._position = 0
        return items

    def _make(self, bulk: Bulk, items: Items) -> FuturePiece:
        pool = self._pool
        piece = FuturePiece(pool, pool._pool._settings, pool._new_id(), bulk.argument(items))
        piece.set_up(bulk, items)
        return piece

    def _on_rest_done(self, rest: Future[Any]) -> None:
        self.engine.tasks_here.discard(cast(Any, rest))
        self._waiting.clear()
        self._count = 0
        if rest.cancelled():
            self._bulk.stop()
        self.pieces.put(rest)


def submit_all(job: BulkJob, thread: LoopThread, reader: SourceReader) -> None:
    """Read a source to its end and have the items run, those that have come while others are awaited.

    Raises what the source raises. Then, and when an interrupt ends this, what has not begun is cancelled:
    nobody would come for the results, and a source that is never read to its end keeps the pool pending.
    """
    try:
        thread.post(job.start)
        if not reader.is_instant:
            thread.post(partial(_look_later, job, reader))
        while reader.open:
            items = reader.read(_MOST_READ)
            thread.post(partial(job.add, items, last=not reader.open and reader.error is None))
        if reader.error is not None:
            raise reader.error
    except BaseException:
        reader.open = False
        job.cancel()
        raise


def _look_later(job: BulkJob, reader: SourceReader) -> None:
    if reader.open and not job.rest.done():
        job.engine.loop.call_later(_LOOK_SECONDS, _look, job, reader)


def _look(job: BulkJob, reader: SourceReader) -> None:
    """In the pool's thread: take what a read has got that waits for its source."""
    reader.take_unsent(partial(job.add, last=False))
    _look_later(job, reader)


def results(job: BulkJob, end: float | None) -> Generator[list[Any]]:
    """Yield lists of results in order. What has not begun is cancelled when this is left early.

    `end` is when the last must be there, in monotonic time.
    """
    behind: deque[Any] = deque()
    piece: Any = None
    try:
        while True:
            piece = behind.popleft() if behind else _next(job, end)
            parts = piece.result(_left(end))
            if piece is job.rest:
                return
            behind.extendleft(reversed(piece.rest))
            piece = None
            for part in parts:
                if isinstance(part, BaseException):
                    raise part
                yield part
    finally:  # in any thread, when the iterator is collected
        job.cancel()
        for left in [*behind] if piece is None else [piece, *behind]:
            _cancel(left)


def _cancel(piece: Any) -> None:
    piece._cancel_soon()
    for behind in list(getattr(piece, "rest", ())):
        _cancel(behind)


def _next(job: BulkJob, end: float | None) -> Future[Any]:
    job.rest._pool._check_may_wait()
    try:
        return job.pieces.get(timeout=_left(end))
    except Empty:
        raise TimeoutError from None


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())
