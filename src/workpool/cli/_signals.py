"""Ending on Ctrl-C and SIGTERM: in good order, and in any case."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["StopSignals"]

# The user has been promised 2 s.
DEADLINE = 1.7


class StopSignals:
    """While entered, turn the first SIGINT or SIGTERM into a call of `on_signal` in the loop.

    Two things end the process at once, without cleaning up: a second signal, and the deadline (in
    seconds after the first one). So Ctrl-C works even while something blocks the event loop, such
    as a write to a terminal that is stopped; the handler is a plain one for this reason, it runs
    between the interrupted system call and its repetition. Workers end with their parent.

    A signal that was ignored when the program started (nohup, a shell's ``&``) stays ignored.
    """

    def __init__(
        self,
        on_signal: Callable[[], None],
        *,
        deadline: float = DEADLINE,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.number: int | None = None
        self._on_signal = on_signal
        self._deadline = deadline
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._previous: dict[signal.Signals, Any] = {}
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            self._end(128 + number)
            return
        self.number = number
        self._watchdog = threading.Timer(self._deadline, self._end, [128 + number])
        self._watchdog.daemon = True
        self._watchdog.start()
        self._loop.call_soon_threadsafe(self._on_signal)
