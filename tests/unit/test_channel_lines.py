"""The lines of a channel: what they say, what cannot be said, what is no line at all."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool._serialization import dumps
from workpool.channels._lines import Answer, LineFormat, LineSplitter, Malformed, Message
from workpool.errors import RequestFailed, SerializationError, WorkerTraceback

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
PLAIN = LineFormat("parent")
PICKLED = LineFormat("parent", pickled=True)


class Local(Exception):
    """An exception whose class can be imported by both sides."""


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@given(JSON, st.text())
def test_what_json_has_comes_as_it_went(content: Any, kind: str) -> None:
    """Messages, requests and answers keep type, number and content; each is one line of ASCII."""
    for line in (PLAIN.message(kind, content), PLAIN.request(kind, content, 7)):
        said = PLAIN.read(line)
        assert isinstance(said, Message)
        assert said.type == kind
        assert PLAIN.content(said.fields, "content") == content
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert line.isascii()
    answer = PLAIN.read(PLAIN.answer("x-7", kind, content))
    assert isinstance(answer, Answer)
    assert answer.number == "x-7"
    assert PLAIN.error(answer.fields, kind) is None
    assert PLAIN.content(answer.fields, "answer") == content


@pytest.mark.parametrize("content", [{1, 2}, b"bytes", float("nan"), object(), {(1, 2): 3}])
def test_what_json_has_not_is_refused_with_advice(content: object) -> None:
    """The error names side, type and remedy; nothing is sent that another language cannot read."""
    with pytest.raises(
        SerializationError, match=r"content of 'resize'.*JSON.*pickled=True"
    ) as raised:
        PLAIN.message("resize", content)
    assert raised.value.side == "parent"


def test_content_that_never_ends_is_refused() -> None:
    """Neither a list in itself nor one that is too deep gets past."""
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for content in (circle, deep):
        with pytest.raises(SerializationError):
            PLAIN.message("x", content)


@pytest.mark.parametrize("content", [{1, 2}, b"bytes", complex(1, 2), Local("x")])
def test_what_can_be_pickled_comes_where_it_was_agreed_on(content: object) -> None:
    """The line is JSON all the same, with the pickle in it as text."""
    line = PICKLED.message("x", content)
    said = PICKLED.read(line)
    assert isinstance(json.loads(line)["pickled"], str)
    back = PICKLED.content(said.fields, "content")
    assert type(back) is type(content)
    assert repr(back) == repr(content)


def test_a_pickle_nobody_asked_for_is_never_loaded() -> None:
    """A child cannot have the parent unpickle, whatever kind of line it writes."""
    data = b64encode(dumps(Local("x"), side="child", subject="x")).decode()
    for fields in ({"type": "x"}, {"answer": 1}, {"answer": 1, "error": {}}):
        line = json.dumps({**fields, "pickled": data}).encode()
        with pytest.raises(Malformed, match="did not ask for"):
            PLAIN.read(line)


@pytest.mark.parametrize("data", ["no base64!", b64encode(b"no pickle").decode(), 5, None])
def test_a_pickle_that_cannot_be_read_is_an_error_of_its_message(data: object) -> None:
    """The line was fine, so the channel goes on."""
    said = PICKLED.read(json.dumps({"type": "x", "pickled": data}).encode())
    with pytest.raises(SerializationError):
        PICKLED.content(said.fields, "content")


def test_an_error_travels_as_text() -> None:
    """Type, message and traceback arrive, the traceback as the cause."""
    line = PLAIN.failure(3, raised(ValueError("no size")))
    error = PLAIN.error(PLAIN.read(line).fields, "resize")
    assert isinstance(error, RequestFailed)
    assert (error.error_type, error.error_message) == ("ValueError", "no size")
    for part in ("'resize'", "ValueError", "no size"):
        assert part in str(error)
    assert isinstance(error.__cause__, WorkerTraceback)
    assert "in raised" in str(error.__cause__)


def test_an_error_travels_as_itself_where_that_was_agreed_on() -> None:
    """Its class and attributes are those of the other side, its traceback is the cause."""
    error = PICKLED.error(PICKLED.read(PICKLED.failure(3, raised(Local("x")))).fields, "resize")
    assert type(error) is Local
    assert "in raised" in str(error.__cause__)


def test_an_error_that_cannot_travel_comes_as_text() -> None:
    """It cannot be pickled, or no future could hold it: the asker gets its name all the same."""
    unpicklable = Local("x")
    unpicklable.lock = threading.Lock()  # type: ignore[attr-defined]
    for error in (unpicklable, StopIteration("x")):
        back = PICKLED.error(PICKLED.read(PICKLED.failure(3, raised(error))).fields, "resize")
        assert isinstance(back, RequestFailed)
        assert type(error).__name__ in back.error_type
        assert back.error_message == "x"


def test_an_error_without_details_is_an_error() -> None:
    """Other languages may say as little as they like; null is no error."""
    for told in ("too bad", {"message": "too bad"}, {"type": None, "message": "too bad"}, {}):
        line = json.dumps({"answer": 1, "error": told}).encode()
        assert isinstance(PLAIN.error(PLAIN.read(line).fields, "x"), RequestFailed)
    said = PLAIN.read(b'{"answer": 1, "error": null, "content": 5}')
    assert PLAIN.error(said.fields, "x") is None


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_every_error_can_be_told() -> None:
    """Neither a rude `__str__` nor the longest text keeps the asker waiting."""
    small = LineFormat("child", line_limit=4096)
    for error in (Rude(), ValueError("\N{PILE OF POO}" * 1_000_000)):
        line = small.failure(1, raised(error))
        assert len(line) <= 4097
        assert small.error(small.read(line).fields, "x") is not None
    assert len(small.no_handler(1, "x" * 9999, ["y" * 9999])) <= 4097


def test_a_line_that_is_too_long_is_not_sent() -> None:
    """The error names both lengths and what to do; a line of exactly the limit is sent."""
    small = LineFormat("child", line_limit=4096)
    fits = 4096 - len(small.message("x", "")) + 1
    assert len(small.message("x", "a" * fits)) == 4096 + 1  # its end does not count
    with pytest.raises(SerializationError, match=r"4097 bytes.*4096.*line_limit"):
        small.message("x", "a" * (fits + 1))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"type": "\xff"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        (b'"text"', "no object"),
        (b"[1]", "no object"),
        (b"{}", 'neither a "type"'),
        (b'{"type": 5}', 'neither a "type"'),
        (b'{"type": "x", "request": true}', 'has a "request"'),
        (b'{"type": "x", "request": [1]}', 'has a "request"'),
        (b'{"type": "x", "pickled": ""}', "did not ask for"),
        (b" " * (1 << 24) + b"{}", "longer than the 16777216 bytes"),
    ],
    ids=range(13),
)
def test_what_is_no_line_of_the_format_says_why(line: bytes, why: str) -> None:
    """Whatever the bytes are, there is one clear reason and no other exception."""
    with pytest.raises(Malformed, match=why):
        PLAIN.read(line)


@given(st.binary())
def test_no_bytes_do_any_harm(line: bytes) -> None:
    """Every line is either read or refused."""
    try:
        said = PLAIN.read(line)
    except Malformed:
        return
    assert isinstance(said, Message | Answer)


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"-"))), st.data())
def test_lines_are_found_however_the_stream_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    """The stretches in which a stream comes change nothing; what has not ended is left."""
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    splitter = LineSplitter(limit=100)
    found = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:size])
        stream = stream[size:]
    assert found == lines
    assert splitter.rest() == b"rest"


def test_a_line_that_does_not_end_is_not_collected_for_ever() -> None:
    """A little over the limit its beginning is handed on, to be refused."""
    splitter = LineSplitter(limit=10)
    assert splitter.feed(b"a\n1234567890") == [b"a"]
    assert splitter.feed(b"1") == [b"12345678901"]
    assert splitter.rest() == b""
