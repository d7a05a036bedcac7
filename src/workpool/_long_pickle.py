"""Pickles that are not in one piece, so that large bytes need not be copied into them.

The C pickler copies `bytes` into the pickle before it asks any callback, unless it writes to a file:
then it hands large ones to `write` as they are.
"""

from __future__ import annotations

import copyreg
from array import array

from workpool._quick import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


PIECE_BYTES = 1 << 16
"""From this size on bytes are a piece of their own: so large pickle lets a frame become."""


class LongPickle:
    """A pickle in pieces that are to be written one after the other.

    Whatever `bytes` or `bytearray` of 64 kB and more it holds is such a piece itself, not a copy.
    """

    def __init__(self, pieces: list[bytes | bytearray]) -> None:
        self.pieces = pieces
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._length


class _Sink:
    """The file that a pickler writes to."""

    def __init__(self) -> None:
        self.pieces: list[bytes | bytearray] = []
        self.write = self.pieces.append


class _ReducingPickler(pickle.Pickler):
    """Asks a function first how an object is reduced."""

    def __init__(self, sink: Any, keep_in_band: Any, reduce: Callable[[Any], Any]) -> None:
        super().__init__(sink, 5, buffer_callback=keep_in_band)
        self._reduce = reduce

    def reducer_override(self, obj: Any) -> Any:
        return self._reduce(obj)


def pieces_of(
    value: object,
    keep_in_band: Callable[[Any], bool] | None = None,
    reduce: Callable[[Any], Any] | None = None,
) -> list[bytes | bytearray]:
    """Pickle `value` in pieces; raises whatever pickling it raises.

    `reduce` is asked first, as a pickler's `reducer_override` is.
    """
    sink = _Sink()
    if reduce is None:
        pickler = pickle.Pickler(sink, 5, buffer_callback=keep_in_band)
    else:
        pickler = _ReducingPickler(sink, keep_in_band, reduce)
    pickler.dispatch_table = {**copyreg.dispatch_table, **REDUCERS}
    pickler.dump(value)
    return sink.pieces


def _reduce_array(values: array[Any]) -> tuple[Any, ...]:
    return array_of, (values.typecode, pickle.PickleBuffer(values))


def _reduce_view(view: memoryview) -> tuple[Any, ...]:
    content = view if view.c_contiguous else bytearray(view)
    details = (view.format, view.shape, view.readonly)
    return view_of, (pickle.PickleBuffer(content), *details)


_FORMATS = frozenset("cbB?hHiIlLqQnNfd")
"""What a view may be cast to; it must be native."""

REDUCERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    array: _reduce_array,
    memoryview: _reduce_view,
}
"""Types whose content stays out of band here, though pickle would copy it or knows no way."""


def array_of(typecode: str, buffer: Any) -> array[Any]:
    """Return an `array.array` that was pickled by its buffer. It owns its memory: one copy."""
    values: array[Any] = array(typecode)
    values.frombytes(buffer)
    return values


def view_of(buffer: Any, kind: str, shape: tuple[int, ...], readonly: bool) -> memoryview:
    """Return a `memoryview` over a buffer that came with the pickle; nothing is copied.

    Of elements that `memoryview.cast` does not know it is one of bytes; of none it has one dimension.
    """
    view = memoryview(buffer)
    if readonly:
        view = view.toreadonly()
    view = view.cast("B")
    if kind not in _FORMATS:
        return view
    if 0 in shape:  # `cast` refuses it
        return view.cast(kind)  # type: ignore[call-overload, no-any-return]
    return view.cast(kind, shape)  # type: ignore[call-overload, no-any-return]
