"""joblib: bulk calls; all tasks that are submitted together are one call."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from joblib import Parallel, delayed

from benchmarks.peer_faults.subjects.base import WORKERS, BlockingSubject, Hook, NoWay, Outcome
from benchmarks.peer_faults.tasks import Order, perform


class Joblib(BlockingSubject):
    """`joblib.Parallel` on loky, each call in a thread of its own.

    A time limit is one for the call, and it is the call that fails.
    """

    def open(self, hook: Hook | None) -> None:
        """Remember the hook: there is no pool before the first call."""
        self._given: dict[str, Any] = {"initializer": hook} if hook else {}

    def close(self) -> None:
        """Do nothing: joblib keeps its workers for the next call."""

    def submit(self, *orders: Order, seconds: float | None = None) -> list[Outcome]:
        """Begin one call; what it raises is the outcome of all its tasks."""
        outcomes: list[Outcome] = [Future() for _ in orders]
        threading.Thread(target=self._call, args=(orders, outcomes, seconds), daemon=True).start()
        return outcomes

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Begin a call of one task."""
        return self.submit(order, seconds=seconds)[0]

    def cancel(self, outcome: Outcome) -> None:
        """Raise: tasks have no handles."""
        raise NoWay("tasks have no handles")

    def script(self, orders: Sequence[Order]) -> None:
        """Make one call."""
        Parallel(n_jobs=WORKERS)(delayed(perform)(order) for order in orders)

    def _call(
        self, orders: Sequence[Order], outcomes: Sequence[Outcome], seconds: float | None
    ) -> None:
        try:
            parallel = Parallel(n_jobs=WORKERS, timeout=seconds, **self._given)
            results = parallel(delayed(perform)(order) for order in orders)
        except BaseException as error:  # noqa: BLE001 - an outcome too
            for outcome in outcomes:
                outcome.set_exception(error)
            return
        for outcome, result in zip(outcomes, results, strict=True):
            outcome.set_result(result)
