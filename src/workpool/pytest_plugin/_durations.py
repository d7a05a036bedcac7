"""How long tests take: remembered from run to run, in pytest's cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from workpool.pytest_plugin._set_ups import SetUps

DURATIONS = "workpool/durations"
SET_UPS = "workpool/set_ups"
LOST = "workpool/lost"
"""The keys of seconds by name, of what the fixtures take that neighbours share, by home, and of the names of tests that had to be ended or have ended their worker.
An empty name stands for any test: a run in this process has begun, and has not come to its end."""

_DIGITS = 3  # significant ones: the rest is noise, and costs space

UNKNOWN_SECONDS = 0.002
"""What a test is taken to last while none has ended: little, for what was sent in vain can be taken back."""


class Durations:
    """Seconds by nodeid. What tests share is apart, as far as that is known."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache: Any = getattr(config, "cache", None)
        self.known = self._remembered(DURATIONS)
        self.set_ups = SetUps(self._remembered(SET_UPS))
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

    def left(self, names: Iterable[str], running: Mapping[str, float]) -> tuple[int, float]:
        """Return how many of these tests have not ended in this run, and the seconds they are expected to take yet.

        `running` says of some for how many seconds they have run already.
        """
        left = [name for name in names if name not in self._new]
        return len(left), sum(
            max(0.0, self.expected(name) - running.get(name, 0.0)) for name in left
        )

    def save(self, *, is_safe: bool = True) -> None:
        """Write what was noted to the cache. Not `is_safe`: a test may be why the run was broken off."""
        if self._cache is None:
            return
        if self._new:
            for name, seconds in self.set_ups.corrections():
                self._new[name] = max(self._new[name] + seconds, 0.0)
            self._cache.set(DURATIONS, {**self.known, **_rounded(self._new)})
            self._cache.set(SET_UPS, _rounded(self.set_ups.to_remember()))
        if is_safe:
            self._save_lost()

    def save_unsafe(self) -> None:
        """Write that any test may end the process, until `save` writes otherwise."""
        if self._cache is not None:
            self._cache.set(LOST, [*self._cache.get(LOST, []), ""])

    def _remembered(self, key: str) -> dict[str, float]:
        remembered = self._cache.get(key, {}) if self._cache is not None else {}
        return remembered if isinstance(remembered, dict) else {}

    def _save_lost(self) -> None:
        before = self._cache.get(LOST, [])
        still = {name for name in before if name and name not in self._new}
        lost = sorted(still.union(self._lost))
        if lost != before:
            self._cache.set(LOST, lost)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in seconds.items()}
