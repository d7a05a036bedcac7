"""An event loop that runs in turns, and a Ctrl-C that never hits it half-way."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any


class TurningLoop:
    """An event loop that is run until there is something to do outside of it, again and again.

    Ctrl-C outside of a turn raises `KeyboardInterrupt` at once, as always; within one, when the
    turn is over, and it ends the turn: what lives in the loop is never cut short.
    `asyncio.Runner` would do that too, for a millisecond per turn.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._is_inside = False
        self._is_interrupted = False
        self._is_woken = False
        self._handler_before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._handler_before = signal.getsignal(signal.SIGINT)
            if self._handler_before is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._on_interrupt)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the loop; raise what it raises."""
        self.run(_call(function))

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end."""
        self._is_woken = True  # what calls `wake` meanwhile must not end this turn
        self._enter()
        try:
            self._loop.run_until_complete(coroutine)
        finally:
            self._leave()

    def pass_once(self) -> None:
        """Let the loop do what is due, and wait for nothing."""
        self._loop.call_soon(self._loop.stop)
        self._enter()
        try:
            self._loop.run_forever()
        finally:
            self._leave()

    def run_until_woken(self, seconds: float | None = None) -> None:
        """Run until `wake` is called, or so many seconds are over."""
        timer = None if seconds is None else self._loop.call_later(seconds, self.wake)
        self._is_woken = False
        self._enter()
        try:
            self._loop.run_forever()
        finally:
            if timer is not None:
                timer.cancel()
            self._leave()

    def wake(self) -> None:
        """End the turn, when the callbacks that are due have been called."""
        if not self._is_woken:
            self._is_woken = True
            self._loop.stop()

    def close(self) -> None:
        """Close the loop and give Ctrl-C back."""
        if self._loop.is_closed():
            return
        if self._handler_before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handler_before)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _enter(self) -> None:
        self._is_inside = True

    def _leave(self) -> None:
        self._is_inside = False
        if self._is_interrupted:
            self._is_interrupted = False
            raise KeyboardInterrupt

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._is_inside:
            raise KeyboardInterrupt
        self._is_interrupted = True
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _call(function: Callable[[], None]) -> None:
    function()
