"""`RetryPolicy`: which failures of a task let it run again, how often, and after what pause. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workpool._checks import check_between, check_count
from workpool._serialization import brief

ErrorTest = (
    type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool] | None
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a task that failed is run again, and after what pause.

    Given as ``retries=``, to a pool or to one task; a bare number there is a policy with this limit,
    for every failure, without a pause. A failure is what the task raised, a `WorkerCrashed` or a
    `TaskTimeout`; a cancelled task is never run again. While it waits for its next run a task is
    pending and can be cancelled.

    Arguments:
        limit: how often a task is run again at most, 0 or more.
        on: the failures it is run again after: an exception class, a tuple of them, or a function
            ``(error) -> bool``, called in the pool's process; None for all.
        backoff: seconds before the first new run, 0 or more.
        factor: by which the pause grows with every further run, 1 or more.
        longest_backoff: seconds a pause never exceeds.
        jitter: the part of each pause, 0 to 1, that is left to chance, so that tasks that failed
            together do not all come back together.

    Raises `ValueError` or `TypeError` for arguments that cannot be right.
    """

    limit: int
    on: ErrorTest = None
    backoff: float = 0.0
    factor: float = 2.0
    longest_backoff: float = 60.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_count("limit", self.limit, at_least=0)
        _check_error_test(self.on)
        check_between("backoff", self.backoff, 0)
        check_between("factor", self.factor, 1)
        check_between("longest_backoff", self.longest_backoff, 0)
        check_between("jitter", self.jitter, 0, 1)

    def allows(self, attempts: int, error: BaseException) -> bool:
        """Whether a task that has ended with this error in its `attempts`-th run may run again.

        Raises whatever the user's function raises.
        """
        if attempts > self.limit:
            return False
        if self.on is None:
            return True
        if isinstance(self.on, (type, tuple)):
            return isinstance(error, self.on)
        return bool(self.on(error))

    def pause(self, attempts: int, chance: float) -> float:
        """Return the seconds to wait after the `attempts`-th run; `chance` is from 0 to 1."""
        if not self.backoff:
            return 0.0
        try:
            seconds = self.backoff * self.factor ** (attempts - 1)
        except OverflowError:
            seconds = self.longest_backoff
        return min(seconds, self.longest_backoff) * (1 - self.jitter * chance)


def checked_retries(retries: int | RetryPolicy) -> RetryPolicy:
    """Return what was given as ``retries=`` as a policy; `TypeError`, `ValueError` if it is none."""
    if isinstance(retries, RetryPolicy):
        return retries
    check_count("retries", retries, at_least=0)
    return RetryPolicy(retries)


def _check_error_test(test: object) -> None:
    classes = test if isinstance(test, tuple) else (test,)
    if all(isinstance(entry, type) and issubclass(entry, BaseException) for entry in classes):
        return
    if isinstance(test, (tuple, type)) or not (test is None or callable(test)):
        raise TypeError(
            "on must be an exception class, a tuple of them, a function (error) -> bool or None, "
            f"not {brief(test)}"
        )
