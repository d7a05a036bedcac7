"""How large chunks are made: by what items have cost, and never too large to be trusted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workpool._chunk_size import (
    AHEAD_SECONDS,
    CHUNK_BYTES,
    CHUNK_SECONDS,
    MOST_ITEMS,
    ChunkSize,
)

EVERYTHING = 1 << 40


def learned(seconds: float, workers: int = 2) -> ChunkSize:
    """Return a size that has seen many items of this cost."""
    size = ChunkSize(workers)
    size.taken = EVERYTHING
    for _ in range(20):
        size.observe(size.next(), seconds * size.next())
    return size


def test_the_first_go_singly() -> None:
    """Before anything is known, and as long as what is known is that they are costly."""
    assert ChunkSize(2).next() == 1
    assert learned(CHUNK_SECONDS).next() == 1
    assert learned(1.0).next() == 1


def test_cheap_ones_fill_the_time() -> None:
    """A chunk is to hold so much work; it grows by steps."""
    size = ChunkSize(2)
    size.taken = EVERYTHING
    sizes = []
    for _ in range(6):
        sizes.append(size.next())
        size.observe(sizes[-1], 1e-6 * sizes[-1])
    assert sizes == [1, 8, 64, 512, 4000, 4000]
    assert learned(1e-9).next() == MOST_ITEMS


def test_dearer_items_are_believed_at_once() -> None:
    """A chunk that takes longer makes the next one smaller, step by step; cheaper ones are believed slowly."""
    size = learned(1e-6)
    sizes = []
    for _ in range(8):
        sizes.append(size.next())
        size.observe(100, 0.1)
    assert sizes == [4000, 1000, 250, 62, 15, 4, 4, 4]
    size.observe(4, 4e-6)
    assert size.next() < 10


def test_large_items() -> None:
    """Bytes bound a chunk, and what is ahead of the workers, as well."""
    size = learned(1e-6)
    size.observe_item(CHUNK_BYTES // 5)
    assert size.next() == 5
    assert size.is_enough(50)
    size.observe_result(10 * CHUNK_BYTES)
    assert size.next() == 1


def test_small_results_do_not_make_large_items_small() -> None:
    """However many come at once before the next item is looked at."""
    size = learned(1e-6)
    size.observe_item(CHUNK_BYTES // 5)
    for _ in range(20):
        size.observe_result(1)
    assert size.next() == 5


def test_the_last_chunks_are_small() -> None:
    """So that the workers end together."""
    assert learned(1e-6).next(left=400) == 100
    assert learned(1e-6).next(left=1) == 1


def test_what_is_ahead() -> None:
    """Enough is three chunks for each worker, and so much work."""
    size = learned(1e-4)
    assert not size.is_enough(int(AHEAD_SECONDS / 1e-4) * 2 - 2)
    assert size.is_enough(int(AHEAD_SECONDS / 1e-4) * 2 + 2)


def test_a_stuck_chunk() -> None:
    """After it chunks are small for a while."""
    size = learned(1e-6)
    before = size.next()
    size.shrink()
    assert size.next() == before // 8


@given(
    st.integers(1, 64),
    st.integers(1, 5000),
    st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), max_size=20),
    st.integers(0, 1000),
)
def test_bounds(workers: int, buffer: int, seen: list[tuple[int, float]], left: int) -> None:
    """Whatever was seen: at least one, at most the buffer, and a buffer's worth is enough for something."""
    size = ChunkSize(workers, buffer=buffer)
    for items, seconds in seen:
        size.observe(items, seconds)
    assert 1 <= size.next(left) <= max(1, min(buffer, MOST_ITEMS))
    assert size.most_held == buffer
    assert ChunkSize(workers, 7).next(left) == 7
    assert ChunkSize(workers, 7, 3).next() == 3
    assert ChunkSize(workers, 1).single
