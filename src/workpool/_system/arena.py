"""The arena: shared memory that holds the payloads of the tasks in the kernel queues.

The pool writes, workers read. Space is given out in *chunks* filled from their start; a chunk is
free again when the last task in it is done. So both giving and freeing take constant time, and a
task that runs for long holds on to one chunk, not to everything behind it.

Large records lie behind the chunks, each in a *span* of its own: as many pages as it needs, the first
ones that are free, so that the same memory is written to again while it is in the caches.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter

from workpool._system.memory import Bare, Layout, anonymous_file

_CHUNK_BITS = 16
CHUNK_BYTES = 1 << _CHUNK_BITS
"""Large enough for a few hundred small tasks, small enough to waste little when one lingers."""

MOST_CHUNKS = (1 << 32) // CHUNK_BYTES - 1
"""A token has 32 bits for an offset."""

RECORD_LIMIT = CHUNK_BYTES // 4
"""Larger records have a span each, so that a chunk is never lost to one of them."""

SPAN_LIMIT = 1 << 20
"""Payloads that are larger still travel as parcels: from about this size on it costs less to map
memory than to copy out of it."""

LAYOUT_START = 64
"""Where in its span a payload with buffers begins, behind the flags."""

_PAGE = mmap.PAGESIZE


class Arena:
    """The pool's side: gives out and frees space for records. Making it raises `OSError`.

    Physical memory is used only where records have been: free chunks are given out again last in,
    first out, and what large records leave behind is given back by `give_back`.
    """

    def __init__(self, chunks: int, span_bytes: int = 0) -> None:
        self._spans_start = chunks * CHUNK_BYTES
        size = self._spans_start + span_bytes
        self.descriptor = anonymous_file("arena", size)
        try:
            self.memory = mmap.mmap(self.descriptor, size)
        except OSError:
            os.close(self.descriptor)
            raise
        self._free = list(range(chunks - 1, -1, -1))
        self._records = [0] * chunks
        self._chunk = self._free.pop()
        self._position = self._chunk * CHUNK_BYTES
        self._end = self._position + CHUNK_BYTES
        self._pages = bytearray(span_bytes // _PAGE)  # of the spans: 1 where a record lies
        self._spans: dict[int, int] = {}  # offset of a large record -> how many pages it has

    def write(self, records: list[bytes]) -> int:
        """Store records one after the other; return the offset of the first, -1 if there is no room.

        A record is a byte of flags and a payload. Never blocks. Together they must not be larger than
        `RECORD_LIMIT`.
        """
        data = b"".join(records)
        offset = self._position
        if offset + len(data) > self._end:
            if not self._next_chunk():
                return -1
            offset = self._position
        self._position = after = offset + len(data)
        self.memory[offset:after] = data
        self._records[offset >> _CHUNK_BITS] += len(records)
        return offset

    def write_large(self, flags: int, content: Bare | Layout) -> tuple[int, int] | None:
        """Store one large record in a span; return its offset and length, None if there is no room."""
        start = 1 if isinstance(content, Bare) else LAYOUT_START
        length = start + content.size
        pages = -(-length // _PAGE)
        first = self._pages.find(bytes(pages))
        if first < 0:
            return None
        offset = self._spans_start + first * _PAGE
        self.memory[offset] = flags
        content.copy_to(self.memory, offset + start)
        self._pages[first : first + pages] = b"\1" * pages
        self._spans[offset] = pages
        return offset, length

    def free(self, offset: int) -> None:
        """Give a record's space back."""
        if offset >= self._spans_start:
            self._free_span(offset)
        else:
            self._free_records(offset // CHUNK_BYTES, 1)

    def free_all(self, offsets: list[int]) -> None:
        """Give the space of many records back. Most lie in few chunks."""
        if len(offsets) == 1:
            self.free(offsets[0])
            return
        if self._spans:
            for offset in offsets:
                if offset >= self._spans_start:
                    self._free_span(offset)
            offsets = [offset for offset in offsets if offset < self._spans_start]
        for chunk, count in Counter([offset >> _CHUNK_BITS for offset in offsets]).items():
            self._free_records(chunk, count)

    def _free_records(self, chunk: int, count: int) -> None:
        left = self._records[chunk] = self._records[chunk] - count
        if not left:
            if chunk == self._chunk:
                self._position = chunk * CHUNK_BYTES
            else:
                self._free.append(chunk)

    def add_flag(self, offset: int, flag: int) -> None:
        """Set a bit in a record's flags. Only the pool writes there, so there is no race."""
        self.memory[offset] |= flag

    @property
    def records(self) -> int:
        """How many records are stored."""
        return sum(self._records) + len(self._spans)

    def give_back(self) -> None:
        """Give back the physical memory of all free spans. Nobody can be reading there."""
        pages = self._pages
        start = pages.find(0)
        while start >= 0:
            end = pages.find(1, start)
            end = len(pages) if end < 0 else end
            place, length = self._spans_start + start * _PAGE, (end - start) * _PAGE
            try:
                self.memory.madvise(mmap.MADV_REMOVE, place, length)
            except OSError:
                return  # a kernel without it: the memory is used again
            start = pages.find(0, end)

    def close(self) -> None:
        """Give the memory back. Workers keep theirs until they end."""
        self.memory.close()
        os.close(self.descriptor)

    def _free_span(self, offset: int) -> None:
        pages = self._spans.pop(offset)
        first = (offset - self._spans_start) // _PAGE
        self._pages[first : first + pages] = bytes(pages)

    def _next_chunk(self) -> bool:
        if not self._free:
            return False
        # The chunk that was being filled is not in the free list while it has records.
        self._chunk = self._free.pop()
        self._position = self._chunk * CHUNK_BYTES
        self._end = self._position + CHUNK_BYTES
        return True


def map_arena(descriptor: int) -> mmap.mmap:
    """Map an arena for reading, in a worker."""
    return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
