"""How a worker is interrupted: by a signal of its own, which means something only while the pool says so.

When the pool wants a running task ended it writes the attempt into the status page and sends the signal:
the handler raises `TaskCancelled` in the task if, and only if, that attempt is running.

That signal is not SIGINT. A Ctrl-C in a terminal reaches every process of the group; the parent deals with it, and
workers ignore it, unless a task makes something of it: handlers of SIGINT are the task's, and do not
keep the pool from ending it.
"""

from __future__ import annotations

from _thread import get_ident
from types import FrameType

from workpool._quick import signal
from workpool._system.status_page import INTERRUPTION
from workpool.errors import TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Interruptible:
    """The attempt that may be interrupted now; 0 for none. One per worker, main thread only."""

    def __init__(self, words: Any, field: int) -> None:
        self.attempt = 0
        self.thread = get_ident()
        """The thread that is interrupted: that of the signal handlers."""
        self.shielded = False
        """While set, an interruption waits: a descriptor that was sent must be announced."""
        self._due = False
        self._words = words
        self._field = field
        signal.signal(INTERRUPTION, self._on_signal)

    def begin(self, attempt: int) -> None:
        """Let an attempt be interrupted from here on; raises if that was asked for already."""
        self.attempt = attempt
        if self._words[self._field] == attempt:
            self._raise_if_meant()

    def unshield(self) -> None:
        """End a shielded stretch; raises the interruption that came meanwhile."""
        self.shielded = False
        if self._due:
            self._due = False
            self._raise_if_meant()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # fault point: interrupted
        if self.shielded:
            self._due = True
        else:
            self._raise_if_meant()

    def _raise_if_meant(self) -> None:
        if self.attempt and self._words[self._field] == self.attempt:
            self.attempt = 0  # once only: what handles it must not be hit again
            raise TaskCancelled("the pool has interrupted this task: cancelled, or out of time")


def ignore_until_asked() -> None:
    """Ignore SIGINT from here on. The pool started this process with the signal blocked."""
    signal.signal(signal.SIGINT, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, a handler is not inherited by the programs a task starts."""
