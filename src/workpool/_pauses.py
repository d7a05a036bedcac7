"""Tasks that failed and pause before they run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from workpool._task import Task


class Pauses:
    """Keeps each task for its pause, then hands it to `resume(task)`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resume: Callable[[Task[Any]], None]
    ) -> None:
        self._loop = loop
        self._resume = resume
        self._timers: dict[Task[Any], asyncio.TimerHandle] = {}

    def add(self, task: Task[Any], seconds: float) -> None:
        """Hand a task on after so many seconds."""
        self._timers[task] = self._loop.call_later(seconds, self._over, task)

    def discard(self, task: Task[Any]) -> None:
        """Keep a task no longer, if it is here."""
        timer = self._timers.pop(task, None)
        if timer is not None:
            timer.cancel()

    def take_all(self) -> list[Task[Any]]:
        """Empty it; return what was here."""
        taken = list(self._timers)
        for task in taken:
            self.discard(task)
        return taken

    def _over(self, task: Task[Any]) -> None:
        del self._timers[task]
        self._resume(task)
