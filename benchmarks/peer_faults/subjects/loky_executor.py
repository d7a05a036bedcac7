"""loky: its reusable executor, which is asked for anew each time, as its documentation shows."""

from collections.abc import Sequence
from typing import Any

import loky

from benchmarks.peer_faults.subjects.base import WORKERS, Hook, Outcome
from benchmarks.peer_faults.subjects.executors import ExecutorSubject
from benchmarks.peer_faults.tasks import Order, perform


class Loky(ExecutorSubject):
    """`loky.get_reusable_executor`."""

    def open(self, hook: Hook | None) -> None:
        """Get the executor."""
        # Always with the same arguments: other ones would make another executor.
        self._given: dict[str, Any] = {"initializer": hook} if hook else {}
        self.executor = loky.get_reusable_executor(WORKERS, **self._given)

    def submit(self, *orders: Order, seconds: float | None = None) -> list[Outcome]:
        """Get the executor, which is a new one if the last was broken, and submit."""
        self.executor = loky.get_reusable_executor(WORKERS, **self._given)
        return super().submit(*orders, seconds=seconds)

    def script(self, orders: Sequence[Order]) -> None:
        """Map; the executor is left to itself, as in its documentation."""
        list(loky.get_reusable_executor(WORKERS).map(perform, orders))
