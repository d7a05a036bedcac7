"""Large results that are what a task got: the memory they came in goes back, and no copy of it.

An argument's buffers are mapped privately: a page that the task writes to becomes a copy of its own,
and the file behind stays as it was sent. So a result may go back as that file if all of it lies there
and none of its pages was written to. The kernel says which were: in ``/proc/self/pagemap`` a page that
is still the file's is marked so, and one that was copied, or has been swapped out since, is not. Where
it cannot be known, the result is copied as any other.
"""

from __future__ import annotations

import mmap
import os
import sys

from workpool._quick import pickle
from workpool._system.memory import Mapping, anonymous_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Returned = tuple[int, bytes]

_MOST_BODY = 1 << 14
"""The pickle goes with the descriptor, in a datagram; it is short when the buffers are all there is."""

_MOST_BUFFERS = 64
_DEEPEST = 8  # views of views: numpy itself keeps no more than three

_ENTRY_BYTES = 8
_PRESENT_SWAPPED_FILE = 0xE0
"""Bits 63 to 61 of an entry, in its highest byte."""
_ABSENT, _FILE = 0x00, 0xA0
"""Never touched, or dropped again; present and the file's own."""

_READ_AT_ONCE = 1 << 20
_can_tell: list[bool] = []  # once it is known


def returned(body: Any, buffers: Sequence[Any]) -> Returned | None:
    """Return how to send a result back in the memory it came in: descriptor and what to say with it.

    None if that cannot be done, or would keep much more memory than the result needs. The descriptor
    stays the mapping's.
    """
    if not 0 < len(buffers) <= _MOST_BUFFERS or len(body) > _MOST_BODY:
        return None
    mapping: Mapping | None = None
    places = []
    for view in [buffer.raw() for buffer in buffers]:
        found = _mapping_behind(view)
        if found is None or found is not (mapping or found):
            return None
        mapping = found
        places.append((_address(view), view.nbytes))
    if mapping is None or 2 * sum(length for _, length in places) < len(mapping):
        return None
    start = _address(mapping)
    if not all(start <= address <= start + len(mapping) - length for address, length in places):
        return None
    if not (_pages_tell() and all(_is_unchanged(*place) for place in places)):
        return None
    offsets = [(address - start, length) for address, length in places]
    return mapping.descriptor, pickle.dumps((bytes(body), offsets), 5)


def _mapping_behind(view: memoryview) -> Mapping | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    thing: Any = view.obj
    for _ in range(_DEEPEST):
        if isinstance(thing, Mapping):
            return thing if thing.descriptor >= 0 else None
        if isinstance(thing, memoryview):
            thing = thing.obj
        elif isinstance(thing, numpy.ndarray):
            thing = thing.base
        else:
            return None
    return None


def _address(memory: Any) -> int:
    array = sys.modules["numpy"].frombuffer(memory, "u1")
    address: int = array.__array_interface__["data"][0]
    return address


def _is_unchanged(address: int, length: int) -> bool:
    """Whether no page of this part of a private mapping was written to."""
    first = address // mmap.PAGESIZE
    end = (address + length - 1) // mmap.PAGESIZE + 1
    try:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _are_the_files(pagemap, first * _ENTRY_BYTES, end * _ENTRY_BYTES)
    except OSError:
        return False
    finally:
        os.close(pagemap)


def _are_the_files(pagemap: int, position: int, end: int) -> bool:
    while position < end:
        entries = os.pread(pagemap, min(_READ_AT_ONCE, end - position), position)
        states = {highest & _PRESENT_SWAPPED_FILE for highest in set(entries[7::_ENTRY_BYTES])}
        if not entries or not states <= {_ABSENT, _FILE}:
            return False
        position += len(entries)
    return True


def _pages_tell() -> bool:
    """Whether the kernel tells a page that was written to from others; tried out once."""
    if not _can_tell:
        try:
            _can_tell.append(_try_out())
        except OSError:
            return False  # no descriptor or memory left: another time
    return _can_tell[0]


def _try_out() -> bool:
    size = 2 * mmap.PAGESIZE
    descriptor = anonymous_file("trial", size)
    try:
        os.pwrite(descriptor, bytes(size), 0)
        memory = mmap.mmap(descriptor, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(descriptor)
    read = memory[0]
    memory[mmap.PAGESIZE] = 1
    address = _address(memory)
    second = address + mmap.PAGESIZE
    return not read and _is_unchanged(address, 1) and not _is_unchanged(second, 1)
