"""Pickles with large bytes in them: not copied on the way into the parcel, and whole afterwards."""

from __future__ import annotations

import sys
import types
from array import array
from typing import Any

import numpy
import pytest

from workpool import SerializationError
from workpool._long_pickle import PIECE_BYTES, LongPickle
from workpool._serialization import Serializer, loads
from workpool._system.memory import read_parcel, write_parcel

LARGE = 300_000


@pytest.fixture
def serializer() -> Serializer:
    """Return one that has had a long pickle already."""
    made = Serializer("pool")
    made.expect_long(b"x" * LARGE)
    return made


def sent(serializer: Serializer, value: object) -> Any:
    """Return what arrives of a value that is sent as a parcel."""
    data = serializer.dumps(value, "argument")
    parts = read_parcel(write_parcel(data, serializer.take_buffers()))
    return loads(*parts, side="worker", subject="argument")


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_bytes_are_not_copied(serializer: Serializer, kind: type[Any]) -> None:
    """Wherever they are in an object, they are a piece of the pickle themselves."""
    large = kind(LARGE)
    for value in (large, [1, large], {"key": (large, "text")}):
        pickle = serializer.dumps(value, "argument")
        assert isinstance(pickle, LongPickle)
        assert any(piece is large for piece in pickle.pieces)
        assert len(pickle) == len(b"".join(pickle.pieces))


@pytest.mark.parametrize(
    "value",
    [
        b"b" * LARGE,
        bytearray(b"a" * LARGE),
        "\u00e9" * LARGE,
        [b"one" * LARGE, bytearray(LARGE), {"deep": b"two" * LARGE}],
        array("d", range(LARGE // 8)),
        list(range(LARGE)),
    ],
    ids=["bytes", "bytearray", "text", "nested", "array", "numbers"],
)
def test_the_first_and_the_next_arrive_alike(value: object) -> None:
    """What came before decides how a value is pickled, and not how it arrives."""
    first = Serializer("pool")
    for _ in range(2):
        data = first.dumps(value, "argument")
        first.expect_long(data)
        parts = read_parcel(write_parcel(data, first.take_buffers()))
        arrived = loads(*parts, side="worker", subject="argument")
        assert arrived == value
        assert type(arrived) is type(value)


@pytest.mark.parametrize("kind", [bytes, bytearray, str])
@pytest.mark.parametrize("size", [0, 10, PIECE_BYTES - 1, PIECE_BYTES, LARGE])
def test_bytes_and_text_by_themselves(kind: type[Any], size: int) -> None:
    """They are pickled as they are, whatever they say, by a serializer that expected them or not."""
    value = kind(b"__main__" * LARGE)[:size] if kind is not str else ("__main__" * LARGE)[:size]
    expecting = Serializer("pool")
    expecting.expect_long(b"x" * LARGE)
    for made in (Serializer("pool"), expecting):
        data = made.dumps(value, "argument")
        assert isinstance(data, LongPickle) == (size >= PIECE_BYTES)
        arrived = sent(made, value)
        assert type(arrived) is kind
        assert arrived == value


def test_text_that_is_no_text_in_utf8_arrives() -> None:
    """Half of a surrogate pair can be pickled, so it can be sent."""
    for value in ("\ud800", "\ud800" * LARGE):
        assert sent(Serializer("pool"), value) == value


@pytest.mark.parametrize("first", [b"\x95", b"\x80", b"x"])
def test_names_of_main_are_found_after_bytes_of_any_look(
    serializer: Serializer, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the bytes look like the beginning of a frame themselves."""
    main = types.ModuleType("__main__")
    exec("class Point: pass", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    frames = [str(number) for number in range(30_000)]  # more than one frame of pickle holds
    value = [first * LARGE, *frames, main.__dict__["Point"](), *frames, first * LARGE]
    data = serializer.dumps(value, "argument")
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    joined = b"".join(data.pieces) if isinstance(data, LongPickle) else data
    arrived = loads(joined, side="worker", subject="x")
    assert type(arrived.pop(1 + len(frames))).__name__ == "Point"
    assert arrived == [first * LARGE, *frames, *frames, first * LARGE]


def test_short_ones_are_bytes_and_turn_it_back(serializer: Serializer) -> None:
    """After some short pickles they are made as if there had been no long one."""
    for _ in range(40):
        assert loads(serializer.dumps(["short"], "x"), side="pool", subject="x") == ["short"]
    assert "dumps" not in vars(serializer)
    serializer.expect_long(b"short")
    assert "dumps" not in vars(serializer)


@pytest.mark.parametrize("place", [0, 1])
def test_names_of_main_are_found_beside_large_bytes(
    serializer: Serializer, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object of `__main__` travels by value, before or after megabytes of something else."""
    main = types.ModuleType("__main__")
    exec("class Point:\n    def __init__(self, x): self.x = x", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    value: list[Any] = [b"x" * LARGE, 10**LARGE]
    value.insert(2 * place, main.__dict__["Point"](7))
    data = serializer.dumps(value, "argument")
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    assert loads(data, side="worker", subject="x")[2 * place].x == 7


@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_view_arrives_as_a_view(kind: type[Any], size: int) -> None:
    """A `memoryview` is as long, and as writable, there as here."""
    for serializer in (Serializer("pool"), Serializer("worker")):
        serializer.expect_long(b"x" * size)
        arrived = sent(serializer, [memoryview(kind(size))])[0]
        assert type(arrived) is memoryview
        assert arrived == bytes(size)
        assert arrived.readonly is (kind is bytes)


def grid() -> Any:
    return numpy.arange(60_000).reshape(200, 300)


def nothing() -> Any:
    return numpy.zeros((0, 3))


def records() -> Any:
    return numpy.zeros(20_000, dtype=[("a", "i4"), ("b", "f8")])


@pytest.mark.parametrize(
    "view",
    [
        memoryview(array("d", range(20_000))),
        memoryview(grid()),
        memoryview(grid())[::2],
        memoryview(grid().T),
        memoryview(b""),
        memoryview(array("d")),
    ],
    ids=["items", "shape", "strided", "transposed", "empty", "no items"],
)
def test_a_view_keeps_its_items_and_shape(view: memoryview) -> None:
    """What `memoryview` itself can express arrives as it was."""
    arrived = sent(Serializer("pool"), view)
    assert (arrived.format, arrived.shape) == (view.format, view.shape)
    assert arrived.tolist() == view.tolist()


def test_a_view_of_nothing_has_one_dimension() -> None:
    """Of a shape with a 0 in it the elements are left: no view can be cast to such a shape."""
    view = memoryview(nothing())
    arrived = sent(Serializer("pool"), view)
    assert (arrived.format, arrived.shape) == (view.format, (0,))


def test_a_view_of_what_cannot_be_cast_arrives_as_bytes() -> None:
    """Records, say: their bytes are all there."""
    arrived = sent(Serializer("pool"), memoryview(records()))
    assert (arrived.format, bytes(arrived)) == ("B", records().tobytes())


def test_a_view_in_a_closure_travels_too() -> None:
    """Pickling by value knows the same types."""
    view = memoryview(bytearray(LARGE))
    serializer = Serializer("pool")
    arrived = sent(serializer, lambda: view)()
    assert type(arrived) is memoryview
    assert arrived == view


def test_a_released_view_is_an_error() -> None:
    """It names what cannot be pickled, as for any other object."""
    view = memoryview(bytearray(LARGE))
    view.release()
    with pytest.raises(SerializationError, match="released"):
        Serializer("pool").dumps([view], "argument")


@pytest.mark.parametrize(
    "values",
    [
        grid(),
        numpy.asfortranarray(grid()),
        grid()[::2, ::3],
        numpy.arange(60_000)[::-1],
        nothing(),
        numpy.array([b"x" * LARGE, None], dtype=object),
        records(),
        numpy.float64(1.5),
    ],
    ids=["C", "Fortran", "strided", "reversed", "empty", "objects", "records", "scalar"],
)
def test_arrays_of_every_kind_arrive(serializer: Serializer, values: Any) -> None:
    """Content, type, shape and order are the same, and they can be written to."""
    arrived = sent(serializer, values)
    assert numpy.array_equal(arrived, values)
    assert (arrived.dtype, arrived.shape) == (values.dtype, values.shape)
    assert arrived.flags.fnc == values.flags.fnc
    assert arrived.flags.aligned
    assert arrived.flags.writeable == values.flags.writeable


def test_a_read_only_array_stays_read_only() -> None:
    """Also when its memory could be written to."""
    values = numpy.arange(60_000)
    values.flags.writeable = False
    assert not sent(Serializer("pool"), values).flags.writeable


def test_many_arrays_in_one_argument() -> None:
    """Each has its own buffer; the same array twice is one array there too."""
    arrays = [numpy.full(20_000, number) for number in range(10)]
    arrived = sent(Serializer("pool"), {"arrays": arrays, "first": arrays[0]})
    assert all(map(numpy.array_equal, arrived["arrays"], arrays))
    assert arrived["first"] is arrived["arrays"][0]
