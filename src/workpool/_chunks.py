"""Chunks in the pool: the items of a `map` that travel as one task, and what becomes of each.

A *piece* is the task of a chunk, or of a single item. Its result is a list of *parts* in the order of the items:
lists of results, and errors. Items that it could not see to (handed back by its worker, behind one that got
stuck, not begun when the worker died, travelling with one that cannot be pickled) go into new pieces, which
come behind it in the order: its `rest`. All of this happens in the event loop's thread.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from itertools import repeat, starmap
from typing import TYPE_CHECKING, Any

from workpool._chunk_size import ChunkSize
from workpool._serialization import (
    FOREIGN_ERRORS,
    PLAIN_TYPES,
    Serializer,
    unpack_error,
    unreadable,
)
from workpool._worker.chunks import Chunk
from workpool._worker_crashed import WorkerCrashed
from workpool.errors import PoolClosed, SerializationError, TaskCancelled

if TYPE_CHECKING:
    from workpool._engine import Engine

Part = list[Any] | BaseException
Items = list[Any] | tuple[Any, ...] | range

_OF_ATTEMPT = ("id", "argument", "attempts", "dispatches", "estimate", "offset", "slot", "worker")
"""What the ledger, the scheduler and the dispatcher keep in a task that they have dispatched."""

_LIGHT_TYPES = PLAIN_TYPES | {str, bytes}

_PLAIN_BYTES = 5  # of most numbers, pickled
_UNKNOWN_BYTES = 100


class Piece:
    """What a task that is a piece of a `map` has on top; mixed into the classes of tasks."""

    bulk: Bulk
    items: Items
    rest: list[Any]
    """Pieces that come behind this one, in order; final when this one has ended."""
    end: int
    """How many of its items it is to see to; what is behind them has been taken from it."""
    revoked = False
    ends_alone = False  # see Task
    skip = 0
    """How many of its results have been handed out before it has ended."""

    if TYPE_CHECKING:

        def _set_parts(self, parts: list[Part]) -> None:
            """End the future, whatever class it is of."""

    def set_up(self, bulk: Bulk, items: Items) -> None:
        """Fill in a new piece."""
        self.bulk = bulk
        self.items = items
        self.end = len(items)
        self.rest = []

    def _set_result(self, value: Any) -> None:
        self._set_parts(self.bulk.ended(self, value))

    def _set_exception(self, error: Any) -> None:
        self._set_parts(self.bulk.failed(self, error))


class Bulk:
    """One call of `map`: its pieces, and what is known of their items.

    `make(bulk, items)` makes a piece, which waits to be added.
    """

    def __init__(
        self,
        engine: Engine,
        size: ChunkSize,
        make: Callable[[Bulk, Items], Any],
        *,
        function: Any = None,
        spread: bool = False,
        goes_on: bool = False,
    ) -> None:
        self.engine = engine
        self.size = size
        self.stopped = False
        """Whether nobody wants the rest."""
        self.sent = 0
        """Items in pieces so far. Written by whoever reads the source, `over` by the event loop's thread."""
        self.over = 0
        self._make = make
        self._function = function
        self._spread = spread
        self.on_ended: Callable[[], object] | None = None
        """Called, in the event loop's next turn, after a piece has ended."""
        self._goes_on = goes_on

    def piece(self, items: Items) -> Any:
        """Make a piece of items that come from the source."""
        self.sent += len(items)
        if len(items) > 1 and items.__class__ is not range:
            self.size.observe_item(_bytes_of(items[0]))
        return self._make(self, items)

    def argument(self, items: Items) -> Any:
        """Return the argument of a piece."""
        if len(items) > 1:
            return Chunk(items, self._function, spread=self._spread, goes_on=self._goes_on)
        item = items[0]
        if self._function is None:
            return item
        return self._function, item if self._spread else (item,)

    @property
    def has_enough(self) -> bool:
        """Whether the workers have enough to do for now."""
        return self.size.is_enough(self.sent - self.over)

    def stop(self) -> None:
        """Note that nobody wants what has not ended."""
        self.stopped = True

    # In the event loop's thread

    def ended(self, piece: Any, value: Any) -> list[Part]:
        """Turn what a worker has made of a piece into its parts."""
        parts, begun = self._parts_of(piece, value)
        if begun:
            self._learn(begun, piece.cost or 0.0, parts)
        elif not piece.revoked:
            self.size.single = self.engine.chunks.by_items = True  # the worker takes no chunks
        if piece.skip:
            assert isinstance(parts[0], list)
            del parts[0][: piece.skip]
        done = sum(len(part) if isinstance(part, list) else 0 for part in parts)
        failed = sum(not isinstance(part, list) for part in parts)
        self._count(completed=done - 1, failed=failed)
        if piece.worker is not None:
            piece.worker._worker.tasks_completed += begun - 1 - piece.skip
        self._leave(piece, begun, wanted=self._goes_on or not failed)
        return parts

    def failed(self, piece: Any, error: BaseException) -> list[Part]:
        """Turn the error that a piece as a whole has ended with into its parts."""
        count, begun = piece.end, piece.end
        if len(piece.items) > 1:
            if isinstance(error, SerializationError) and error.subject == "argument":
                return self._halve(piece)
            if isinstance(error, WorkerCrashed):
                stretch = piece.argument.suspects
                begun = min(count, stretch[1] if stretch else count)
        self._count(failed=begun - 1 - piece.skip)
        self._leave(piece, begun, wanted=self._goes_on)
        return [error]

    def take_rest(self, piece: Any, end: int) -> None:
        """Have what a stuck piece will not begin, from `end` on, run elsewhere."""
        items, piece.end = piece.items[end : piece.end], min(end, piece.end)
        if items and not self.stopped:
            self.size.shrink()
            self._add(piece, items, gently=True)

    def hand_out(self, piece: Any, attempt: int, values: list[Any]) -> None:
        """End a piece with the results of its first items; another one stands for what it still does.

        Some of them have been handed out already if this one took the place of another.
        """
        other = self._make(self, piece.items)
        for name in _OF_ATTEMPT:
            setattr(other, name, getattr(piece, name))
        other.end, other.revoked, other.skip = piece.end, piece.revoked, len(values)
        other.rest, piece.rest = piece.rest, [other]
        del values[: piece.skip]
        self.engine.ledger.dispatched[attempt] = other
        self.engine.chunks.forget(piece)
        self.engine.chunks.watch(other)
        self.over += len(values)
        self._count(completed=len(values))
        if other.worker is not None:
            other.worker._worker.tasks_completed += len(values)
        piece.items = []
        piece.argument = None
        piece._set_parts([values])

    def _leave(self, piece: Any, begun: int, *, wanted: bool) -> None:
        """End the account of a piece; what it has not begun is run by others, or dropped."""
        left = piece.items[begun : piece.end]
        self.over += min(begun, piece.end) - piece.skip
        self.engine.chunks.forget(piece)
        if left and wanted and not self.stopped:
            self._add(piece, left, gently=piece.revoked)
        else:
            self.over += len(left)
        piece.items = []
        piece.argument = None
        if self.on_ended is not None:
            self.engine.loop.call_soon(self.on_ended)

    def _halve(self, piece: Any) -> list[Part]:
        """Find out which of the items it is that cannot be pickled: it alone is to fail."""
        items = piece.items[: piece.end]
        middle = (len(items) + 1) // 2
        self._count(failed=-1)
        if not self.stopped:
            self._add(piece, items[middle:], cut=False)
            self._add(piece, items[:middle], cut=False)
        self._leave(piece, len(items), wanted=False)
        self.over -= 0 if self.stopped else len(items)
        return []

    def _add(self, piece: Any, items: Items, *, cut: bool = True, gently: bool = False) -> None:
        """Have items that a piece had run as pieces of their own, before those taken from it earlier.

        `gently`: what comes next to a slow item may be slow, too; so the pieces are small at first.
        """
        pieces, position = [], 0
        while position < len(items):
            size = self.size.next(len(items) - position) if cut else len(items)
            if gently:
                size = min(size, 1 + position // self.size.workers)
            pieces.append(self._make(self, items[position : position + size]))
            position += size
        piece.rest[:0] = pieces
        # Later: this may be in the middle of something. Until then they count as pending, or the
        # pool would take itself for idle.
        self.engine.outcomes.pending += len(pieces)
        self.engine.loop.call_soon(self._add_now, pieces)

    def _add_now(self, pieces: list[Any]) -> None:
        for piece in pieces:
            if piece.done():
                continue  # cancelled meanwhile, and counted
            if self.engine.is_closed:
                self.engine.outcomes.fail(
                    piece, PoolClosed("the pool was killed before this task ended")
                )
                continue
            self.engine.outcomes.pending -= 1
            self.engine.add(piece)
            self.engine.chunks.watch(piece)

    def _parts_of(self, piece: Any, value: Any) -> tuple[list[Part], int]:
        """Return the parts of a worker's answer, and how many items it has begun."""
        if len(piece.items) == 1:
            return [[value]], 1
        if isinstance(value, list):
            return [value], len(value)
        if isinstance(value, int):
            return [[None] * value], value
        packed, begun = value
        return [self._unpacked(part) for part in packed], begun

    def _learn(self, begun: int, seconds: float, parts: list[Part]) -> None:
        self.size.observe(begun, seconds)
        first = parts[0] if begun > 1 else None
        if isinstance(first, list) and first:
            self.size.observe_result(_bytes_of(first[0]))

    def _unpacked(self, part: list[Any] | bytes) -> Part:
        if isinstance(part, list):
            return part
        try:
            return unpack_error(part, side="pool", unpickle=self.engine.revival.loads)
        except FOREIGN_ERRORS as failure:
            return unreadable("exception", "pool", failure)

    def _count(self, *, completed: int = 0, failed: int = 0) -> None:
        """Count the items of a piece that was counted as one task."""
        self.engine.outcomes.completed += completed
        self.engine.outcomes.failed += failed


def one_by_one(values: list[Any]) -> Iterator[Any]:
    """Iterate over results, whose list is nobody else's; one that has been handed out is not kept alive."""
    if values and values[0].__class__ in _LIGHT_TYPES:
        return iter(values)  # three times as fast
    values.reverse()
    return starmap(values.pop, repeat((), len(values)))


def _bytes_of(item: Any) -> int:
    """Return about how large an item is when it is pickled."""
    if item is None:
        return 1
    if item.__class__ in PLAIN_TYPES:
        return _PLAIN_BYTES
    if item.__class__ in (str, bytes):
        return len(item) + _PLAIN_BYTES
    serializer = Serializer("pool")
    try:
        size = len(pickle.dumps(item, 5, buffer_callback=serializer._keep))
    except TaskCancelled:
        raise
    except FOREIGN_ERRORS:
        return _UNKNOWN_BYTES
    return size + sum(buffer.raw().nbytes for buffer in serializer.take_buffers())
