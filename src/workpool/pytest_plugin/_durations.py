"""How long tests take: remembered from run to run, in pytest's cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

DURATIONS = "workpool/durations"
LOST = "workpool/lost"
"""The keys of seconds by name, and of the names of tests that had to be ended or have ended their worker.
An empty name stands for any test: a run in this process has begun, and has not come to its end."""

_DIGITS = 3  # significant ones: the rest is noise, and costs space

UNKNOWN_SECONDS = 0.002
"""What a test is taken to last while none has ended: little, for what was sent in vain can be taken back."""


class Durations:
    """Seconds by nodeid."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache: Any = getattr(config, "cache", None)
        remembered = self._cache.get(DURATIONS, {}) if self._cache is not None else {}
        self.known: dict[str, float] = remembered if isinstance(remembered, dict) else {}
        self._new: dict[str, float] = {}
        self._total = 0.0
        self._lost: list[str] = []

    def expected(self, name: str) -> float:
        """Return what a test is expected to take: what it took last, else what others take."""
        seconds = self.known.get(name)
        return self.guess() if seconds is None else seconds

    def guess(self) -> float:
        """Return what a test is expected to take of which nothing is known: what others take."""
        return self._total / len(self._new) if self._new else UNKNOWN_SECONDS

    @property
    def is_guess(self) -> bool:
        """Whether nothing is known yet of how long tests take."""
        return not (self.known or self._new)

    def note(self, name: str, seconds: float) -> None:
        """Note how long a test took."""
        self._new[name] = seconds
        self._total += seconds

    def note_lost(self, name: str) -> None:
        """Note that a test had to be ended, or has ended its worker."""
        self._lost.append(name)

    def left(self, names: Iterable[str]) -> tuple[int, float]:
        """Return how many of these tests have not ended in this run, and what they are expected to take."""
        left = [name for name in names if name not in self._new]
        return len(left), sum(map(self.expected, left))

    def save(self, *, is_safe: bool = True) -> None:
        """Write what was noted to the cache. Not `is_safe`: a test may be why the run was broken off."""
        if self._cache is None:
            return
        if self._new:
            rounded = {name: float(f"{value:.{_DIGITS}g}") for name, value in self._new.items()}
            self._cache.set(DURATIONS, {**self.known, **rounded})
        if is_safe:
            self._save_lost()

    def save_unsafe(self) -> None:
        """Write that any test may end the process, until `save` writes otherwise."""
        if self._cache is not None:
            self._cache.set(LOST, [*self._cache.get(LOST, []), ""])

    def _save_lost(self) -> None:
        before = self._cache.get(LOST, [])
        still = {name for name in before if name and name not in self._new}
        lost = sorted(still.union(self._lost))
        if lost != before:
            self._cache.set(LOST, lost)
