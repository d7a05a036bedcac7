"""The arena: shared memory that holds the payloads of the tasks in the kernel queues.

The pool writes, workers read. Space is given out in *chunks* filled from their start; a chunk is
free again when the last task in it is done. So both giving and freeing take constant time, and a
task that runs for long holds on to one chunk, not to everything behind it.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter

from workpool._system.memory import anonymous_file

_CHUNK_BITS = 16
CHUNK_BYTES = 1 << _CHUNK_BITS
"""Large enough for a few hundred small tasks, small enough to waste little when one lingers."""

MOST_CHUNKS = (1 << 32) // CHUNK_BYTES - 1
"""A token has 32 bits for an offset."""

RECORD_LIMIT = CHUNK_BYTES // 4
"""Larger records travel as parcels, so that a chunk is never lost to one of them."""


class Arena:
    """The pool's side: gives out and frees space for records. Making it raises `OSError`.

    Physical memory is used only where records have been: free chunks are given out again last in,
    first out.
    """

    def __init__(self, chunks: int) -> None:
        self.descriptor = anonymous_file("arena", chunks * CHUNK_BYTES)
        try:
            self.memory = mmap.mmap(self.descriptor, chunks * CHUNK_BYTES)
        except OSError:
            os.close(self.descriptor)
            raise
        self._free = list(range(chunks - 1, -1, -1))
        self._records = [0] * chunks
        self._chunk = self._free.pop()
        self._position = self._chunk * CHUNK_BYTES
        self._end = self._position + CHUNK_BYTES

    def write(self, flags: int, payload: bytes) -> int:
        """Store a record (a byte of flags, then the payload); return its offset, -1 if full.

        Never blocks. The payload must be smaller than `RECORD_LIMIT`.
        """
        offset = self._position
        after = offset + 1 + len(payload)
        if after > self._end:
            if not self._next_chunk():
                return -1
            offset = self._position
            after = offset + 1 + len(payload)
        memory = self.memory
        memory[offset] = flags
        memory[offset + 1 : after] = payload
        self._position = after
        self._records[offset // CHUNK_BYTES] += 1
        return offset

    def free(self, offset: int) -> None:
        """Give a record's space back."""
        self._free_records(offset // CHUNK_BYTES, 1)

    def free_all(self, offsets: list[int]) -> None:
        """Give the space of many records back. Most lie in few chunks."""
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
        return sum(self._records)

    def close(self) -> None:
        """Give the memory back. Workers keep theirs until they end."""
        self.memory.close()
        os.close(self.descriptor)

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
