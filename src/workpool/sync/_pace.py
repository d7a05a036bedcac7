"""Sources that take their time, read by whoever waits for the results."""

from __future__ import annotations

from collections.abc import Callable

_READ_PER_RESULT = 2
"""Reads of a quick source before a result that is there is handed out: one takes its place, one lets what is
in flight grow to the buffer."""

_SLOW = 0.01
"""Seconds. A source that takes as long for an item is asked only when no result is there."""

_PART = 0.05
_LONGEST = 0.05
"""A result is waited for before a slow source is asked: for this part of its time, so many seconds at most."""


class SourcePace:
    """How long a source has kept its reader waiting lately: a pause counts half after each later read."""

    def __init__(self) -> None:
        self._pause = 0.0

    def note(self, seconds: float) -> None:
        """Note how long a read has taken."""
        self._pause = max(seconds, self._pause / 2)

    def lets_go_first(self, read: int, has_result: Callable[[float], bool]) -> bool:
        """Whether to hand out a result before the source is asked again, after so many reads.

        `has_result(seconds)` says whether there is one, and may wait so long for it.
        """
        if self._pause >= _SLOW:
            return has_result(min(_LONGEST, self._pause * _PART))
        return read >= _READ_PER_RESULT and has_result(0)
