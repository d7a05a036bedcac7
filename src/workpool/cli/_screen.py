"""Standard error: messages, what tasks print, and a bar that stays below both."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Screen", "ScreenHandler"]

_CLEAR_LINE = "\r\x1b[2K"


class Screen:
    """One writer for standard error, usable from every thread.

    The bar is a last line without a newline. Whatever else goes to the terminal, results on
    standard output included, is written between taking the bar away and drawing it again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bar = ""

    @contextmanager
    def above_bar(self) -> Iterator[None]:
        """Keep the bar off the terminal for the length of a ``with`` block."""
        with self._lock:
            if self._bar:
                self._write(_CLEAR_LINE)
            try:
                yield
            finally:
                if self._bar:
                    self._write(self._bar)

    def message(self, text: str) -> None:
        """Print a line, or several, above the bar."""
        with self.above_bar():
            self._write(text.removesuffix("\n") + "\n")

    def draw(self, bar: str) -> None:
        """Replace the bar by this line."""
        with self._lock:
            self._write(_CLEAR_LINE + bar)
            self._bar = bar

    def leave_bar(self) -> None:
        """Make the bar an ordinary line, that later lines follow."""
        with self._lock:
            if self._bar:
                self._bar = ""
                self._write("\n")

    @staticmethod
    def _write(text: str) -> None:
        # Nobody is left to be told that standard error is gone; the results still matter.
        with suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(text)
                sys.stderr.flush()


class ScreenHandler(logging.Handler):
    """Print log records, also those of the workers, above the bar."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        self._screen.message(self.format(record))
