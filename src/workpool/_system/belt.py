"""The belt of a slot: shared memory through which results travel that do not fit a report.

The worker lays the body on the belt and *then* reports where it lies, so what was reported is whole,
whatever kills the worker in between. The pool takes it off and writes how far it has read; the space
behind is the worker's again. Both count in bytes since the worker's start, and a place is that number
modulo the belt's length: no body lies partly at the end and partly at the beginning.
"""

from __future__ import annotations

from struct import Struct

from workpool._system.memory import Bare, Layout, copy_parts
from workpool._system.status_page import BELT_BYTES, BELT_READ
from workpool.errors import InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from workpool._system.status_page import StatusPage

BELT_LIMIT = 1 << 20
"""Larger bodies travel as parcels."""

_NOTE = Struct("<QIIB")
"""Where the body ends, in bytes since the start; its place; its length; whether it has buffers."""


class Belt:
    """The worker's end. Not for use by several threads at a time."""

    def __init__(self, page: StatusPage, slot: int) -> None:
        self._page = page
        self._slot = slot
        self._memory = page.belt(slot)
        self._words = page.words
        self._read_word = page.field(slot, BELT_READ)
        self._used = 0, 0
        """Where the first body begins that may not have been read, and where the last one ends. One
        object, so that whatever interrupts its thread, they belong together."""
        self._touched = False

    def lay(self, content: Bare | Layout) -> bytes | None:
        """Lay a body on the belt; return the note of where it lies, or None if there is no room.

        What is laid there and never reported is passed over.
        """
        (first, end), length = self._used, content.size
        first = max(int(self._words[self._read_word]), first)
        start = -(-end // BELT_BYTES) * BELT_BYTES
        if first == end:
            first = start  # nothing is on it: the beginning is in the caches
        elif end + length <= start:
            start = end
        if start + length - first > BELT_BYTES:
            return None
        self._touched = True
        place = start % BELT_BYTES
        content.copy_to(self._memory, place)
        end = (start + length + 63) & ~63
        self._used = first, end
        return _NOTE.pack(end, place, length, isinstance(content, Layout))

    def give_back(self) -> None:
        """Give its memory back if nothing is on it."""
        if self._touched and self._words[self._read_word] == self._used[1]:
            self._touched = False
            self._page.give_belt_back(self._slot)


class BeltReader:
    """The pool's end of all belts."""

    def __init__(self, page: StatusPage) -> None:
        self._page = page

    def body(self, slot: int, note: bytes) -> tuple[memoryview, list[Any]]:
        """Return what a note is about: the pickle, where it lies, and copies of its buffers.

        Raises `InternalError` if it is no note.
        """
        if len(note) != _NOTE.size:
            raise InternalError(f"a note of {len(note)} bytes about the belt came from a worker")
        _, place, length, has_buffers = _NOTE.unpack(note)
        if place + length > BELT_BYTES:
            raise InternalError("a note came from a worker about what is not on its belt")
        view = self._page.belt(slot)[place : place + length]
        return copy_parts(view) if has_buffers else (view, [])

    def done(self, slot: int, note: bytes) -> int:
        """Let the worker have the space of what was read, and of all before it; return how large it was."""
        end, _, length, _ = _NOTE.unpack(note)
        self._page.words[self._page.field(slot, BELT_READ)] = end
        return int(length)
