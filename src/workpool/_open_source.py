"""Async sources that may never give anything again, and pools that end meanwhile."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workpool.errors import PoolClosed

if TYPE_CHECKING:
    from workpool._engine import Engine


class OpenSource:
    """Ends the reading of an async source with `PoolClosed` when its pool ends.

    Entered by the task that reads. What the source is about to give, or to end with, still comes: it is
    interrupted only where it waits, and that a turn of the event loop after the last task has ended.
    """

    def __init__(self, engine: Engine) -> None:
        self.is_asked = True
        """Whether the source is asked for an item now. To be set to False when one has come."""
        self._engine = engine
        self._ending = engine.ending
        self._reader = asyncio.current_task()
        self._is_cut_off = False

    def __enter__(self) -> Self:
        self._ending.on_over.add(self._on_over)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.on_over.discard(self._on_over)
        self.is_asked = False
        if self._is_cut_off and isinstance(exc, asyncio.CancelledError):
            raise PoolClosed(
                f"the pool {self._engine.options.name!r} ended while it read a source that was still open; "
                "end the source first (a WorkQueue by its close())"
            ) from None

    def ask(self) -> None:
        """Note that the source is asked again."""
        self.is_asked = True
        if self._ending.is_over:
            self._on_over()

    def _on_over(self) -> None:
        self._engine.loop.call_soon(self._cut_off)

    def _cut_off(self) -> None:
        if self.is_asked and self._reader is not None and not self._reader.done():
            self._is_cut_off = True
            self._reader.cancel()
