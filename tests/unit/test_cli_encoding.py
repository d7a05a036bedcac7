"""Results and errors as lines of JSON."""

from __future__ import annotations

import json
from collections import OrderedDict, UserDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from uuid import UUID

import pytest

from workpool.cli._encoding import ResultNotJSONError, encode_error, encode_result


@dataclass
class Size:
    width: int
    tags: frozenset[str]


class Point(NamedTuple):
    x: int
    y: int


class Colour(Enum):
    RED = "red"


class Array:
    """Stands for NumPy's: converted by its method, not by its type."""

    def tolist(self) -> list[int]:
        return [1, 2]


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (None, "null"),
        ("Grüße", '"Grüße"'),
        ("a\nb", r'"a\nb"'),
        ({"a": [1, 2.5, True]}, '{"a": [1, 2.5, true]}'),
        ({1: "a"}, '{"1": "a"}'),
        (Size(3, frozenset("ba")), '{"width": 3, "tags": ["a", "b"]}'),
        (Point(1, 2), "[1, 2]"),
        ({1, 3, 2}, "[1, 2, 3]"),
        (deque([1]), "[1]"),
        (OrderedDict(a=1), '{"a": 1}'),
        (UserDict(a=1), '{"a": 1}'),
        (range(3), "[0, 1, 2]"),
        (Path("a/b"), '"a/b"'),
        (date(2024, 2, 3), '"2024-02-03"'),
        (datetime(2024, 2, 3, tzinfo=UTC), '"2024-02-03T00:00:00+00:00"'),
        (Decimal("1.10"), '"1.10"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Array(), "[1, 2]"),
    ],
)
def test_what_has_an_obvious_json_form_is_converted(result: object, line: str) -> None:
    """A result is one line, readable, of the form its type suggests."""
    assert encode_result(result) == line.encode() + b"\n"


def test_a_file_name_that_is_not_utf8_is_escaped() -> None:
    """The line stays valid UTF-8, and a JSON parser gets the surrogates back."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert json.loads(encode_result(name).decode()) == name


def circular() -> object:
    ring: list[object] = []
    ring.append(ring)
    return ring


def deep() -> object:
    nested: object = 0
    for _ in range(100_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (b"abc", "bytes"),
        ({"a": [bytearray(b"x")]}, "bytearray"),
        ({(1, 2): 3}, "tuple"),
        (float("nan"), "nan|float"),
        (object(), "object"),
        (SimpleNamespace(tolist=lambda: 1 / 0), "division"),
        (circular(), "Circular"),
        (deep(), "nested too deep"),
        (10**5000, "limit"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_represent_is_an_error_with_the_reason(
    result: object, reason: str
) -> None:
    """Nothing that a task returns ends the program, and nothing is guessed."""
    with pytest.raises(ResultNotJSONError, match=reason):
        encode_result(result)


def test_an_error_record_names_type_message_and_input() -> None:
    """The form of a failed input is fixed: scripts read it."""
    record = json.loads(encode_error(ValueError("bad"), "a"))
    assert record == {"error": {"type": "ValueError", "message": "bad"}, "input": "a"}


def test_an_error_record_never_fails() -> None:
    """Neither an exception without a message nor an input too deep to write loses the record."""
    record = json.loads(encode_error(Silent(), deep()))
    assert record["error"]["type"] == "Silent"
    assert record["input"] is None
