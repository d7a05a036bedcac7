"""joblib: bulk calls with batches sized while they run, on loky."""

from collections.abc import Sequence
from typing import Any

from joblib import Parallel, delayed

from benchmarks.contestants.base import BulkContestant, Function


class Joblib(BulkContestant):
    """`joblib.Parallel`, its workers kept between calls."""

    def open(self, function: Function, workers: int) -> None:
        """Enter the context that keeps the workers.

        One job would run in the parent itself, hence two at least.
        """
        self._function = delayed(function)
        self._parallel = Parallel(n_jobs=max(2, workers))
        self._parallel.__enter__()

    def close(self) -> None:
        """Leave the context."""
        self._parallel.__exit__(None, None, None)

    def apply(self, arguments: Sequence[Any]) -> list[Any]:
        """Run one call."""
        results: list[Any] = self._parallel(self._function(argument) for argument in arguments)
        return results
