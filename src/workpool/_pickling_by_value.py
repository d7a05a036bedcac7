"""Pickling by value: what `__main__`, a notebook or a closure defines. Needs cloudpickle."""

from __future__ import annotations

import functools
import io
from collections import ChainMap
from collections.abc import Callable
from typing import Any, ClassVar

import cloudpickle

from workpool._long_pickle import REDUCERS

_CacheWrapper = type(functools.lru_cache(lambda: None))


# cloudpickle has no types.
class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Knows what cloudpickle (3.1) takes to be importable although it is not."""

    dispatch_table: ClassVar[ChainMap[type, Any]] = ChainMap(
        REDUCERS, cloudpickle.Pickler.dispatch_table
    )

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _CacheWrapper) and obj.__module__ == "__main__":
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and reduced is not NotImplemented and "__slots__" in vars(obj):
            _keep_slots(obj, reduced)
        return reduced


def dumps_by_value(value: object, keep_in_band: Callable[..., bool] | None = None) -> bytes:
    """Pickle `value`, by value where its definition cannot be imported."""
    with io.BytesIO() as file:
        Pickler(file, protocol=5, buffer_callback=keep_in_band).dump(value)
        return file.getvalue()


def _keep_slots(cls: type, reduced: tuple[Any, ...]) -> None:
    """Have a class made with its slots.

    cloudpickle sets `__slots__` on a class that is made already, when it has no effect any more: its
    instances have a `__dict__` over there, and when they come back their state does not fit.
    """
    arguments = reduced[1]
    if len(arguments) > 3 and isinstance(arguments[3], dict):
        arguments[3]["__slots__"] = vars(cls)["__slots__"]


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """Wrap a function in a cache of its own, as `functools.lru_cache` had done in the parent."""
    wrapper: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return wrapper
