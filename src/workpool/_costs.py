"""What tasks are expected to cost, learned from what earlier ones cost. Pure."""

from __future__ import annotations

from collections.abc import Hashable

FIRST_GUESS = 1e-3
"""Seconds a task is taken to cost before anything is known: errs on neither side by much for the
depth of a queue (20 tasks), and is forgotten after a few results."""

OVERHEAD = 5e-6
"""Seconds a worker spends on a task beside the entrypoint: taking, unpickling, reporting."""

MEMBER_OVERHEAD = 1e-6
"""The same of a task that travels in a batch."""

_WEIGHT = 0.2  # of the newest result: the estimate follows a change within about ten results
_MOST_KEYS = 10_000  # a key that has not been seen among so many others is forgotten


class CostModel:
    """Running estimates in seconds: one for all tasks, one per key."""

    def __init__(self) -> None:
        self.mean = FIRST_GUESS
        self._known = False
        self._by_key: dict[Hashable, float] = {}

    def estimate(self, key: Hashable | None, inherent: float | None) -> float:
        """Return what a task will cost: by its key's past, else as the user says, else the mean."""
        if key is not None:
            learned = self._by_key.get(key)
            if learned is not None:
                return learned + OVERHEAD
        return (self.mean if inherent is None else inherent) + OVERHEAD

    def observe(self, seconds: float, count: int = 1) -> None:
        """Learn from `count` results that cost `seconds` each on average."""
        if not self._known:
            self._known = True
            self.mean = seconds
            return
        weight = min(1.0, _WEIGHT * count) if count < 5 else 1.0
        self.mean += weight * (seconds - self.mean)

    def observe_key(self, key: Hashable, seconds: float) -> None:
        """Learn from one result of a task with this key."""
        known = self._by_key.pop(key, None)
        self._by_key[key] = seconds if known is None else known + _WEIGHT * (seconds - known)
        if len(self._by_key) > _MOST_KEYS:
            del self._by_key[next(iter(self._by_key))]
