"""Pickling by value, where some objects are reduced in a way of our own. Needs cloudpickle."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from workpool._pickling_by_value import Pickler


class _ReducingPickler(Pickler):
    """Asks a function first how an object is reduced."""

    def __init__(self, file: Any, keep_in_band: Any, reduce: Callable[[Any], Any]) -> None:
        super().__init__(file, protocol=5, buffer_callback=keep_in_band)
        self._reduce = reduce

    def reducer_override(self, obj: Any) -> Any:
        reduced = self._reduce(obj)
        return super().reducer_override(obj) if reduced is NotImplemented else reduced


def dumps_reduced(value: object, keep_in_band: Any, reduce: Callable[[Any], Any]) -> bytes:
    """Pickle `value` by value where its definition cannot be imported; `reduce` is asked first."""
    with io.BytesIO() as file:
        _ReducingPickler(file, keep_in_band, reduce).dump(value)
        return file.getvalue()
