"""What a worker has been sent and has not ended, and what it was told would follow. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class _Sent(NamedTuple):
    cost: float
    """Seconds it is expected to take."""
    promise: int | None
    """The test that was said to follow it; None if none was."""


class Ahead:
    """Tests in front of a worker, by name, in the order in which it runs them.

    With each goes a promise: which test follows by the plan. A worker that has not been sent that test
    when it tears down, because the controller is slow, leaves up what the test needs.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sent: dict[str, _Sent] = {}
        self._last_promise: int | None = None
        """What was promised with the test that ended last."""
        self.first_since = 0.0
        """When the first test became the first."""
        self.seconds = 0.0
        """What they are expected to take together."""

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def running(self) -> str:
        """The first test; empty if there is none."""
        return next(iter(self._sent), "")

    @property
    def waiting(self) -> list[str]:
        """All tests but the first."""
        return list(self._sent)[1:]

    @property
    def promise(self) -> int | None:
        """The test that the worker, as far as it knows, runs after the last it was sent."""
        if not self._sent:
            return self._last_promise
        return self._sent[next(reversed(self._sent))].promise

    @promise.setter
    def promise(self, test: int | None) -> None:
        if not self._sent:
            self._last_promise = test
            return
        last = next(reversed(self._sent))
        self._sent[last] = self._sent[last]._replace(promise=test)

    def send(self, name: str, cost: float) -> None:
        """Add a test at the end, without a promise so far."""
        if not self._sent:
            self.first_since = self._clock()
        self._sent[name] = _Sent(cost, None)
        self.seconds += cost

    def take_out(self, name: str, *, has_run: bool) -> None:
        """Take a test out: it has ended, or was taken back."""
        if self.running == name:
            self.first_since = self._clock()
        sent = self._sent.pop(name)
        if has_run:
            self._last_promise = sent.promise
        self.seconds = self.seconds - sent.cost if self._sent else 0.0
