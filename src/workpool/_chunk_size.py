"""How many items of a `map` travel together as one task. Pure.

One task costs the pool some ten microseconds of work, whatever it does. Items that cost less than that go in
*chunks*; the first ones go singly, to be measured, and costly ones for ever, so that each can be stolen by itself.
"""

from __future__ import annotations

CHUNK_SECONDS = 0.004
"""Work a chunk is to hold: a hundred times what one costs the pool on a busy machine, and little enough that
workers end together, that the first result is soon there, and that what a crash loses is little."""

CHUNK_BYTES = 256 << 10
"""Pickled bytes a chunk is to hold at most: with this the memory of an endless `map` is bounded."""

MOST_ITEMS = 0xFFFF
"""Items a chunk holds at most: its worker shows how far it is in sixteen bits."""

AHEAD_SECONDS = 0.02
"""Work that is kept with each worker, so that none waits for a consumer that is busy for so long."""

AHEAD_BYTES = 1 << 20
"""Unless it is so many pickled bytes."""

_GROWTH = 8
"""By how much a chunk may be larger than the largest that is known to have gone well."""

_WEIGHT = 0.5
"""Of the newest chunk when items get cheaper. When they get dearer that is believed at once, but for this:"""

_MOST_RISE = 4
"""By how much items get dearer at a time: on a busy machine a worker may lose the CPU for a while."""

_FIRST_GUESS = 1e-3  # seconds an item costs, before any has been measured
_FEWEST_HELD = 1024


class ChunkSize:
    """Says how large the next chunk is to be, from what earlier ones have cost."""

    def __init__(self, workers: int, fixed: int | None = None, buffer: int | None = None) -> None:
        self.workers = workers
        self.fixed = fixed
        self.single = fixed == 1
        """Whether every item is to be a task of its own."""
        self.seconds = 0.0
        """What one item costs, 0 while that is not known."""
        self._bytes = self._bytes_given = self._bytes_returned = 1
        self._limit = 1
        self._buffer = buffer
        self.taken = 0
        """Results the consumer has taken so far."""

    def next(self, left: int | None = None) -> int:
        """Return how many items the next chunk is to have, at least one.

        `left` is how many there are still, if that is known: the last chunks are small, so that all
        workers end at the same time.
        """
        size = self._wanted()
        if not self._is_fixed:
            size = min(size, self._limit)
            if left is not None:
                size = min(size, left // (2 * self.workers))
        return max(1, size)

    def is_enough(self, items: int) -> bool:
        """Whether so many items, sent and not ended, keep all workers busy for now."""
        if items < 3 * self.workers * self.next():
            return False
        if self._limit < self._wanted() and not self._is_fixed and self.seconds:
            return True  # soon they may be larger
        if items * self._bytes >= AHEAD_BYTES * self.workers:
            return True
        return items * (self.seconds or _FIRST_GUESS) >= AHEAD_SECONDS * self.workers

    @property
    def _is_fixed(self) -> bool:
        return self.single or self.fixed is not None

    def _wanted(self) -> int:
        """Return how large a chunk would be if items were known to go on as they have been."""
        if self.single:
            return 1
        if self.fixed is not None:
            return min(self.fixed, MOST_ITEMS, self._buffer or MOST_ITEMS)
        if not self.seconds:
            return 1
        return min(self.most_held // (3 * self.workers), self._affordable())

    def _affordable(self) -> int:
        """Return how many items make a chunk of the time and size it may have."""
        if not self.seconds:
            return 1
        return min(int(CHUNK_SECONDS / self.seconds), CHUNK_BYTES // self._bytes, MOST_ITEMS)

    @property
    def most_held(self) -> int:
        """How many items there may be between the source and the consumer."""
        if self._buffer is not None:
            return self._buffer
        chunks = 3 * self.workers  # in work, on their way, and waiting for the consumer
        if self.fixed is not None:
            return max(_FEWEST_HELD, chunks * self.fixed)
        return max(_FEWEST_HELD, min(self.taken, 2 * chunks * self._affordable()))

    def observe(self, items: int, seconds: float) -> None:
        """Learn from a chunk of so many items that took so long."""
        if not items:
            return
        each = max(seconds / items, 1e-9)
        if not self.seconds:
            self.seconds = each
        elif each > self.seconds:
            self.seconds = min(each, _MOST_RISE * self.seconds)
        else:
            self.seconds += _WEIGHT * (each - self.seconds)
        self._limit = max(self._limit, min(items * _GROWTH, MOST_ITEMS))

    def observe_item(self, size: int) -> None:
        """Learn how large an item is when it is pickled."""
        self._bytes_given = max(size, self._bytes_given - self._bytes_given // 4)
        self._bytes = max(self._bytes_given, self._bytes_returned)

    def observe_result(self, size: int) -> None:
        """Learn how large a result is; many small ones at once do not make the items smaller."""
        self._bytes_returned = max(size, self._bytes_returned - self._bytes_returned // 4)
        self._bytes = max(self._bytes_given, self._bytes_returned)

    def shrink(self) -> None:
        """Note that a chunk has got stuck: be careful again."""
        self._limit = max(1, self.next() // _GROWTH)
