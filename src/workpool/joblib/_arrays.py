"""Large arrays on their way to the workers: written once, mapped by every task that takes them.

A cross-validation hands one array to a hundred tasks. By itself each task would carry its own copy.
Here the array is written to anonymous memory (a memfd) once, for as long as any task in flight takes
it, and the pickle names that memory: the worker opens it through ``/proc/<parent>/fd`` and maps it.
Nothing has a name in a file system, so nothing can be left there, however anybody ends.

A worker maps privately: it may write into its array, and nobody else sees that.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    Reduced = tuple[Any, ...]
    Order = Literal["C", "F"]
    Mode = Literal["r", "r+"]

_WRITE_AT_ONCE = 1 << 30
"""Bytes per system call; Linux writes no more than 2 GiB with one."""

_MOST_AT_A_TIME = 64
"""Arrays shared at a time: each takes a descriptor, of which a process has 1024 if nobody said otherwise.
Any more travel with their tasks."""

_OUT_OF_BAND_BYTES = 1 << 15

_PICKLE_PROTOCOL = 5


class SharedArray:
    """An array's content in anonymous memory, which is freed when nobody holds this any more.

    A worker that has mapped it by then keeps what it has mapped.
    """

    def __init__(self, array: Any) -> None:
        self.array = array  # as long as it is held, no other array gets its place in memory
        self.order: Order = (
            "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        )
        self.descriptor = os.memfd_create("workpool-array", os.MFD_CLOEXEC)
        try:
            _write(self.descriptor, _bytes_of(array, self.order))
            self.inode = os.fstat(self.descriptor).st_ino
        except BaseException:
            os.close(self.descriptor)
            self.descriptor = -1
            raise

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            os.close(self.descriptor)


class Arrays:
    """The large arrays of one `joblib.Parallel` call. Used in one thread, that of its pool.

    Arguments:
        min_bytes: arrays larger than this are shared; None for none.
        written_by_all: whether workers see what other workers write into a shared array.
    """

    def __init__(self, min_bytes: int | None, *, written_by_all: bool = False) -> None:
        self._min_bytes = min_bytes if min_bytes is not None and _workers_can_open() else None
        self._written_by_all = written_by_all
        self._shared: WeakValueDictionary[tuple[Any, ...], SharedArray] = WeakValueDictionary()
        self._latest: list[SharedArray] = []

    def keep(self, held: list[SharedArray]) -> None:
        """Keep what the latest pickle needs, until the next one: it probably takes the same arrays.

        All tasks in flight may have ended by then.
        """
        self._latest = held

    def reducers(self, held: list[SharedArray]) -> dict[type, Callable[[Any], Reduced]]:
        """Return what reduces arrays to pickle; whatever the pickle needs to live goes to `held`."""
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return {}

        def reduce(array: Any) -> Reduced:
            return self._reduce(array, held)

        return {numpy.ndarray: reduce, numpy.memmap: reduce}

    def _reduce(self, array: Any, held: list[SharedArray]) -> Reduced:
        if not array.dtype.hasobject and array.size:
            if (file := _file_behind(array)) is not None:
                return _by_file(array, file)
            if self._min_bytes is not None and array.nbytes > self._min_bytes:
                shared = self._share(array)
                if shared is not None:
                    held.append(shared)
                    return self._by_memory(array, shared)
            if array.nbytes >= _OUT_OF_BAND_BYTES and not array.flags.forc:
                array = array.copy()  # what is not contiguous would be copied into the pickle
        reduced: Reduced = array.__reduce_ex__(_PICKLE_PROTOCOL)
        return reduced

    def _share(self, array: Any) -> SharedArray | None:
        # Not its id: what has an array may hand out a new view of it each time.
        place = (array.ctypes.data, array.shape, array.strides, array.dtype)
        shared = self._shared.get(place)
        if shared is None and len(self._shared) < _MOST_AT_A_TIME:
            with contextlib.suppress(OSError):  # no memory or descriptor left
                shared = self._shared[place] = SharedArray(array)
        return shared

    def _by_memory(self, array: Any, shared: SharedArray) -> Reduced:
        memory = (os.getpid(), shared.descriptor, shared.inode)
        view = (array.shape, array.dtype, shared.order)
        return map_memory, (*memory, *view, self._written_by_all)


# In the workers


def map_memory(
    pid: int,
    descriptor: int,
    inode: int,
    shape: tuple[int, ...],
    dtype: Any,
    order: Order,
    written_by_all: bool,
) -> Any:
    """Return the array in another process's anonymous memory."""
    import numpy

    own = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(own).st_ino != inode:  # its number is another file's by now
            raise FileNotFoundError("the array was let go of, since the call was given up")
        flags = mmap.MAP_SHARED if written_by_all else mmap.MAP_PRIVATE
        memory = mmap.mmap(own, 0, flags, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(own)
    return numpy.ndarray(shape, dtype, memory, order=order)


def map_file(
    path: str,
    mode: Mode,
    start: int,
    length: int,
    view: tuple[tuple[int, ...], Any, int, tuple[int, ...]],
) -> Any:
    """Return an array over bytes of a file: a plain `numpy.memmap` where that can express it."""
    import numpy

    shape, dtype, offset, strides = view
    orders: tuple[Order, ...] = ("C", "F")
    for order in orders:
        if offset == 0 and strides == _strides(shape, dtype.itemsize, order):
            return numpy.memmap(path, dtype, mode, start, shape, order)
    memory = numpy.memmap(path, numpy.uint8, mode, start, (length,))
    return numpy.ndarray(shape, dtype, memory, offset, strides)


# Inside


def _workers_can_open() -> bool:
    """Whether a worker may open this process's descriptors; not if it has changed its user, say."""
    try:
        return Path("/proc/self/fd").stat().st_uid == os.geteuid()
    except OSError:
        return False


def _bytes_of(array: Any, order: Order) -> memoryview:
    import numpy

    contiguous = numpy.asarray(array, order=order)
    return memoryview(contiguous.reshape(-1, order=order).view(numpy.uint8))


def _write(descriptor: int, content: memoryview) -> None:
    while content:
        written = os.write(descriptor, content[:_WRITE_AT_ONCE])
        content = content[written:]


def _file_behind(array: Any) -> Any:
    """Return the `numpy.memmap` of a named file whose memory an array shows, or None."""
    import numpy

    root = array
    while isinstance(root.base, numpy.ndarray):
        root = root.base
    if not isinstance(root, numpy.memmap) or not isinstance(root.base, mmap.mmap):
        return None
    # What was written into a private mapping is not in the file.
    return root if root.filename is not None and root.mode != "c" else None


def _by_file(array: Any, file: Any) -> Reduced:
    """Reduce an array to its place in a file: every process sees what any of them writes there."""
    spans = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    below = -sum(span for span in spans if span < 0)
    length = below + sum(span for span in spans if span > 0) + array.itemsize
    start = file.offset + array.ctypes.data - file.ctypes.data - below
    mode = "r+" if file.mode == "w+" else file.mode
    view = (array.shape, array.dtype, below, array.strides)
    return map_file, (os.fspath(file.filename), mode, start, length, view)


def _strides(shape: tuple[int, ...], itemsize: int, order: Order) -> tuple[int, ...]:
    """Return the strides of a contiguous array."""
    if order == "F":
        return tuple(itemsize * math.prod(shape[:axis]) for axis in range(len(shape)))
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
