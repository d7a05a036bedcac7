"""Shared objects where they are used: mapped once per worker, unpickled for every task.

What `workpool.share` has written lies in the memory of the process that shared it, as an anonymous
file. It has no name, but the kernel shows a process's descriptors under ``/proc/PID/fd``, and whoever
may look at that process may open them. So a pickle has only to name process and descriptor: it can
be stolen, lost with a worker or sent again, and nothing has to be counted.

A worker keeps what it has mapped for the next task, until the pool tells it that it is closed. Nobody
tells any other process, nor of what a worker has shared: there the memory goes with the last object
over it.
"""

from __future__ import annotations

import errno
import os
import sys

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


def attached(pid: int, descriptor: int, tag: bytes, is_told: bool) -> Any:
    """Return the object that another process shares. Raises `SerializationError`.

    `is_told` says whether that process tells its workers when it closes the object.
    """
    if tag in _made:
        return _made[tag]
    parts = _mapped.get(tag)
    if parts is None:
        parts = _open(pid, descriptor, tag)
        if not (is_told and _is_worker()):
            return unpickled(*parts)
        _mapped[tag] = parts
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
        parts = map_shared(opened, tag)
    except FileNotFoundError:
        raise _gone() from None
    except OSError as error:
        raise _unusable(pid, error) from error
    if parts is None:
        raise _gone()
    return parts


def _unusable(pid: int, error: OSError) -> SerializationError:
    side, why = _side(), ""
    if isinstance(error, PermissionError):
        why = (
            f" It may not look into process {pid}, which shares it: is it another user's, or in "
            "another container? Pass the object itself instead."
        )
    elif error.errno == errno.EMFILE:
        why = (
            " This process has as many files open as it may (see 'ulimit -n'): are some left open?"
        )
    return SerializationError(
        f"a shared object cannot be opened in the {side}: {error}.{why}",
        side=side,
        subject="shared object",
    )


def _gone() -> SerializationError:
    return SerializationError(
        "a shared object was closed before it could be taken. Close it, or leave its 'with' block, "
        "when the tasks that take it are done.",
        side=_side(),
        subject="shared object",
    )


def _is_worker() -> bool:
    """Whether this process is a worker: the loops of one are in no other process."""
    return "workpool._worker.worker" in sys.modules


def _side() -> str:
    return "worker" if _is_worker() else "pool"
