"""Anonymous shared memory: files without a name, freed by the kernel with their last holder."""

from __future__ import annotations

import mmap
import os
import sys

from workpool._long_pickle import LongPickle
from workpool._quick import pickle
from workpool.errors import InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_WORD = 8  # bytes

RETURNABLE_BYTES = 1 << 20
"""From this size on, copying a result costs more than finding out whether it need not be."""

# A mapping needs no descriptor, but before Python 3.13 `mmap` keeps one of its own for each.
_NO_DESCRIPTOR: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def anonymous_file(name: str, size: int) -> int:
    """Return the descriptor of a new file of `size` zero bytes that has no name anywhere.

    `name` is only a label, seen in ``/proc/PID/fd``. Raises `OSError`.
    """
    descriptor = os.memfd_create(f"workpool-{name}", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Bare:
    """A pickle without buffers, which may be in pieces: they lie one after the other."""

    def __init__(self, data: Any) -> None:
        self.pieces: list[tuple[int, Any]] = []
        self.size = 0
        for piece in data.pieces if isinstance(data, LongPickle) else [data]:
            self.pieces.append((self.size, piece))
            self.size += len(piece)

    def copy_to(self, memory: Any, start: int) -> None:
        """Copy everything to its place in shared memory, from `start` on."""
        for offset, piece in self.pieces:
            place = start + offset
            memory[place : place + len(piece)] = piece


class Layout:
    """Where everything of a parcel lies in its file, or in a stretch of shared memory.

    First a table of 64-bit numbers (how many parts, then each part's size), then the parts, each at a
    multiple of 64 bytes so that arrays arrive aligned. The first part is the pickle, which may be in
    pieces; the others are its out-of-band buffers.
    """

    def __init__(self, data: Any, buffers: Sequence[Any]) -> None:
        pieces = data.pieces if isinstance(data, LongPickle) else [data]
        parts = [[_bytes_of(piece) for piece in pieces], *([_bytes_of(b)] for b in buffers)]
        table = memoryview(bytearray(_WORD * (len(parts) + 1))).cast("Q")
        table[0] = len(parts)
        self.pieces: list[tuple[int, memoryview]] = [(0, table.cast("B"))]
        position = _aligned(table.nbytes)
        for number, part in enumerate(parts, start=1):
            start = position
            for piece in part:
                self.pieces.append((position, piece))
                position += piece.nbytes
            table[number] = position - start
            position = _aligned(position)
        self.size = position

    def copy_to(self, memory: Any, start: int) -> None:
        """Copy everything to its place in shared memory, from `start` on."""
        for offset, piece in self.pieces:
            place = start + offset
            memory[place : place + piece.nbytes] = piece

    def write(self, descriptor: int) -> None:
        """Write everything to its place. Raises `OSError` (ENOSPC, ...)."""
        for offset, piece in self.pieces:
            _write_at(descriptor, piece, offset)

    def write_to_new_file(self, name: str = "parcel") -> int:
        """Make a file for it; return its descriptor. Raises `OSError` (EMFILE, ENOSPC, ...)."""
        descriptor = anonymous_file(name, self.size)
        try:
            self.write(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def laid_out(data: Any, buffers: Sequence[Any]) -> Bare | Layout:
    """Return how a pickle lies in shared memory, with its buffers if it has any."""
    return Layout(data, buffers) if buffers else Bare(data)


def payload_bytes(data: Any, buffers: Sequence[Any]) -> int:
    """Return how large a pickle and its buffers are together."""
    size: int = sum(buffer.raw().nbytes for buffer in buffers)
    return len(data) + size


def write_parcel(data: Any, buffers: Sequence[Any]) -> int:
    """Write a pickle and its out-of-band buffers to an anonymous file; return its descriptor.

    Raises `OSError` (EMFILE, ENOSPC, ...).
    """
    return Layout(data, buffers).write_to_new_file()


class Mapping(mmap.mmap):
    """A mapped file, with a descriptor of it that is closed together with it, or -1."""

    descriptor = -1

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def read_parcel(
    descriptor: int, *, returnable: bool = False
) -> tuple[memoryview, list[memoryview]]:
    """Map a parcel: return its pickle and its buffers. Takes over the descriptor.

    The mapping is private and writable: nobody else sees what is written to it. It lives as long
    as any object that was unpickled from the buffers. Raises `OSError` if it cannot be mapped,
    `InternalError` if it is no whole parcel.

    A `returnable` one that is large keeps its descriptor, for a result that is the same memory.
    """
    mapping = _map(descriptor, keep_from=RETURNABLE_BYTES if returnable else None)
    return _parts(memoryview(mapping))


def copy_parts(view: memoryview) -> tuple[memoryview, list[bytearray]]:
    """Take a `Layout` in shared memory apart: the pickle there, and copies of its buffers.

    Raises `InternalError` if it is none.
    """
    data, buffers = _parts(view)
    return data, [bytearray(buffer) for buffer in buffers]


def read_returned(descriptor: int, details: bytes) -> tuple[bytes, list[memoryview]]:
    """As `read_parcel`, of one that came back, with what was said with it."""
    body, places = pickle.loads(details)
    view = memoryview(_map(descriptor))
    return body, [view[offset : offset + length] for offset, length in places]


def read_shared_parcel(descriptor: int) -> tuple[memoryview, list[memoryview]]:
    """As `read_parcel`, but whoever maps it has the same memory, and none can write to it."""
    return _parts(memoryview(_map(descriptor, mmap.MAP_SHARED, mmap.PROT_READ)))


def _map(
    descriptor: int,
    flags: int = mmap.MAP_PRIVATE,
    protection: int = mmap.PROT_READ | mmap.PROT_WRITE,
    keep_from: int | None = None,
) -> Mapping:
    """Map a whole file. The descriptor is closed, or kept if there are so many bytes."""
    try:
        size = os.fstat(descriptor).st_size
        if size < _WORD:
            raise _no_parcel(size)
        mapping = Mapping(descriptor, size, flags=flags, prot=protection, **_NO_DESCRIPTOR)
        if keep_from is not None and size >= keep_from:
            mapping.descriptor, descriptor = descriptor, -1
        return mapping
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _parts(view: memoryview) -> tuple[memoryview, list[memoryview]]:
    """Take a parcel apart: the pickle, and its buffers."""
    size = view.nbytes
    words = view[: size & ~7].cast("Q")
    count = words[0]
    if not 0 < count < len(words):
        raise _no_parcel(size)
    position = _aligned(_WORD * (count + 1))
    parts = []
    for length in words[1 : count + 1]:
        if length > size - position:
            raise _no_parcel(size)
        parts.append(view[position : position + length])
        position = _aligned(position + length)
    return parts[0], parts[1:]


def replace_mapped_files() -> None:
    """In a forked child: let go of the shared memory whose descriptors `mmap` objects keep.

    They own these descriptors and will close them, so each is pointed at nothing instead.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        try:
            ours = os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:workpool-")
        except OSError:
            continue  # the descriptor of the listing itself
        if ours:
            os.dup2(nothing, int(name), inheritable=False)
    os.close(nothing)


def _no_parcel(size: int) -> InternalError:
    return InternalError(f"{size} bytes were to be a parcel, and are not one, or not whole")


def _bytes_of(buffer: Any) -> memoryview:
    return memoryview(buffer.raw() if hasattr(buffer, "raw") else buffer).cast("B")


def _aligned(position: int) -> int:
    return (position + 63) & ~63


def _write_at(descriptor: int, part: memoryview, offset: int) -> None:
    done = 0
    while done < part.nbytes:  # one call writes at most 2 GiB
        done += os.pwrite(descriptor, part[done : done + (1 << 30)], offset + done)
