"""Sending functions of `__main__` to an executor's workers.

A function of a script or a notebook cannot be imported by the workers, so it travels by value. Done
for every call that would take 0.1 ms each time, and each copy would have global names of its own, so
that what an initializer sets would be seen by nobody. Here such a function is pickled once, unpickled
once per worker, and all of them share one dictionary of global names there.
"""

from __future__ import annotations

import functools
import io
import sys
import zlib
from itertools import count
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from workpool._batch import SAFE_TYPES
from workpool._serialization import brief
from workpool._worker.calls import complete_function, function_of_main, names_of_main

_numbers = count(1)
_packed: WeakKeyDictionary[Any, FunctionOfMain] = WeakKeyDictionary()


class FunctionOfMain:
    """Stands for a function of `__main__` where that is pickled."""

    def __init__(self, function: Any) -> None:
        self._number = next(_numbers)
        self._data = zlib.compress(_dumps(function), 1)
        self._text = shown_function(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make `functools.partial` accept it; never called."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return function_of_main, (self._number, self._data)

    def __repr__(self) -> str:
        return self._text


SAFE_TYPES.add(FunctionOfMain)


def shown_function(function: object) -> str:
    """Return a function for messages: its name, if it has one."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else brief(function)


def portable(function: Any) -> Any:
    """Return what to pickle in the place of a function that is to be called.

    That is the function itself, unless `__main__` defines it. Raises whatever pickling it raises.
    """
    if type(function) is functools.partial:
        inner = portable(function.func)
        if inner is function.func:
            return function
        return functools.partial(inner, *function.args, **function.keywords)
    if getattr(function, "__module__", None) != "__main__":
        return function
    return _of_main(function)


def _of_main(function: Any) -> Any:
    try:
        packed = _packed.get(function)
        if packed is None:
            if not _is_fixed(function):
                return function
            packed = _packed[function] = FunctionOfMain(function)
    except TypeError:  # neither a key nor weakly referred to: an instance with a __call__, say
        return function
    return packed


def _is_fixed(function: Any) -> bool:
    """Whether a function is the same each time, so that it need not be pickled again.

    What a closure refers to may change between two calls; but not of a decorated function.
    """
    if type(function) is FunctionType and function.__closure__ is None:
        return True
    thing: Any = sys.modules["__main__"]
    for name in str(getattr(function, "__qualname__", "")).split("."):
        thing = getattr(thing, name, None)
    return thing is function


def _dumps(function: Any) -> bytes:
    from workpool._pickling_by_value import Pickler

    class _Pickler(Pickler):
        """Lets functions of `__main__` share their global names over there."""

        def reducer_override(self, obj: Any) -> Any:
            reduced = super().reducer_override(obj)
            if type(obj) is FunctionType and reduced is not NotImplemented:
                return _sharing_names(obj, reduced)
            return reduced

    with io.BytesIO() as file:
        _Pickler(file, protocol=5).dump(function)
        return file.getvalue()


class _NamesOfMain(dict[str, Any]):
    """Pickled as the dictionary of global names that is there already."""

    def __reduce__(self) -> tuple[Any, ...]:
        return names_of_main, ()


_names = _NamesOfMain()


def _sharing_names(function: FunctionType, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Change how cloudpickle (3.1) makes a function: with the shared names instead of its own."""
    if function.__globals__ is not vars(sys.modules["__main__"]):
        return reduced
    make, (code, _, *others), (attributes, details), *_ = reduced
    rest = (attributes, {**details, "__globals__": {}})
    return (
        make,
        (code, _names, *others),
        (_names_for(function, details["__globals__"]), rest),
        None,
        None,
        complete_function,
    )


def _names_for(function: FunctionType, names: dict[str, Any]) -> dict[str, Any]:
    """Return a function's global names, with what ``from . import ...`` in it needs (``python -m``)."""
    package = function.__globals__.get("__package__")
    return {**names, "__package__": package} if package else names
