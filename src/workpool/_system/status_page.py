"""The status page: one record per slot in shared memory, every field with a single writer.

A record is a row of 64-bit words: the header fields below, then `lanes` of three words each. A
lane is the place of one task (an async worker has as many as its concurrency; a synchronous one has
two, so that it can take the next task before it reports the last): the token as the kernel wrote it there (attempt; offset and length), and when the task
began. Words are aligned and written by single stores, so no reader sees half of one.

    lane's attempt   begun   meaning, when the worker dies and the attempt is not reported
    of this attempt  0       taken, not begun: may be dispatched again
    of this attempt  time    running, or finished and not reported: lost with the worker

The worker writes *begun* before it calls the entrypoint, and clears it only after the report is in
the kernel.
"""

from __future__ import annotations

import mmap
import os

from workpool._frames import TOKEN
from workpool._quick import signal
from workpool._system.memory import anonymous_file

# Written by the worker.
IDLE = 0  # perf_counter_ns since when it sleeps or has free lanes; 0: every lane is busy
STOLEN = 1  # how many tasks it has taken from other slots' queues
MAIL_READ = 6  # how many pieces of mail it has received and acted on
SHELF = 9  # the member of a batch whose result is the first on the shelf
STRETCH = 7  # which items of a chunk it is running, and the attempt they belong to
KEPT = 10  # how many bytes of results of a chunk are in its tray, and the attempt they belong to
# Written by the pool.
MAIL = 2  # how many pieces of mail have been sent to the slot
INTERRUPT = 3  # the attempt that the signal INTERRUPTION is about
CONDEMNED = 4  # the attempt the worker is about to be killed for
REPORTS_READ = 5  # bytes of the worker's reports that the pool has read
REVOKED = 8  # the attempt of a chunk of which the worker is to begin nothing more
BELT_READ = 11  # how far the pool has read the slot's belt, in bytes since its worker's start
_HEADER_WORDS = 12
SHELF_BYTES = 4096
TRAY_BYTES = 256 << 10  # touched only while there are chunks
BELT_BYTES = 4 << 20  # touched only while there are large results
_LANE_WORDS = 3
_BEGUN = 2
WORD = 8

INTERRUPTION = signal.SIGURG
"""The signal that makes a worker look at INTERRUPT, and at REVOKED. Where nobody handles it, it does nothing; no C
library uses it for itself; and unlike SIGINT, which tasks may be about, it is hardly ever used at all."""


FEWEST_LANES = 2


class StatusPage:
    """A view of the page, in the pool (which makes it) or in a worker (which maps it)."""

    def __init__(self, descriptor: int, slots: int, concurrency: int) -> None:
        self.descriptor = descriptor
        self.lanes = lanes = max(FEWEST_LANES, concurrency)
        self._record_words = _HEADER_WORDS + _LANE_WORDS * lanes
        self._map = mmap.mmap(descriptor, page_bytes(slots, lanes))
        self._bytes = memoryview(self._map)
        slots = max(1, slots)
        self._belts = _belts_start(slots, lanes)
        self._trays = self._belts + slots * BELT_BYTES
        self._shelves = self._trays + slots * TRAY_BYTES
        self.words = self._bytes.cast("Q")

    def field(self, slot: int, field: int) -> int:
        """Return the index in `words` of a slot's header field."""
        return slot * self._record_words + field

    def attempt_index(self, slot: int, lane: int) -> int:
        """Return the index in `words` of the attempt in a lane."""
        return slot * self._record_words + _HEADER_WORDS + lane * _LANE_WORDS

    def begun_index(self, slot: int, lane: int) -> int:
        """Return the index in `words` of the time (perf_counter_ns) the lane's task began."""
        return self.attempt_index(slot, lane) + _BEGUN

    def token_cell(self, slot: int, lane: int) -> memoryview:
        """Return the 16 bytes of a lane that the kernel writes a token into."""
        start = self.attempt_index(slot, lane) * WORD
        return self._bytes[start : start + TOKEN.size]

    def shelf(self, slot: int) -> memoryview:
        """Return the bytes in which a worker keeps results that it has not reported yet."""
        start = self._shelves + slot * SHELF_BYTES
        return self._bytes[start : start + SHELF_BYTES]

    def tray(self, slot: int) -> memoryview:
        """Return the bytes in which a worker keeps the results of a chunk until it is reported."""
        start = self._trays + slot * TRAY_BYTES
        return self._bytes[start : start + TRAY_BYTES]

    def belt(self, slot: int) -> memoryview:
        """Return the bytes through which a worker's large results travel."""
        start = self._belts + slot * BELT_BYTES
        return self._bytes[start : start + BELT_BYTES]

    def give_belt_back(self, slot: int) -> None:
        """Give back the physical memory of a belt with nothing on it. To be called by its worker."""
        try:
            self._map.madvise(mmap.MADV_REMOVE, self._belts + slot * BELT_BYTES, BELT_BYTES)
        except OSError:
            return  # a kernel without it: the memory is used again

    def held(self, slot: int) -> list[tuple[int, int]]:
        """Return (attempt, begun) of every lane of a slot that has ever been used."""
        first = self.attempt_index(slot, 0)
        lanes = range(first, first + self.lanes * _LANE_WORDS, _LANE_WORDS)
        return [self._lane(lane) for lane in lanes if self.words[lane]]

    def _lane(self, lane: int) -> tuple[int, int]:
        words = self.words
        while True:
            attempt, begun = words[lane], words[lane + _BEGUN]
            if words[lane] == attempt:  # or it was another task that has begun
                return attempt, begun

    def clear(self, slot: int) -> None:
        """Make a slot's record fresh for the next worker in it."""
        start = self.field(slot, 0)
        self.words[start : start + self._record_words] = memoryview(
            bytes(self._record_words * WORD)
        ).cast("Q")

    def close(self) -> None:
        """Unmap the page and close its descriptor."""
        self.words.release()
        self._bytes.release()
        self._map.close()
        os.close(self.descriptor)


def page_bytes(slots: int, lanes: int) -> int:
    """Return the size of a page."""
    slots = max(1, slots)
    return _belts_start(slots, lanes) + slots * (BELT_BYTES + TRAY_BYTES + SHELF_BYTES)


def _belts_start(slots: int, lanes: int) -> int:
    records = slots * (_HEADER_WORDS + _LANE_WORDS * lanes) * WORD
    # Whole pages, so that they can be given back.
    return -(-records // mmap.PAGESIZE) * mmap.PAGESIZE


def new_page(slots: int, concurrency: int) -> StatusPage:
    """Make a page, in the pool. Raises `OSError`."""
    size = page_bytes(slots, max(FEWEST_LANES, concurrency))
    descriptor = anonymous_file("status", size)
    try:
        return StatusPage(descriptor, slots, concurrency)
    except OSError:
        os.close(descriptor)
        raise
