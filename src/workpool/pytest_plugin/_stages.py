"""Which workers open their sessions, and when: none that would find nothing to do. Pure."""

from __future__ import annotations

PATIENCE_SECONDS = 0.15
"""After which more workers open theirs though the first has not collected yet: some small suites have done
so by then, and a large one loses as little."""

KNOWING_PATIENCE_SECONDS = 3.0
"""The same where it is known how few tests there were last time."""


class Stages:
    """Opens the first few workers at once, the others when it is known that there is something to do for them."""

    def __init__(self, count: int, first: int, *, is_known: bool) -> None:
        self._count = count
        self._wanted = max(1, min(first, count))
        self._begun = 0
        self.patience = KNOWING_PATIENCE_SECONDS if is_known else PATIENCE_SECONDS

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

    def want_all(self) -> None:
        """Note that it is not known, and has to be found out, or takes too long to be."""
        self._want(self._count)

    def _want(self, workers: int) -> None:
        self._wanted = max(self._wanted, min(workers, self._count))
