"""Turning objects into bytes and back, on either side of the border.

Every argument and every result is pickled by itself, so that tasks never share an object by
accident. Plain pickle first; cloudpickle when plain pickle cannot, or when it named something of
``__main__``, which the other process does not have: that travels by value.

Large buffers (numpy arrays and whatever else speaks pickle protocol 5) stay out of band: they
are handed on as they are, to be written once and mapped by the receiver.
"""

from __future__ import annotations

from workpool._quick import pickle
from workpool.errors import SerializationError, TaskCancelled, WorkerTraceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OUT_OF_BAND_BYTES = 1 << 15
"""Buffers from this size on are not copied into the pickle: below, a copy is cheaper than the
descriptor, the mapping and the page faults (about 15 us)."""


PLAIN_TYPES = frozenset({int, float, bool, type(None)})
"""Objects of exactly these types need no care: no buffers, no class of somebody's."""

MAIN_MODULE = b"__main__"
"""A pickle with this in it may name something that the other process does not have."""


FOREIGN_ERRORS = (Exception, SystemExit)
"""What somebody's class may raise while it is pickled, unpickled or shown; it must not end us."""


class Serializer:
    """Pickles the objects of one side, one at a time; not for use by several threads."""

    def __init__(self, side: str) -> None:
        self.side = side
        self.buffers: list[pickle.PickleBuffer] = []
        """The large buffers of the object pickled last, in the order `loads` wants them."""
        self._keep = self._keep_in_band

    def dumps(self, value: object, subject: str) -> bytes:
        """Pickle `value`, leaving its large buffers in `buffers`.

        Raises `SerializationError`, naming the side and the object, if it cannot be pickled.
        """
        if self.buffers:
            self.buffers = []
        if type(value) in PLAIN_TYPES:
            return pickle.dumps(value, 5)
        try:
            data = pickle.dumps(value, 5, buffer_callback=self._keep)
            if MAIN_MODULE not in data:
                return data
        except TaskCancelled:
            raise
        except FOREIGN_ERRORS:  # whatever it was, cloudpickle gets its try
            pass
        self.buffers = []
        return _by_value(value, self._keep, self.side, subject)

    def take_buffers(self) -> list[pickle.PickleBuffer]:
        """Return the buffers, and keep nothing of the object alive."""
        buffers, self.buffers = self.buffers, []
        return buffers

    def _keep_in_band(self, buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < OUT_OF_BAND_BYTES:
            return True
        self.buffers.append(buffer)
        return False


def dumps(value: object, *, side: str, subject: str) -> bytes:
    """Pickle `value` into one stretch of bytes; any thread may call it.

    Raises `SerializationError`, naming the side and the object, if it cannot be pickled.
    """
    try:
        data = pickle.dumps(value, 5)
        if MAIN_MODULE not in data:
            return data
    except TaskCancelled:
        raise
    except FOREIGN_ERRORS:  # whatever it was, cloudpickle gets its try
        pass
    return _by_value(value, None, side, subject)


def _by_value(value: object, keep_in_band: Any, side: str, subject: str) -> bytes:
    try:
        from workpool._pickling_by_value import dumps_by_value

        return dumps_by_value(value, keep_in_band)
    except FOREIGN_ERRORS as error:
        raise SerializationError(
            f"the {subject} {brief(value)} cannot be pickled in the {side}: "
            f"{type(error).__name__}: {error}. Pass plain data instead, or what it can be "
            "made from.",
            side=side,
            subject=subject,
        ) from error


def loads(data: Any, buffers: Any = (), *, side: str, subject: str) -> Any:
    """Unpickle; raise `SerializationError` naming the side if that fails."""
    try:
        return pickle.loads(data, buffers=buffers)
    except FOREIGN_ERRORS as error:
        raise unreadable(subject, side, error) from error


def unreadable(subject: str, side: str, error: BaseException) -> SerializationError:
    """Return the error for something that could not be unpickled."""
    return SerializationError(
        f"the {subject} cannot be unpickled in the {side}: "
        f"{type(error).__name__}: {error}. Its class must be importable there under the "
        "same name, and accept what its __reduce__ returns.",
        side=side,
        subject=subject,
    )


def brief(value: object, limit: int = 120) -> str:
    """Return a short description of any object, whatever its `repr` does."""
    try:
        text = repr(value)
    except FOREIGN_ERRORS as error:
        text = f"<{type(value).__qualname__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def pack_error(error: BaseException, *, side: str, skip_frames: int = 0) -> bytes:
    """Pack an exception for the other side, with its traceback as text.

    `skip_frames` leaves out that many of the outermost frames (the worker's own loop).
    """
    text = _traceback_text(error, skip_frames)
    try:
        pickled = dumps(error, side=side, subject="exception")
    except SerializationError:
        pickled = None
    return pickle.dumps((_type_name(error), _message(error), text, pickled), 5)


def unpack_error(
    body: bytes, *, side: str, unpickle: Callable[[bytes], Any] = pickle.loads
) -> BaseException:
    """Return the exception that `pack_error` packed, with the remote traceback as its cause.

    One that cannot be pickled there, or unpickled here, becomes a `SerializationError` that has
    its type's name, its message and its traceback as text.
    """
    type_name, message, traceback, pickled = pickle.loads(body)
    error = _revive(type_name, message, pickled, side, unpickle)
    if isinstance(error, StopIteration):  # a future cannot hold it
        error = RuntimeError(f"the task raised StopIteration: {message}")
    error.__cause__ = WorkerTraceback(traceback)
    return error


def _revive(
    type_name: str,
    message: str,
    pickled: bytes | None,
    side: str,
    unpickle: Callable[[bytes], Any],
) -> BaseException:
    reason = "cannot be pickled"
    if pickled is not None:
        try:
            error = unpickle(pickled)
            if isinstance(error, BaseException):
                return error
            reason = f"was unpickled as a {type(error).__name__}"
        except FOREIGN_ERRORS as failure:
            reason = f"cannot be unpickled in the {side} ({type(failure).__name__}: {failure})"
    return SerializationError(
        f"the task raised {type_name}: {message} (the exception itself {reason})",
        side=side,
        subject="exception",
    )


def _traceback_text(error: BaseException, skip_frames: int) -> str:
    frames = error.__traceback__
    for _ in range(skip_frames):
        frames = frames.tb_next if frames is not None else None
    try:
        import traceback

        return "".join(traceback.format_exception(type(error), error, frames))
    except OSError as failure:  # no descriptor left to import that module with
        return f"{_type_name(error)}: {_message(error)}\n(without a traceback: {failure})\n"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    prefix = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return f"{prefix}{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except FOREIGN_ERRORS:
        return "<no message: its __str__ raises>"
