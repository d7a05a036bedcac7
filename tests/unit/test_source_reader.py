"""Reading sources in stretches: everything once, in order, and not longer than it must."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool._source_reader import SourceReader


@given(
    st.integers(0, 300),
    st.lists(st.integers(1, 100), min_size=1),
    st.sampled_from([range, lambda n: list(range(n)), lambda n: iter(range(n))]),
)
def test_everything_in_order(count: int, sizes: list[int], make: Any) -> None:
    """Whatever the source and the sizes that are asked for."""
    reader = SourceReader(make(count))
    items: list[int] = []
    for size in sizes * 300:
        if not reader.open:
            break
        part = reader.read(size)
        assert len(part) <= size
        items += part
    assert items == list(range(count))[: len(items)]
    assert not reader.open or len(items) == count or len(items) == sum(sizes) * 300


def test_what_a_source_raises() -> None:
    """What came before it is returned."""

    def source() -> Iterator[int]:
        yield from range(10)
        raise LookupError("gone")

    reader = SourceReader(source())
    items: list[int] = []
    while reader.open:  # one read may not take long enough
        items += reader.read(100)
    assert items == list(range(10))
    assert isinstance(reader.error, LookupError)


@pytest.mark.parametrize("first", [1, 7])
def test_taking_what_is_unsent(first: int) -> None:
    """Another thread gets what a read has, while it waits for more; the read returns the rest."""
    waits, go_on = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield from range(first)
        waits.set()
        assert go_on.wait(20)
        yield from range(first, 10)

    reader = SourceReader(source())
    taken: list[int] = []
    returned: list[int] = []

    def read() -> None:
        while reader.open:
            returned.extend(reader.read(1000))

    thread = threading.Thread(target=read)
    thread.start()
    assert waits.wait(20)
    reader.take_unsent(taken.extend)
    reader.take_unsent(taken.extend)
    go_on.set()
    thread.join(20)
    assert taken == list(range(first))[-len(taken) :]
    assert sorted(taken + returned) == list(range(10))
    reader.take_unsent(taken.extend)
    assert len(taken) <= first
