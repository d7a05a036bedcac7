"""joblib's batches of calls on their way to a worker."""

from __future__ import annotations

import copyreg
import io
import pickle
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from workpool.joblib._arrays import Arrays, SharedArray

_PROTOCOL = 5

_OUT_OF_BAND_BYTES = 1 << 15
"""Buffers from this size on are handed to the pool as they are, which sends them without a copy."""

_MAIN = b"__main__"
"""A pickle with this in it may name something that workers do not have."""


class Batch:
    """Stands for a batch where the pool pickles its tasks; what a worker unpickles is the batch."""

    def __init__(self, calls: Any, arrays: Arrays) -> None:
        self._calls = calls
        self._arrays = arrays
        self._packed: _Packed | None = None

    def let_go(self) -> None:
        """Hold nothing any more: the task has ended."""
        self._calls = self._packed = None

    def __reduce__(self) -> tuple[Any, ...]:
        # The pool asks twice if the pickle mentions `__main__`, and again if the task is run again.
        if self._packed is None:
            self._packed = _pack(self._calls, self._arrays)
            self._arrays.keep(self._packed.held)
        return _unpack, (pickle.PickleBuffer(self._packed.data), *self._packed.buffers)

    def __repr__(self) -> str:
        items = getattr(self._calls, "items", None)
        if not items:
            return "<a batch of calls>"
        count = "a call" if len(items) == 1 else f"{len(items)} calls"
        return f"<{count} of {items[0][0]!r}>"


class _Packed:
    """A pickle, its large buffers, and the shared arrays that must live as long as it does."""

    def __init__(self) -> None:
        self.data = b""
        self.buffers: list[pickle.PickleBuffer] = []
        self.held: list[SharedArray] = []

    def keep_in_band(self, buffer: pickle.PickleBuffer) -> bool:
        """Decide whether a buffer is copied into the pickle."""
        if buffer.raw().nbytes < _OUT_OF_BAND_BYTES:
            return True
        self.buffers.append(buffer)
        return False


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler, with reducers of one's own."""

    def __init__(self, file: io.BytesIO, packed: _Packed, reducers: dict[type, Any]) -> None:
        # It is read while the base class is initialized, and has no effect later.
        self.dispatch_table = {**cloudpickle.Pickler.dispatch_table, **reducers}
        super().__init__(file, _PROTOCOL, packed.keep_in_band)


def _pack(calls: Any, arrays: Arrays) -> _Packed:
    """Pickle by reference if that will do, else by value."""
    if not cloudpickle.list_registry_pickle_by_value():
        try:
            packed = _by_reference(calls, arrays)
            if _MAIN not in packed.data:
                return packed
        except Exception:  # noqa: BLE001 - whatever it was, cloudpickle gets its try
            pass
    packed = _Packed()
    with io.BytesIO() as file:
        _ByValue(file, packed, arrays.reducers(packed.held)).dump(calls)
        packed.data = file.getvalue()
    return packed


def _by_reference(calls: Any, arrays: Arrays) -> _Packed:
    packed = _Packed()
    with io.BytesIO() as file:
        pickler = pickle.Pickler(file, _PROTOCOL, buffer_callback=packed.keep_in_band)
        pickler.dispatch_table = {**copyreg.dispatch_table, **arrays.reducers(packed.held)}
        pickler.dump(calls)
        packed.data = file.getvalue()
    return packed


def _unpack(data: Any, *buffers: Any) -> Any:
    return pickle.loads(data, buffers=buffers)
