"""Results that are what came in: sent back as they are only if nothing of them was written to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pickle import PickleBuffer
from typing import Any

import numpy
import pytest

from workpool._serialization import Serializer, loads
from workpool._system import returned as module
from workpool._system.memory import RETURNABLE_BYTES, read_parcel, read_returned, write_parcel
from workpool._system.returned import returned

COUNT = RETURNABLE_BYTES // 8 + 1000


@pytest.fixture(autouse=True)
def tried_out_anew() -> Iterator[None]:
    module._can_tell.clear()
    yield
    module._can_tell.clear()


def arrived(*values: Any) -> list[Any]:
    """Return values as a task gets them."""
    serializer = Serializer("pool")
    data = serializer.dumps(list(values), "argument")
    parcel = write_parcel(data, serializer.take_buffers())
    made: list[Any] = loads(
        *read_parcel(parcel, returnable=True), side="worker", subject="argument"
    )
    return made


def way_back(value: Any) -> tuple[int, bytes] | None:
    serializer = Serializer("worker")
    data = serializer.dumps(value, "result")
    return returned(data, serializer.take_buffers())


def received(way: tuple[int, bytes] | None) -> Any:
    assert way is not None
    descriptor, details = way
    parts = read_returned(os.dup(descriptor), details)
    return loads(*parts, side="pool", subject="result")


def numbers(count: int = COUNT) -> Any:
    return numpy.arange(count, dtype=float)


def test_an_array_goes_back_as_it_came() -> None:
    """It may have been read, and stands in another object now; both sides may then write to it."""
    [array] = arrived(numbers())
    assert array.sum() == numbers().sum()
    back = received(way_back({"result": array}))["result"]
    assert numpy.array_equal(back, numbers())
    array[0] = -1
    back[1] = -2
    assert (back[0], array[1]) == (0, 1)


@pytest.mark.parametrize("place", [0, COUNT // 2, COUNT - 1])
def test_one_number_that_was_written_is_enough(place: int) -> None:
    """Wherever it is, and whatever is written, the result is copied."""
    [array] = arrived(numbers())
    array[place] = place
    assert way_back(array) is None


def test_views_and_parts_go_back() -> None:
    """A view, another shape, a part that is most of it: what was not written to may go."""
    [array] = arrived(numbers(2 * COUNT))
    array[-1] = 0
    for part in (array[: COUNT + 1000], array[: COUNT + 1000].reshape(-1, 2).T, array[2000:-1000]):
        assert numpy.array_equal(received(way_back(part)), part)
    assert way_back(array[1000:]) is None


def test_several_arrays_of_one_argument_go_back() -> None:
    """In any order; with another array among them that is new, all are copied."""
    one, two = arrived(numbers(), numbers() + 1)
    back = received(way_back([two, one]))
    assert numpy.array_equal(back, [two, one])
    assert way_back([one, two, numbers()]) is None
    assert way_back([one, arrived(numbers())[0]]) is None


def test_a_small_part_does_not_keep_the_whole() -> None:
    """Whoever gets it would hold the memory of all that came with it."""
    [array] = arrived(numbers())
    assert way_back(array[: COUNT // 3]) is None


def test_what_did_not_come_does_not_go_back() -> None:
    """New arrays, bytes and other buffers are written as ever."""
    for value in (numbers(), bytearray(RETURNABLE_BYTES), b"x" * RETURNABLE_BYTES):
        assert way_back(value) is None
        assert returned(b"", [PickleBuffer(value)]) is None
    assert returned(b"", []) is None
    small = read_parcel(write_parcel(b"", [bytes(100_000)]), returnable=True)
    assert returned(b"", [PickleBuffer(small[1][0])]) is None


def test_a_view_goes_back() -> None:
    """A `memoryview` over what came is as good as an array."""
    [view] = arrived(memoryview(bytearray(RETURNABLE_BYTES)))
    assert received(way_back(view)) == bytes(RETURNABLE_BYTES)


def test_what_cannot_be_known_is_not_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no page map, or it says the same of every page, results are copied."""
    [array] = arrived(numbers())

    def not_there(*_: Any) -> int:
        raise PermissionError("no page map")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", not_there)
        assert way_back(array) is None
    for always in (True, False):
        module._can_tell.clear()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_is_unchanged", lambda *_, always=always: always)
            assert way_back(array) is None
    module._can_tell.clear()
    assert way_back(array) is not None


def test_the_descriptor_ends_with_the_mapping() -> None:
    """Nothing is left of an argument when the last view of it is gone."""
    [array] = arrived(numbers())
    view = array[:10]
    way = way_back(array)
    assert way is not None
    del array
    os.fstat(way[0])
    del view
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(way[0])
