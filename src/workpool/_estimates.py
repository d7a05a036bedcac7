"""What tasks are expected to cost: what was learned of them, and what the user's functions say."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any

from workpool._announcer import Announcer
from workpool._costs import CostModel

if TYPE_CHECKING:
    from workpool._options import PoolOptions
    from workpool._task import Task
    from workpool._worker_process import WorkerProcess


class Estimates:
    """Estimates in seconds. A user's function that fails is reported, and does not stop the pool.

    `workers` is the fleet's list of workers by slot.
    """

    def __init__(
        self,
        costs: CostModel,
        options: PoolOptions,
        workers: list[WorkerProcess | None],
        announcer: Announcer,
    ) -> None:
        self._costs = costs
        self._options = options
        self._workers = workers
        self._announcer = announcer

    def of(self, task: Task[Any]) -> float:
        """Return what a task will cost, wherever it runs."""
        return self._costs.estimate(task.key, task.inherent)

    def inherent(self, task: Task[Any]) -> float | None:
        """Return what the user's `inherent_cost` says of a task, or None if it fails."""
        assert self._options.inherent_cost is not None
        return self._ask("inherent_cost", self._options.inherent_cost, task)

    def of_placement(self, task: Task[Any], slot: int) -> float:
        """Return what the user's `worker_cost` says a task costs more in a slot's worker."""
        worker = self._workers[slot]
        assert self._options.worker_cost is not None
        if worker is None:
            return 0.0
        return self._ask("worker_cost", self._options.worker_cost, task, worker.handle) or 0.0

    def _ask(self, name: str, function: Callable[..., float], *details: Any) -> float | None:
        try:
            cost = float(function(*details))
            if not isfinite(cost):
                raise ValueError(f"{cost} is not a number of seconds")
        except self._announcer.caught as error:  # it is the user's function
            self._announcer.report_exception(f"{name} failed", error)
            return None
        return cost
