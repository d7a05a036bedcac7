"""Which functions get the client, and which are coroutine functions: told by their signatures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from workpool import entrypoint
from workpool._worker.resolve import is_coroutine_function, takes_client


def wraps(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def wraps_one(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(arg: Any) -> Any:
        return function(arg, None)

    return wrapper


def one(arg: Any) -> None: ...
def two(arg: Any, client: Any) -> None: ...
def other_name(arg: Any, context: Any) -> None: ...
def default_client(arg: Any, client: Any = None) -> None: ...
def default_other(arg: Any, level: int = 3) -> None: ...
def keyword_client(arg: Any, *, client: Any = None) -> None: ...
def anything(*args: Any) -> None: ...
def third(arg: Any, level: int = 3, client: Any = None) -> None: ...
async def two_async(arg: Any, client: Any) -> None: ...


class Methods:
    def one(self, arg: Any) -> None: ...
    def two(self, arg: Any, client: Any) -> None: ...
    @classmethod
    def of_class(cls, arg: Any, client: Any) -> None: ...
    @staticmethod
    def static(arg: Any, client: Any) -> None: ...
    def __call__(self, arg: Any, client: Any) -> None: ...


class CallsOne:
    def __call__(self, arg: Any) -> None: ...


class CallsAsync:
    async def __call__(self, arg: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        two,
        other_name,
        default_client,
        two_async,
        wraps(two),
        entrypoint(two),
        Methods().two,
        Methods.of_class,
        Methods.static,
        Methods(),
        functools.partial(lambda a, b, c: 0, 1),
        functools.partial(Methods().two),
        functools.partial(functools.partial(lambda a, b, c, d: 0, 1), 2),
    ],
)
def test_a_second_parameter_gets_the_client(function: Callable[..., Any]) -> None:
    """A second positional parameter without a default, or named `client`, is for the client."""
    assert takes_client(function)


@pytest.mark.parametrize(
    "function",
    [
        one,
        default_other,
        keyword_client,
        anything,
        third,
        len,
        int,
        str.upper,
        wraps(one),
        wraps_one(two),
        entrypoint(one),
        Methods().one,
        CallsOne(),
        CallsOne,
        functools.partial(two, 1),
        functools.partial(third, level=1),
        functools.partial(two, client=None),
        functools.partial(other_name, context=None),
        functools.partial(pow, 2),
        functools.partial(Methods().two, 1),
    ],
)
def test_other_functions_get_the_argument_alone(function: Callable[..., Any]) -> None:
    """Defaults are kept, builtins and classes are called with the argument."""
    assert not takes_client(function)


@pytest.mark.parametrize(
    "function",
    [two_async, wraps_one, CallsAsync(), entrypoint(two_async), functools.partial(two_async, 1)],
)
def test_coroutine_functions_are_known(function: Callable[..., Any]) -> None:
    """Async functions, methods and callables, wrapped or not, run in the worker's loop."""
    assert is_coroutine_function(function) == (function is not wraps_one)
