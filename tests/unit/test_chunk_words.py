"""What a worker shows of a chunk: the words in the status page, and the tray."""

from __future__ import annotations

import pickle
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workpool._chunk_size import MOST_ITEMS
from workpool._worker.chunks import Chunk
from workpool._worker.stretches import (
    copy_of_tray,
    kept_results,
    pack_kept,
    pack_stretch,
    unpack_stretch,
)

attempts = st.integers(1, (1 << 60) - 1)
positions = st.integers(0, MOST_ITEMS)


@given(attempts, positions, positions)
def test_a_stretch(attempt: int, first: int, end: int) -> None:
    """It comes back as it was written, in one word, and means nothing for another attempt."""
    word = pack_stretch(attempt, first, end)
    assert word < 1 << 64
    assert unpack_stretch(word, attempt) == (first, end)
    assert unpack_stretch(word, attempt + 1) is None


def tray_of(*stretches: Any) -> memoryview:
    """Return a tray with pickled stretches on it."""
    packed = [pickle.dumps(values, 5) for values in stretches]
    return memoryview(b"".join(len(p).to_bytes(4, "little") + p for p in packed) + b"rest")


@given(attempts, st.lists(st.lists(st.integers())))
def test_a_tray(attempt: int, stretches: list[list[int]]) -> None:
    """All stretches on it come back, in order; none of another attempt."""
    tray = tray_of(*stretches)
    word = pack_kept(attempt, len(tray) - 4)
    kept = kept_results(copy_of_tray(word, attempt, tray))
    assert kept == [value for part in stretches for value in part]
    assert copy_of_tray(word, attempt + 1, tray) == b""


def test_a_tray_that_cannot_be_read() -> None:
    """What cannot be unpickled here counts as not kept."""
    tray = memoryview(b"\x05\0\0\0wrong")
    assert kept_results(copy_of_tray(pack_kept(7, len(tray)), 7, tray)) == []


def test_a_chunk_in_an_error() -> None:
    """It says how many there are, or which its worker was at, whatever the items are; briefly."""
    chunk = Chunk([threading.Lock(), *range(99)])
    assert "100 items" in repr(chunk)
    chunk.suspects = (5, 6)
    assert repr(chunk) == "one of 100 items sent together: 4"
    chunk.suspects = (5, 8)
    assert repr(chunk) == "one of 3 of 100 items sent together: 4 to 6"
    assert len(repr(Chunk(["x" * 1000] * 9))) < 120


def test_a_chunk_travels() -> None:
    """With its items, as a range if they are one, and what is to be done with them."""
    chunk = pickle.loads(pickle.dumps(Chunk(range(10**6), abs, spread=True, goes_on=True), 5))
    assert (chunk.items, chunk.function, chunk.spread, chunk.goes_on) == (
        range(10**6),
        abs,
        True,
        True,
    )
    assert len(pickle.dumps(Chunk(range(10**6)), 5)) < 200
