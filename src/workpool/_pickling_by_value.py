"""Pickling by value: what `__main__`, a notebook or a closure defines. Needs cloudpickle."""

from __future__ import annotations

import functools
import io
from collections import ChainMap
from collections.abc import Callable
from typing import Any, ClassVar, Generic

import cloudpickle
from cloudpickle.cloudpickle import _make_skeleton_class

from workpool._long_pickle import REDUCERS

_CacheWrapper = type(functools.lru_cache(lambda: None))


def item_of_generic_tuples() -> object:
    """Return what a generic `typing.NamedTuple` has in itself, in Python 3.11."""
    return getattr(Generic.__class_getitem__, "__func__", None)


_OF_GENERIC_TUPLES = item_of_generic_tuples() or object()


# cloudpickle has no types.
class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Knows what cloudpickle (3.1) takes to be importable although it is not."""

    dispatch_table: ClassVar[ChainMap[type, Any]] = ChainMap(
        REDUCERS, cloudpickle.Pickler.dispatch_table
    )

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _CacheWrapper) and obj.__module__ == "__main__":
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        if obj is _OF_GENERIC_TUPLES:
            return item_of_generic_tuples, ()
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and reduced is not NotImplemented and "__slots__" in vars(obj):
            return _with_slots(obj, reduced)
        return reduced


class _ReducingPickler(Pickler):
    """Asks a function first how an object is reduced."""

    def __init__(self, file: Any, reduce: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(file, **options)
        self._reduce = reduce

    def reducer_override(self, obj: Any) -> Any:
        reduced = self._reduce(obj)
        return super().reducer_override(obj) if reduced is NotImplemented else reduced


def dumps_by_value(
    value: object,
    keep_in_band: Callable[..., bool] | None = None,
    reduce: Callable[[Any], Any] | None = None,
) -> bytes:
    """Pickle `value`, by value where its definition cannot be imported; `reduce` is asked first."""
    options: dict[str, Any] = {"protocol": 5, "buffer_callback": keep_in_band}
    with io.BytesIO() as file:
        pickler = (
            Pickler(file, **options)
            if reduce is None
            else _ReducingPickler(file, reduce, **options)
        )
        pickler.dump(value)
        return file.getvalue()


def _with_slots(cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Have a class made with its slots.

    cloudpickle sets `__slots__` on a class that is made already, when it has no effect any more: its
    instances have a `__dict__` over there, and when they come back their state does not fit.
    """
    make, arguments, *rest = reduced
    if make is not _make_skeleton_class:
        return reduced  # an enumeration
    return make_class_with_slots, (vars(cls)["__slots__"], *arguments), *rest


def make_class_with_slots(
    slots: Any, kind: type, name: str, bases: tuple[type, ...], names: dict[str, Any], *others: Any
) -> type:
    """Make the class that cloudpickle fills afterwards, with these slots if its metaclass lets us.

    `typing.NamedTuple`, and whatever else sets `__slots__` itself, refuses to be given any.
    """
    try:
        made: type = _make_skeleton_class(kind, name, bases, {**names, "__slots__": slots}, *others)
    except Exception:  # noqa: BLE001 - whatever somebody's metaclass raises
        made = _make_skeleton_class(kind, name, bases, names, *others)
    return made


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """Wrap a function in a cache of its own, as `functools.lru_cache` had done in the parent."""
    wrapper: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return wrapper
