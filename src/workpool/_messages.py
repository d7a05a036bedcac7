"""Listeners by type: who is told what."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    Handler = Callable[..., Any]


class Listeners:
    """Handlers registered by type, called in the order in which they were registered."""

    def __init__(self) -> None:
        self._handlers: dict[Hashable, tuple[Handler, ...]] = {}

    def add(self, kind: Hashable, handler: Handler) -> None:
        """Register a handler; registering it twice calls it twice."""
        if not callable(handler):
            raise TypeError(f"a handler must be callable, not {type(handler).__name__}")
        self._handlers[kind] = (*self._handlers.get(kind, ()), handler)

    def remove(self, kind: Hashable, handler: Handler) -> None:
        """Take one registration back; `ValueError` if there is none."""
        handlers = list(self._handlers.get(kind, ()))
        if handler not in handlers:
            raise ValueError(f"{handler!r} is not registered for {kind!r}")
        handlers.remove(handler)
        self._handlers[kind] = tuple(handlers)

    def of(self, kind: Hashable) -> tuple[Handler, ...]:
        """Return the handlers of a type as they are now; later changes do not affect it."""
        return self._handlers.get(kind, ())
