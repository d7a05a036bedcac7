"""How far a run that ends with a failure may get ahead of a test that may fail. Pure."""

from __future__ import annotations

from collections import deque

SHARE = 10
"""For every so many tests that have ended, one more may have been run in vain."""


class Window:
    """The tests that have been sent, in that order, from the first on that has not ended.

    If that one fails and so ends the run, those behind it were run in vain. So they are no more than there are
    workers, and a tenth of what has ended before it. That is counted, not timed: on a busy machine any
    test may take long.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._line: deque[int] = deque()
        self._over: set[int] = set()
        self._absent: set[int] = set()
        """Those that were taken back, to be sent again at once."""
        self._passed = 0
        """How many have ended before the first in the line."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent before the first one has ended."""
        return not self._absent and len(self._line) > self._workers + self._passed // SHARE

    def send(self, test: int) -> None:
        """Note that a test was sent."""
        if test in self._absent:
            self._absent.discard(test)
        else:
            self._line.append(test)

    def end(self, test: int) -> None:
        """Note that a test has ended; once is enough."""
        if test in self._line:
            self._over.add(test)
            self._advance()

    def take_back(self, test: int) -> None:
        """Note that a test was taken back and is the next to be sent. It keeps its place."""
        if test in self._line:
            self._absent.add(test)

    def forget(self, test: int) -> None:
        """Note that a test was taken back, to be sent who knows when."""
        if test in self._line:
            self._line.remove(test)
            self._absent.discard(test)
            self._over.discard(test)
            self._advance()

    def _advance(self) -> None:
        while self._line and self._line[0] in self._over:
            self._over.discard(self._line.popleft())
            self._passed += 1
