"""What an experiment can do with every pool."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar

from benchmarks.peer_faults.tasks import Order

Experiment = Callable[["Subject"], None]
Hook = Callable[..., None]
Outcome = Future[Any]
"""Of one task. What its exception is, is what the pool's user gets."""

WORKERS = 2


class NoWay(Exception):
    """The pool offers no way to do this to one task."""


class Subject(ABC):
    """A pool used as its documentation says, behind one interface."""

    limits_tasks: ClassVar[bool] = True
    """Whether a time limit is one for the task, not only for whoever waits for it."""
    is_useless_after_crash: ClassVar[bool] = False
    """Whether it neither works after a crash nor says so; then it is renewed without asking it."""

    @abstractmethod
    def conduct(self, experiment: Experiment, hook: Hook | None) -> None:
        """Make the pool, its workers with that start hook; experiment; end the pool gracefully.

        The main thread is the pool's: if it needs an event loop, the loop runs there and the
        experiment in another thread.
        """

    @abstractmethod
    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Add one task, with a time limit if one is given."""

    @abstractmethod
    def script(self, orders: Sequence[Order]) -> None:
        """Be the whole of a small program that waits for these tasks."""

    def submit(self, *orders: Order, seconds: float | None = None) -> list[Outcome]:
        """Add tasks, which wait in this order; one that is refused at once has failed."""
        return [self._try_to_add(order, seconds) for order in orders]

    def cancel(self, outcome: Outcome) -> None:
        """Cancel one task; raises NoWay."""
        outcome.cancel()

    def renew(self) -> None:
        """Make another pool in the place of one that is broken; raises NoWay."""
        raise NoWay("it is not supposed to break")

    def _try_to_add(self, order: Order, seconds: float | None) -> Outcome:
        try:
            return self.add(order, seconds)
        except Exception as error:  # noqa: BLE001 - whatever a pool thinks of
            return failed(error)


class BlockingSubject(Subject):
    """A pool without an event loop."""

    @abstractmethod
    def open(self, hook: Hook | None) -> None:
        """Make the pool."""

    @abstractmethod
    def close(self) -> None:
        """End it gracefully."""

    def conduct(self, experiment: Experiment, hook: Hook | None) -> None:
        """Do all that in the main thread."""
        self.open(hook)
        experiment(self)
        self.close()

    def renew(self) -> None:
        """Close the broken one first."""
        self.close()
        self.open(None)


def failed(error: BaseException) -> Outcome:
    """Return an outcome that is known already."""
    outcome: Outcome = Future()
    outcome.set_exception(error)
    return outcome
