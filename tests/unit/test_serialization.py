"""Turning objects into bytes and back: what can travel does, what cannot says so."""

from __future__ import annotations

import pickle
import sys
import threading
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.children import HeldError, OneWayError, OneWayResult, Unpicklable
from workpool import SerializationError, WorkerTraceback
from workpool._serialization import (
    MAIN_MODULE,
    OUT_OF_BAND_BYTES,
    Serializer,
    brief,
    dumps,
    loads,
    pack_error,
    unpack_error,
)

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    ATOMS | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


class Buffers:
    """Holds a buffer, and hands it out of band as numpy arrays do."""

    def __init__(self, *parts: bytes | bytearray) -> None:
        self.parts = parts

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffers, tuple(pickle.PickleBuffer(part) for part in self.parts)


class SpeaksBadly:
    """Its `repr` raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def raised(error: BaseException) -> BaseException:
    """Return the exception with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def there_and_back(error: BaseException) -> BaseException:
    return unpack_error(pack_error(raised(error), side="worker"), side="pool")


@given(VALUES)
def test_values_come_back_equal(value: object) -> None:
    """Plain data, nested at will, survives both ways of pickling."""
    serializer = Serializer("pool")
    for data in (serializer.dumps(value, "argument"), dumps(value, side="pool", subject="x")):
        assert loads(data, side="worker", subject="argument") == value
    assert serializer.buffers == []


@given(st.lists(st.integers(0, 3 * OUT_OF_BAND_BYTES), max_size=4))
def test_only_large_buffers_stay_out_of_band(sizes: list[int]) -> None:
    """Buffers from the threshold on are left out of the pickle; all come back in their places."""
    serializer = Serializer("pool")
    value = Buffers(*(bytearray([index]) * size for index, size in enumerate(sizes)))
    data = serializer.dumps(value, "argument")
    large = [size for size in sizes if size >= OUT_OF_BAND_BYTES]
    assert [buffer.raw().nbytes for buffer in serializer.buffers] == large
    assert len(data) < sum(sizes) - sum(large) + 1000
    back = loads(data, serializer.buffers, side="worker", subject="argument")
    assert [bytes(part) for part in back.parts] == [bytes(part) for part in value.parts]


@pytest.mark.parametrize("following", [5, "text", [1]])
def test_buffers_belong_to_one_object(following: object) -> None:
    """After an object with buffers, the next one has none of them."""
    serializer = Serializer("pool")
    serializer.dumps(Buffers(bytearray(OUT_OF_BAND_BYTES)), "argument")
    serializer.dumps(following, "argument")
    assert serializer.buffers == []


def test_buffers_of_what_could_not_be_pickled_are_forgotten() -> None:
    """An object that fails half-way leaves no buffers for the next one."""
    serializer = Serializer("pool")
    with pytest.raises(SerializationError):
        serializer.dumps([Buffers(bytearray(OUT_OF_BAND_BYTES)), Unpicklable()], "argument")
    data = serializer.dumps("text", "argument")
    assert serializer.buffers == []
    assert loads(data, serializer.buffers, side="pool", subject="argument") == "text"


def test_objects_of_main_travel_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of `__main__` arrives where `__main__` is another program."""
    main = types.ModuleType("__main__")
    exec("class Point:\n    def __init__(self, x): self.x = x", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    value = main.__dict__["Point"](7)
    data = [dumps(value, side="pool", subject="x"), Serializer("pool").dumps(value, "x")]
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    for pickled in data:
        back = loads(pickled, side="worker", subject="x")
        assert back.x == 7
        assert type(back).__name__ == "Point"


def test_the_mere_word_main_is_no_hindrance() -> None:
    """Data that only looks as if it named `__main__` comes back as it was."""
    for value in ("__main__", [MAIN_MODULE, "see __main__:run"]):
        assert loads(dumps(value, side="pool", subject="x"), side="pool", subject="x") == value


def test_closures_and_lambdas_travel() -> None:
    """Functions without a name to be found by go by value."""
    base = 40
    data = dumps(lambda number: base + number, side="pool", subject="entrypoint")
    assert loads(data, side="worker", subject="entrypoint")(2) == 42


@pytest.mark.parametrize("make", [Unpicklable, threading.Lock, SpeaksBadly])
@pytest.mark.parametrize("own", [True, False])
def test_what_cannot_be_pickled_is_named(make: Any, own: bool) -> None:
    """The error says which object, what it was for, on which side, and why."""
    value: Any = [make()]
    if make is SpeaksBadly:
        value.append(Unpicklable())
    with pytest.raises(SerializationError) as caught:
        if own:
            Serializer("worker").dumps(value, "result")
        else:
            dumps(value, side="worker", subject="result")
    assert (caught.value.side, caught.value.subject) == ("worker", "result")
    assert "the result" in str(caught.value)
    assert "in the worker" in str(caught.value)
    assert brief(value) in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("depth", [100_000])
def test_too_deep_an_object_fails_alone(depth: int) -> None:
    """Nesting beyond what pickle can follow is an error, not the end of the process."""
    value: Any = None
    for _ in range(depth):
        value = [value]
    with pytest.raises(SerializationError, match="RecursionError"):
        dumps(value, side="pool", subject="argument")
    while value is not None:  # taken apart here: its own destructor goes just as deep
        [value] = value


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x80\x05."])
def test_what_cannot_be_unpickled_is_an_error_of_its_side(data: bytes) -> None:
    """Torn bytes raise `SerializationError` and nothing else."""
    with pytest.raises(SerializationError) as caught:
        loads(data, side="pool", subject="result")
    assert (caught.value.side, caught.value.subject) == ("pool", "result")


def test_a_class_that_refuses_to_be_rebuilt_is_named_with_its_reason() -> None:
    """What `__reduce__` names may raise; its words are in the error."""
    data = dumps(OneWayResult(), side="worker", subject="result")
    with pytest.raises(SerializationError, match="ValueError: there is no way back"):
        loads(data, side="pool", subject="result")


@pytest.mark.parametrize("value", [SpeaksBadly(), "x" * 1000, None, [SpeaksBadly()]])
def test_any_object_can_be_described_briefly(value: object) -> None:
    """Whatever `repr` does, the description is short and does not raise."""
    assert 0 < len(brief(value)) <= 120


def test_an_exception_arrives_as_itself_with_its_traceback() -> None:
    """Type, arguments and notes are the same; the worker's traceback is the cause."""
    error = ValueError("wrong", 7)
    error.add_note("seen on Tuesday")
    back = there_and_back(error)
    assert type(back) is ValueError
    assert back.args == ("wrong", 7)
    assert back.__notes__ == ["seen on Tuesday"]
    assert isinstance(back.__cause__, WorkerTraceback)
    assert "in raised" in back.__cause__.text
    assert "seen on Tuesday" in back.__cause__.text


def test_causes_are_in_the_text_of_the_traceback() -> None:
    """What an exception was raised from is not lost, though pickle drops it."""
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    assert "KeyError: 'inner'" in str(there_and_back(error).__cause__)


def test_frames_of_the_worker_itself_are_left_out() -> None:
    """`skip_frames` removes the outermost ones, but never the last."""
    error = raised(ValueError("x"))
    for skip in (1, 50):
        cause = unpack_error(pack_error(error, side="worker", skip_frames=skip), side="pool")
        assert "ValueError: x" in str(cause.__cause__)


@pytest.mark.parametrize(
    ("error", "name", "message", "reason"),
    [
        (HeldError("it holds a thing"), "HeldError", "it holds a thing", "cannot be pickled"),
        (OneWayError("one", "two"), "OneWayError", "one and two", "cannot be unpickled"),
    ],
)
def test_an_exception_that_cannot_travel_still_tells_its_story(
    error: Exception, name: str, message: str, reason: str
) -> None:
    """Name, message and traceback arrive as text, and why the exception itself did not."""
    back = there_and_back(error)
    assert isinstance(back, SerializationError)
    for part in (name, message, reason):
        assert part in str(back)
    assert back.subject == "exception"
    assert f"{name}: {message}" in str(back.__cause__)


class Mute(Exception):
    """Neither its message nor itself can be had."""

    def __str__(self) -> str:
        raise RuntimeError("no comment")

    def __reduce__(self) -> Any:
        raise RuntimeError("no way")


def test_an_exception_whose_text_raises_still_arrives() -> None:
    """Even then there is an error that names the type."""
    back = there_and_back(Mute())
    assert isinstance(back, SerializationError)
    assert "Mute" in str(back)


class NoException(Exception):
    """Comes back as something that cannot be raised."""

    def __reduce__(self) -> Any:
        return int, (7,)


def test_what_comes_back_as_no_exception_is_not_raised() -> None:
    """A class that is rebuilt as something else fails the task with an error that says so."""
    back = there_and_back(NoException("lost"))
    assert isinstance(back, SerializationError)
    assert "NoException: lost" in str(back)
    assert "int" in str(back)


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_future_can_hold_whatever_comes_back(kind: type[Exception]) -> None:
    """`StopIteration`, which no future takes, becomes a `RuntimeError` that names it."""
    back = there_and_back(kind("enough"))
    expected = RuntimeError if kind is StopIteration else kind
    assert type(back) is expected
    assert "enough" in str(back)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_are_no_errors_travel_too(kind: type[BaseException]) -> None:
    """A task may raise anything."""
    assert type(there_and_back(kind("stop"))) is kind


def test_groups_arrive_with_their_members() -> None:
    """An exception group comes back whole."""
    back = there_and_back(ExceptionGroup("several", [ValueError("a"), KeyError("b")]))
    assert isinstance(back, ExceptionGroup)
    assert [type(member) for member in back.exceptions] == [ValueError, KeyError]
