"""Shared objects where they are used: mapped once per process, unpickled for every task.

What `workpool.share` has written lies in the memory of the process that shared it, as an anonymous
file. It has no name, but the kernel shows a process's descriptors under ``/proc/PID/fd``, and whoever
may look at that process may open them. So a pickle has only to name process and descriptor: it can
be stolen, lost with a worker or sent again, and nothing has to be counted.
"""

from __future__ import annotations

import os

from workpool._quick import pickle
from workpool._system.memory import read_shared_parcel
from workpool.errors import InternalError, SerializationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Parts = tuple[memoryview, list[memoryview]]

TAG_BYTES = 16
"""Of the random name that an object's memory begins with: a descriptor's number is used again."""

_KEPT_WHOLE = (bytes, str)
"""Cannot be changed, so all tasks of a worker may have the same, and only one is made."""

_mapped: dict[bytes, Parts] = {}
_made: dict[bytes, Any] = {}


def attached(pid: int, descriptor: int, tag: bytes) -> Any:
    """Return the object that another process shares. Raises `SerializationError`, `OSError`."""
    if tag in _made:
        return _made[tag]
    parts = _mapped.get(tag)
    if parts is None:
        parts = _mapped[tag] = _open(pid, descriptor, tag)
    value = unpickled(*parts)
    if type(value) in _KEPT_WHOLE:
        _made[tag] = value
        _mapped.pop(tag, None)
    return value


def forget(tag: bytes) -> None:
    """Keep a shared object no longer than the tasks that have it."""
    _mapped.pop(tag, None)
    _made.pop(tag, None)


def copied(data: Any, *buffers: Any) -> Any:
    """Return an object that could not be shared, and came with its task instead."""
    return pickle.loads(data, buffers=buffers)


def unpickled(data: memoryview, buffers: list[memoryview]) -> Any:
    """Make the object anew: no task sees what another did to it, and none can write to its buffers."""
    return pickle.loads(data, buffers=buffers)


def map_shared(descriptor: int, tag: bytes) -> Parts | None:
    """Map the memory of a shared object, unless it is another's by now. Closes the descriptor."""
    try:
        data, buffers = read_shared_parcel(descriptor)
    except InternalError:
        return None
    if not buffers or buffers[0] != tag:
        return None
    return data, buffers[1:]


def _open(pid: int, descriptor: int, tag: bytes) -> Parts:
    try:
        opened = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _gone() from None
    except PermissionError as error:
        raise SerializationError(
            f"a shared object cannot be opened in the worker: {error}. It may not look into "
            f"process {pid}, which shares it: is it another user's, or in another container? Pass "
            "the object itself instead.",
            side="worker",
            subject="shared object",
        ) from error
    parts = map_shared(opened, tag)
    if parts is None:
        raise _gone()
    return parts


def _gone() -> SerializationError:
    return SerializationError(
        "a shared object was closed before this task could take it. Close it, or leave its 'with' "
        "block, when the tasks that take it are done.",
        side="worker",
        subject="shared object",
    )
