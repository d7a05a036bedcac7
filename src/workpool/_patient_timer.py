"""A time limit for a worker that counts only time in which the worker could run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_LATE = 0.5
"""Seconds by which a timer of a program that was not stopped is rarely late."""


class PatientTimer:
    """Calls back after so many seconds, and once later if it is late itself.

    After a stop of the whole program (Ctrl-Z and fg, a machine that was suspended) every timer is
    due at once, before the workers had a turn. Then they get the time that they could not have. Only
    once: an event loop that is always late must not put it off for ever.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        callback: Callable[..., object],
        *arguments: Any,
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._callback = callback
        self._arguments = arguments
        self._has_waited_on = False
        self._wait(seconds)

    def cancel(self) -> None:
        """Do not call back. Harmless when it has."""
        self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._over)

    def _over(self) -> None:
        late = self._loop.time() - self._due
        if late > _LATE and not self._has_waited_on:
            self._has_waited_on = True
            self._wait(min(late, self._seconds))
        else:
            self._callback(*self._arguments)
