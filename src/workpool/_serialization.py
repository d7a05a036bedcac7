"""Turning objects into bytes and back, on either side of the border.

Every argument and every result is pickled by itself, so that tasks never share an object by
accident. Plain pickle first; cloudpickle when plain pickle cannot, or when it named something of
``__main__``, which the other process does not have: that travels by value.

Large buffers (numpy arrays and whatever else speaks pickle protocol 5) stay out of band: they
are handed on as they are, to be written once and mapped by the receiver. Large bytes and bytearrays,
wherever in an object, are not copied into the pickle either: it is left in pieces, see `LongPickle`.
"""

from __future__ import annotations

from workpool._long_pickle import PIECE_BYTES, LongPickle, pieces_of
from workpool._quick import pickle
from workpool.errors import SerializationError, TaskCancelled, WorkerTraceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OUT_OF_BAND_BYTES = 1 << 14
"""Buffers from this size on are not copied into the pickle: below, a copy is cheaper than the
descriptor, the mapping and the page faults (about 15 us)."""


PLAIN_TYPES = frozenset({int, float, bool, type(None)})
"""Objects of exactly these types need no care: no buffers, no class of somebody's."""

MAIN_MODULE = b"__main__"
"""A pickle with this in it may name something that the other process does not have."""


FOREIGN_ERRORS = (Exception, SystemExit)
"""What somebody's class may raise while it is pickled, unpickled or shown; it must not end us."""


_FLAT_TYPES = frozenset({bytes, bytearray, str})
"""Objects of exactly these types name nothing and hold nothing, so their pickles need not be searched."""

_LONG_BYTES = PIECE_BYTES
"""A pickle from this size on is one for pieces: it may hold a large `bytes`, and it is not moved as it grows."""

_FRAME, _PROTOCOL = b"\x95", b"\x80"
"""What pickle begins a frame with, and the whole."""

_NAMES_WITHIN = 1 << 17
"""Bytes at a piece's start in which a name may be: pickle ends a frame when it has 64 kB, and what
follows them whole in its frame is below 64 kB too."""

_SHORT_IN_A_ROW = 32
"""After so many short pickles no long one is expected any more."""


class Serializer:
    """Pickles the objects of one side, one at a time; not for use by several threads."""

    def __init__(self, side: str, reduce: Callable[[Any], Any] | None = None) -> None:
        self.side = side
        self._reduce = reduce  # for `dumps_in_pieces`, which asks it first how an object is reduced
        self.buffers: list[pickle.PickleBuffer] = []
        """The large buffers of the object pickled last, in the order `loads` wants them."""
        self._keep = self._keep_in_band
        self._short_in_a_row = 0

    def dumps(self, value: object, subject: str) -> Any:
        """Pickle `value`, leaving its large buffers in `buffers`.

        Returns `bytes`, or a `LongPickle`, which is only for a parcel: its `len` says so.
        Raises `SerializationError`, naming the side and the object, if it cannot be pickled.
        """
        if self.buffers:
            self.buffers = []
        kind = type(value)
        if kind in PLAIN_TYPES:
            return pickle.dumps(value, 5)
        if kind in _FLAT_TYPES:
            return _flat(value)
        try:
            data = pickle.dumps(value, 5, buffer_callback=self._keep)
            if MAIN_MODULE not in data:
                return data
        except TaskCancelled:
            raise
        except FOREIGN_ERRORS as error:  # whatever it was, cloudpickle gets its try
            if "'memoryview'" in str(error):
                return self.dumps_in_pieces(value, subject)
        self.buffers = []
        return _by_value(value, self._keep, self.side, subject)

    def expect_long(self, data: bytes | LongPickle) -> None:
        """Look at a pickle that had to travel as a parcel: the next one may be like it.

        One in pieces takes a microsecond longer than a plain one, but has not been copied. So which
        way comes first depends on what came last, and the short ones pay nothing for the choice.
        """
        if len(data) >= _LONG_BYTES:
            self._short_in_a_row = 0
            self.dumps = self.dumps_in_pieces  # type: ignore[method-assign]

    def take_buffers(self) -> list[pickle.PickleBuffer]:
        """Return the buffers, and keep nothing of the object alive."""
        buffers, self.buffers = self.buffers, []
        return buffers

    def dumps_in_pieces(self, value: object, subject: str) -> Any:
        """As `dumps`, with no copy of large bytes; knows some more types."""
        self.buffers = []
        if type(value) in _FLAT_TYPES:
            data = _flat(value)
            self._count_short(len(data))
            return data
        try:
            pieces = pieces_of(value, self._keep, self._reduce)
            if not any(map(_names_main, pieces)):
                return self._joined(pieces)
        except TaskCancelled:
            raise
        except FOREIGN_ERRORS:  # whatever it was, cloudpickle gets its try
            pass
        self.buffers = []
        return _by_value(value, self._keep, self.side, subject, self._reduce)

    def _joined(self, pieces: list[bytes | bytearray]) -> bytes | LongPickle:
        long = LongPickle(pieces)
        self._count_short(len(long))
        return long if len(long) >= _LONG_BYTES else b"".join(pieces)

    def _count_short(self, length: int) -> None:
        if length >= _LONG_BYTES:
            self._short_in_a_row = 0
            return
        self._short_in_a_row += 1
        if self._short_in_a_row > _SHORT_IN_A_ROW:
            vars(self).pop("dumps", None)

    def _keep_in_band(self, buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < OUT_OF_BAND_BYTES:
            return True
        self.buffers.append(buffer)
        return False


def _flat(value: Any) -> Any:
    """Pickle what can neither fail nor name anything."""
    return pickle.dumps(value, 5) if len(value) < PIECE_BYTES else LongPickle(pieces_of(value))


def _names_main(piece: bytes | bytearray) -> bool:
    """Whether a piece of a pickle may name `__main__`: names are in frames, not in large bytes."""
    if len(piece) >= PIECE_BYTES and piece[:1] != _FRAME and piece[:1] != _PROTOCOL:
        return False
    return piece.find(MAIN_MODULE, 0, _NAMES_WITHIN) >= 0


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


def _by_value(
    value: object, keep_in_band: Any, side: str, subject: str, reduce: Any = None
) -> bytes:
    try:
        from workpool._pickling_by_value import dumps_by_value

        return dumps_by_value(value, keep_in_band, reduce)
    except SerializationError:
        raise  # it says what there is to say
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
    if isinstance(error, SerializationError):  # it says what there is to say
        return SerializationError(str(error), side=side, subject=subject)
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
