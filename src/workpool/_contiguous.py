"""Large numpy arrays that numpy would pickle as bytes: pickled by their memory, which can be mapped.

numpy hands its memory to a pickler only if it is in one piece, and of a plain array: of a slice with
steps, a `numpy.memmap` or dates it puts a copy into the pickle, of which every task makes another one.
"""

from __future__ import annotations

import copyreg
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reducer = Callable[[Any], Any]

_PROTOCOL = 5
_DATES = "mM"
"""Kinds of elements that the buffer protocol does not know: they travel as the integers they are."""


def array_reducer(min_bytes: int) -> Reducer | None:
    """Return a pickler's `reducer_override` for arrays of so many bytes and more.

    None without numpy: then there are no arrays.
    """
    plain = getattr(sys.modules.get("numpy"), "ndarray", None)  # None while it is being imported
    if plain is None:
        return None

    def reduce(thing: Any) -> Any:
        kind = type(thing)
        if not issubclass(kind, plain) or kind in copyreg.dispatch_table:
            return NotImplemented
        if thing.nbytes < min_bytes or thing.dtype.hasobject:
            return NotImplemented
        if kind is plain:
            return _reduced(thing)
        if _is_pickled_as(plain, kind):
            return viewed, (thing.view(plain), kind)
        return NotImplemented

    return reduce


def viewed(array: Any, kind: Any) -> Any:
    """Return an array as one of another type, or of other elements, over the same memory."""
    return array.view(kind)


def _reduced(array: Any) -> Any:
    if array.dtype.kind in _DATES:
        return viewed, (array.view("i8"), array.dtype)
    if array.flags.forc:
        return NotImplemented
    return array.copy(order="C").__reduce_ex__(_PROTOCOL)


def _is_pickled_as(plain: Any, kind: Any) -> bool:
    """Whether a subclass says nothing of its own about how it is pickled."""
    names = ("__reduce_ex__", "__reduce__", "__setstate__")
    return all(getattr(kind, name) is getattr(plain, name) for name in names)
