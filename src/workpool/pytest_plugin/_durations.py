"""How long tests take: remembered from run to run, in pytest's cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

_KEY = "workpool/durations"
_DIGITS = 3  # significant ones: the rest is noise, and costs space

UNKNOWN_SECONDS = 0.002
"""What a test is taken to last while none has ended: little, for what was sent in vain can be taken back."""


class Durations:
    """Seconds by nodeid."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache: Any = getattr(config, "cache", None)
        remembered = self._cache.get(_KEY, {}) if self._cache is not None else {}
        self.known: dict[str, float] = remembered if isinstance(remembered, dict) else {}
        self._new: dict[str, float] = {}
        self._total = 0.0

    def expected(self, name: str) -> float:
        """Return what a test is expected to take: what it took last, else what others take."""
        seconds = self.known.get(name)
        if seconds is not None:
            return seconds
        return self._total / len(self._new) if self._new else UNKNOWN_SECONDS

    @property
    def is_guess(self) -> bool:
        """Whether nothing is known yet of how long tests take."""
        return not (self.known or self._new)

    def note(self, name: str, seconds: float) -> None:
        """Note how long a test took."""
        self._new[name] = seconds
        self._total += seconds

    def left(self, names: Iterable[str]) -> tuple[int, float]:
        """Return how many of these tests have not ended in this run, and what they are expected to take."""
        left = [name for name in names if name not in self._new]
        return len(left), sum(map(self.expected, left))

    def save(self) -> None:
        """Write what was noted to the cache."""
        if self._cache is not None and self._new:
            rounded = {name: float(f"{value:.{_DIGITS}g}") for name, value in self._new.items()}
            self._cache.set(_KEY, {**self.known, **rounded})
