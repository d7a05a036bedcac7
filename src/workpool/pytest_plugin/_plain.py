"""Anything as built-in types: what the two sides of a run tell each other is made of nothing else."""

from __future__ import annotations

from typing import Any

_PLAIN = (str, int, float, bool, bytes, complex, type(None))
_DEEPEST = 50
"""Deeper than any report; what refers to itself ends here."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as built-in types; what cannot be, as the text that `repr` gives of it."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if depth > _DEEPEST:
        return text_of(value)
    if isinstance(value, dict):
        return {_plain_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, depth + 1) for item in value)
    if isinstance(value, (set, frozenset)):
        items = map(_plain_key, value)
        return set(items) if isinstance(value, set) else frozenset(items)
    for base in (str, bool, int, float, bytes, complex):
        if isinstance(value, base):
            return _base_value(value, base)
    return text_of(value)


def text_of(value: Any) -> str:
    """Return what `repr` gives, or says why it does not."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a repr may raise anything
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def _plain_key(key: Any) -> Any:
    simple = plain(key)
    try:
        hash(simple)
    except TypeError:
        return text_of(key)
    return simple


def _base_value(value: Any, base: Any) -> Any:
    try:
        return base.__new__(base, value) if base is not bool else bool(value)
    except Exception:  # noqa: BLE001 - a subclass may convert itself in any way
        return text_of(value)
