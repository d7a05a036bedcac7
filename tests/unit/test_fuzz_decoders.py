"""Whatever bytes come out of a pipe, a socket or a shared file: one error, or what was sent.

The only errors that may come out are the decoder's own `InternalError` and, of files, `OSError`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workpool import InternalError, _frames
from workpool._system.memory import anonymous_file, read_parcel, write_parcel
from workpool._worker.worker import Worker

pytestmark = pytest.mark.once

Reports = list[_frames.Report]

HEADERS = st.builds(
    _frames.REPORT.pack,
    st.integers(0, 3 * _frames.MOST_REPORT_BODY) | st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
    st.floats(),
)
REPORTS = st.lists(
    st.builds(
        lambda kind, attempt, cost, body: (
            _frames.REPORT.pack(len(body), kind, attempt, cost) + body
        ),
        st.integers(_frames.RESULT, _frames.EXITING),
        st.integers(0, 2**64 - 1),
        st.floats(0, 1e9),
        st.binary(max_size=60),
    ),
    max_size=8,
).map(b"".join)
NONSENSE = st.binary(max_size=400) | st.lists(HEADERS, max_size=4).map(b"".join)


def cut(stream: bytes, seed: int) -> list[bytes]:
    """Cut a stream into pieces of all sizes, as reads from a pipe would."""
    choose, pieces = random.Random(seed), []
    while stream:
        size = choose.choice((1, 2, 7, 20, 21, 22, 100))
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def decode(pieces: Sequence[bytes]) -> tuple[Reports, bytes | None]:
    """Read a stream piece by piece, as the pool does; None stands for a fault in it."""
    decoded: Reports = []
    rest = b""
    try:
        for piece in pieces:
            rest += piece
            report, position = _frames.next_report(rest, 0)
            while report is not None:
                decoded.append(report)
                report, position = _frames.next_report(rest, position)
            rest = rest[position:]
    except InternalError:
        return decoded, None
    return decoded, rest


def same(one: tuple[Reports, bytes | None], other: tuple[Reports, bytes | None]) -> bool:
    """Whether two streams gave the same; a cost may be NaN, which equals nothing."""
    return repr(one) == repr(other)


# Reports


@given(REPORTS, NONSENSE, st.integers(0, 1000))
def test_cuts_never_change_what_is_decoded(good: bytes, nonsense: bytes, seed: int) -> None:
    """Good reports, then anything at all: however it is cut, the same reports, the same fault."""
    stream = good + nonsense
    whole = decode([stream])
    assert same(decode(cut(stream, seed)), whole)
    expected, _ = decode([good])
    assert same((whole[0][: len(expected)], b""), (expected, b""))


@given(REPORTS.filter(bool), st.data())
def test_what_came_before_a_flipped_bit_is_intact(stream: bytes, data: st.DataObject) -> None:
    """One wrong bit costs no report that was whole before it."""
    position = data.draw(st.integers(0, 8 * len(stream) - 1))
    flipped = bytearray(stream)
    flipped[position // 8] ^= 1 << position % 8
    before, rest = decode([stream[: position // 8]])
    assert rest is not None
    decoded, _ = decode([bytes(flipped)])
    assert same((decoded[: len(before)], b""), (before, b""))


@given(REPORTS, NONSENSE)
def test_no_more_than_one_report_is_waited_for(good: bytes, nonsense: bytes) -> None:
    """What is kept for later is shorter than the longest report: a torn length cannot block it."""
    _, rest = decode([good + nonsense])
    if rest is not None:
        assert len(rest) < _frames.REPORT.size + _frames.MOST_REPORT_BODY


# Tokens


@given(st.binary(min_size=16, max_size=16))
def test_any_sixteen_bytes_are_a_token(data: bytes) -> None:
    """A token has no wrong values, only ones that nobody knows: unpacking loses nothing."""
    assert _frames.TOKEN.pack(*_frames.TOKEN.unpack(data)) == data


# Mail


class Listening:
    """What a worker's handler of mail touches, without the worker."""

    on_mail = Worker._handle

    def __init__(self) -> None:
        self.stop_reason = ""
        self.messages: list[bytes] = []
        self.cancelled: list[int] = []
        self.pinned: list[bytes] = []
        self.reporter = self
        self.on_cancel = self.cancelled.append

    def give_belt_back(self) -> None: ...

    def _handle_message(self, body: bytes, _descriptor: int | None) -> None:
        self.messages.append(body)


@given(st.binary(max_size=40))
@example(b"")
@example(_frames.MAIL_TASK + bytes(15))
@example(_frames.MAIL_CANCEL)
def test_mail_is_understood_or_refused(data: bytes) -> None:
    """A datagram changes exactly what its tag says, or is an `InternalError` and changes nothing."""
    worker: Any = Listening()
    try:
        worker.on_mail(data[:1], data[1:], None)
    except InternalError:
        assert data[:1] not in (_frames.MAIL_MESSAGE, _frames.MAIL_STOP, _frames.MAIL_LOOK_ROUND)
        understood: list[Any] = []
    else:
        understood = [data[1:]] if data[:1] == _frames.MAIL_MESSAGE else []
    assert worker.messages == understood
    assert bool(worker.stop_reason) == (data[:1] == _frames.MAIL_STOP)
    assert all(len(token) == _frames.TOKEN.size for token in worker.pinned)
    assert all(0 <= attempt < 2**64 for attempt in worker.cancelled)


# Parcels


def parcel_of(content: bytes) -> int:
    """Return the descriptor of a file that may or may not be a parcel."""
    descriptor = anonymous_file("nonsense", 0)
    os.write(descriptor, content)
    return descriptor


def content_of(data: bytes, buffers: Sequence[bytes]) -> bytes:
    descriptor = write_parcel(data, buffers)
    try:
        return os.pread(descriptor, 1 << 20, 0)
    finally:
        os.close(descriptor)


def check_reading(content: bytes) -> list[bytes] | None:
    """Read what may be a parcel; None if it is refused. Its descriptor is closed either way."""
    descriptor = parcel_of(content)
    try:
        data, buffers = read_parcel(descriptor)
    except (InternalError, OSError):
        return None
    finally:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    parts = [bytes(data), *(bytes(buffer) for buffer in buffers)]
    assert sum(map(len, parts)) <= len(content)
    return parts


@given(
    st.lists(st.integers(0, 300) | st.integers(0, 2**64 - 1), max_size=40).map(
        lambda words: b"".join(word.to_bytes(8, "little") for word in words)
    ),
    st.binary(max_size=9),
)
@example(b"", b"")
@example((1).to_bytes(8, "little"), b"")
def test_a_file_that_is_no_parcel_is_refused(words: bytes, tail: bytes) -> None:
    """Any table of sizes, and files of any size: refused, or parts that lie within the file."""
    check_reading(words + tail)


@given(st.binary(max_size=300), st.lists(st.binary(max_size=200), max_size=3), st.data())
def test_a_truncated_parcel_is_refused(
    data: bytes, buffers: list[bytes], draw: st.DataObject
) -> None:
    """A parcel cut anywhere is refused unless all of its parts are there."""
    content = content_of(data, buffers)
    length = draw.draw(st.integers(0, len(content) - 1))
    assert check_reading(content[:length]) in (None, [data, *buffers])
    assert check_reading(content) == [data, *buffers]


@given(st.binary(max_size=300), st.lists(st.binary(max_size=200), max_size=3), st.data())
def test_a_parcel_with_a_flipped_bit_does_no_harm(
    data: bytes, buffers: list[bytes], draw: st.DataObject
) -> None:
    """It is refused, or read with parts that lie within the file."""
    content = bytearray(content_of(data, buffers))
    position = draw.draw(st.integers(0, 8 * len(content) - 1))
    content[position // 8] ^= 1 << position % 8
    check_reading(bytes(content))


def test_a_descriptor_that_is_no_file_is_refused() -> None:
    """A pipe or a directory that came instead of a parcel is an error, and is closed."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    directory = os.open("/", os.O_RDONLY)
    for descriptor in (read_end, directory):
        with pytest.raises((InternalError, OSError)):
            read_parcel(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
