"""Which workers open their sessions, and when: none that would find nothing to do. Pure."""

from __future__ import annotations

import os

PATIENCE_SECONDS = 0.15
"""After which more workers open theirs though the first has not collected yet: some small suites have done
so by then, and a large one loses as little."""

KNOWING_PATIENCE_SECONDS = 3.0
"""The same where it is known how few tests there were last time."""

AT_ONCE = max(16, len(os.sched_getaffinity(0)))
"""Most workers that begin before it is known how many tests there are. More are no sooner done with collecting
than they would be later, one after another on each CPU; and there may be nothing for them to do."""


class Stages:
    """Opens the first few workers at once, the others when it is known that there is something to do for them."""

    def __init__(self, count: int, first: int, *, is_known: bool) -> None:
        self._count = count
        self._wanted = max(1, min(first, count))
        self._begun = 0
        self.patience = KNOWING_PATIENCE_SECONDS if is_known else PATIENCE_SECONDS

    @property
    def processes(self) -> int:
        """How many workers should have a process by now: so that it is there when they are to begin."""
        return max(self._wanted, min(self._count, AT_ONCE))

    @property
    def is_over(self) -> bool:
        """Whether all that could be wanted are."""
        return self._wanted == self._count

    def due(self) -> range:
        """Return the workers that are to begin now."""
        begun, self._begun = self._begun, self._wanted
        return range(begun, self._wanted)

    def collected(self, tests: int) -> None:
        """Note how many tests there are."""
        self._want(tests)

    def lose_patience(self) -> None:
        """Note that to find out how many tests there are takes long."""
        self._want(AT_ONCE)

    def want_all(self) -> None:
        """Note that it is not known, and has to be found out."""
        self._want(self._count)

    def _want(self, workers: int) -> None:
        self._wanted = max(self._wanted, min(workers, self._count))
