"""Reads the items of a source in stretches, without waiting longer for a source than it must."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from threading import RLock
from typing import Any

Items = list[Any] | tuple[Any, ...] | range

LONGEST_READ = 0.001
"""Seconds a source may be read for at a time: then its items are sent, and others have their turn."""

_QUICK_SECONDS = 1e-4
_MOST_BLINDLY = 64
"""Items taken at a time from a source that has been quick so far, without a look at the clock."""

_SLICED = (list, tuple, range)
"""Sources of which a stretch is cut out. That of a range is one again, which hardly takes any bytes."""

_INSTANT = (list, tuple, range, str, bytes, bytearray, dict, set, frozenset, deque)


class SourceReader:
    """Reads a source. What the source raises is kept in `error`, and ends it.

    A source that waits, in the middle of a read, for something that depends on what it has given before would
    wait for ever. So another thread may take what has been read, but not returned, by `take_unsent`.
    """

    def __init__(self, source: Iterable[Any], *, instant: bool = False) -> None:
        self.open = True
        self.error: Exception | None = None
        self.is_instant = instant or has_items(source)
        """Whether its items are there, so that reading them never waits."""
        self.left = _length(source)
        """How many items it has still, if it says that."""
        self._sliced: Any = source if type(source) in _SLICED else None
        self._position = 0
        self._iterator = iter(source)
        self._batch = 1
        self._reading: list[Any] | None = None
        self._taken = 0
        self._lock = RLock()

    @property
    def is_reading(self) -> bool:
        """Whether a read goes on."""
        return self._reading is not None

    def read(self, most: int) -> Items:
        """Return up to so many items; fewer of a source that takes its time, or has ended."""
        if self._sliced is not None:
            return self._cut(most)
        items: list[Any] = []
        self._reading = items
        try:
            self._read(items, most)
        except Exception as error:  # noqa: BLE001 - the source's; raised when its turn comes
            self.open = False
            self.error = error
        finally:
            with self._lock:
                self._reading = None
                taken, self._taken = self._taken, 0
        if self.left is not None:
            self.left = max(0, self.left - len(items))
        return items[taken:] if taken else items

    def take_unsent(self, send: Callable[[list[Any]], None]) -> None:
        """Send what a read that still goes on has got so far. For another thread than the reader's."""
        with self._lock:
            if self._reading is None:
                return
            items = self._reading[self._taken :]
            if items:
                self._taken += len(items)
                send(items)

    def _cut(self, most: int) -> Items:
        items: Items = self._sliced[self._position : self._position + most]
        self._position += len(items)
        self.left = len(self._sliced) - self._position
        if len(items) < most:
            self.open = False
        return items

    def _read(self, items: list[Any], most: int) -> None:
        end = now = time.monotonic()
        end += LONGEST_READ
        while len(items) < most and now < end:
            count = most - len(items)
            if not self.is_instant:
                count = min(count, self._batch)
            before = len(items)
            items.extend(islice(self._iterator, count))
            if len(items) - before < count:
                self.open = False
                return
            last, now = now, time.monotonic()
            if now - last > _QUICK_SECONDS:
                self._batch = 1
            else:
                self._batch = min(2 * self._batch, _MOST_BLINDLY)


def has_items(source: object) -> bool:
    """Whether a source holds its items, rather than making them when they are asked for."""
    return type(source) in _INSTANT


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except Exception:  # noqa: BLE001 - it is somebody's class, and this is for the balance only
        return None
