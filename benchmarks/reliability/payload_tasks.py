"""Payloads of any size, made and checked in place: neither takes a second copy of them.

Their contents have a period of 251 bytes, a prime: a stretch of some power of two that is missing,
doubled or moved changes the checksum.
"""

import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from typing import Any, SupportsIndex

BYTES, BYTEARRAY, OUT_OF_BAND = "bytes", "bytearray", "out-of-band buffer"
KINDS = (BYTES, BYTEARRAY, OUT_OF_BAND)

ARGUMENT, RESULT, ALIVE = "argument", "result", "alive"

BLOCK = bytes(range(251)) * 4_001

Summary = tuple[str, int, int]
"""A payload's kind, size and checksum."""


class Buffer:
    """What numpy's arrays are to pickle: an object whose memory travels beside it, uncopied."""

    def __init__(self, data: "Any") -> None:
        self.data = data

    def __reduce_ex__(
        self, protocol: "SupportsIndex"
    ) -> "tuple[type[Buffer], tuple[pickle.PickleBuffer]]":
        from _pickle import PickleBuffer

        return Buffer, (PickleBuffer(self.data),)


def make(kind: str, size: int) -> "bytes | bytearray | Buffer":
    """Return a payload; no other one is like it but of the same kind and size."""
    if kind == BYTES:
        whole, rest = divmod(size, len(BLOCK))
        return b"".join([BLOCK] * whole + [BLOCK[:rest]])
    data = bytearray(size)
    with memoryview(data) as view:
        for start in range(0, size, len(BLOCK)):
            part = view[start : start + len(BLOCK)]
            part[:] = BLOCK[: len(part)]
    return data if kind == BYTEARRAY else Buffer(data)


def summarize(payload: "bytes | bytearray | Buffer") -> Summary:
    """Return what a payload is, from what is really in it."""
    data = payload.data if isinstance(payload, Buffer) else payload
    kind = OUT_OF_BAND if isinstance(payload, Buffer) else type(payload).__name__
    checksum, step = 0, 1 << 26
    with memoryview(data) as view:
        for start in range(0, len(view), step):
            checksum = zlib.crc32(view[start : start + step], checksum)
        return kind, len(view), checksum


def expected(kind: str, size: int) -> Summary:
    """Return the summary of a payload without making it."""
    checksum = 0
    for start in range(0, size, len(BLOCK)):
        checksum = zlib.crc32(BLOCK[: size - start], checksum)
    return kind, size, checksum


def carry(order: "tuple[str, Any]") -> "Any":
    """Summarize an argument, or make a result."""
    direction, content = order
    if direction == ARGUMENT:
        return summarize(content)
    return make(*content) if direction == RESULT else ALIVE
