"""Anonymous shared memory: files without a name, freed by the kernel with their last holder."""

from __future__ import annotations

import mmap
import os

from workpool.errors import InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_WORD = 8  # bytes


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


def write_parcel(data: Any, buffers: Sequence[Any]) -> int:
    """Write a pickle and its out-of-band buffers to an anonymous file; return its descriptor.

    Layout: a table of 64-bit numbers (how many parts, then each part's size), then the parts, each
    at a multiple of 64 bytes so that arrays arrive aligned. Raises `OSError` (EMFILE, ENOSPC, ...).
    """
    parts = [memoryview(data).cast("B"), *(memoryview(b).cast("B") for b in map(_raw, buffers))]
    table = memoryview(bytearray(_WORD * (len(parts) + 1))).cast("Q")
    table[0] = len(parts)
    position = _aligned(table.nbytes)
    offsets = []
    for index, part in enumerate(parts):
        table[index + 1] = part.nbytes
        offsets.append(position)
        position = _aligned(position + part.nbytes)
    descriptor = anonymous_file("parcel", position)
    try:
        _write_at(descriptor, table.cast("B"), 0)
        for part, offset in zip(parts, offsets, strict=True):
            _write_at(descriptor, part, offset)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_parcel(descriptor: int) -> tuple[memoryview, list[memoryview]]:
    """Map a parcel: return its pickle and its buffers. Closes the descriptor.

    The mapping is private and writable: nobody else sees what is written to it. It lives as long
    as any object that was unpickled from the buffers. Raises `OSError` if it cannot be mapped,
    `InternalError` if it is no whole parcel.
    """
    try:
        size = os.fstat(descriptor).st_size
        if size < _WORD:
            raise _no_parcel(size)
        mapping = mmap.mmap(
            descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
        )
    finally:
        os.close(descriptor)
    view = memoryview(mapping)
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
    return InternalError(f"a file of {size} bytes was to be a parcel, and is not one, or not whole")


def _raw(buffer: Any) -> Any:
    return buffer.raw() if hasattr(buffer, "raw") else buffer


def _aligned(position: int) -> int:
    return (position + 63) & ~63


def _write_at(descriptor: int, part: memoryview, offset: int) -> None:
    done = 0
    while done < part.nbytes:  # one call writes at most 2 GiB
        done += os.pwrite(descriptor, part[done : done + (1 << 30)], offset + done)
