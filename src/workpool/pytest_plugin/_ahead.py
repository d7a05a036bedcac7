"""What a worker has been sent and has not ended, and what it was told would follow. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class _Sent(NamedTuple):
    cost: float | None
    """Seconds it is expected to take; None if nothing is known of it."""
    promise: int | None
    """The test that was said to follow it; None if none was."""


class Ahead:
    """Tests in front of a worker, by name, in the order in which it runs them.

    With each goes a promise: which test follows by the plan. A worker that has not been sent that test
    when it tears down, because the controller is slow, leaves up what the test needs.
    """

    def __init__(self, clock: Callable[[], float], guess: Callable[[], float]) -> None:
        """Make a worker's, with nothing in it; `guess` says what a test takes of which nothing is known."""
        self._clock = clock
        self._guess = guess
        self._sent: dict[str, _Sent] = {}
        self._last_name = ""
        """The test that ended last."""
        self._last_promise: int | None = None
        """What was promised with the test that ended last."""
        self.first_since = 0.0
        """When the first test became the first."""
        self._known_seconds = 0.0
        self._unknown = 0
        """How many nothing is known of."""

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def running(self) -> str:
        """The first test; empty if there is none."""
        return next(iter(self._sent), "")

    @property
    def seconds(self) -> float:
        """What they are expected to take together, by what is known now."""
        return self._known_seconds + (self._unknown * self._guess() if self._unknown else 0.0)

    @property
    def first_cost(self) -> float:
        """What the first test is expected to take; 0 if there is none."""
        if not self._sent:
            return 0.0
        cost = self._sent[self.running].cost
        return self._guess() if cost is None else cost

    @property
    def waiting(self) -> list[str]:
        """All tests but the first."""
        return list(self._sent)[1:]

    @property
    def last(self) -> str:
        """The test that was sent last; if all have ended, the one that did so last."""
        return next(reversed(self._sent), self._last_name)

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

    def send(self, name: str, cost: float | None) -> None:
        """Add a test at the end, without a promise so far."""
        if not self._sent:
            self.first_since = self._clock()
        self._sent[name] = _Sent(cost, None)
        if cost is None:
            self._unknown += 1
        else:
            self._known_seconds += cost

    def take_out(self, name: str, *, has_run: bool) -> None:
        """Take a test out: it has ended, or was taken back."""
        if self.running == name:
            self.first_since = self._clock()
        sent = self._sent.pop(name)
        if has_run:
            self._last_name, self._last_promise = name, sent.promise
        if sent.cost is None:
            self._unknown -= 1
        else:
            self._known_seconds = self._known_seconds - sent.cost if self._sent else 0.0
