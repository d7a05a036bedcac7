"""`Task` for threads: a `concurrent.futures.Future` that the engine takes as it takes its own.

A `concurrent.futures.Future` makes a condition, a lock and a deque for each future, and takes that
lock several times. Most tasks of a burst have ended before anybody waits for them, and most others are
waited for by one thread alone. So here the condition is made when it is first asked for, and the
first thread that waits in `result` waits on a bare lock. All ends are then one of two:

* Nobody has asked for the condition: the state is set under `_making`, the lock under which a
  condition is made or a waiter enters. Whoever makes one, or would wait, later finds the task ended.
* Somebody has: everything goes under that condition, as `concurrent.futures` has it. (`wait` and
  `as_completed` count on it: a state that changed while they hold the condition would be counted twice.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

if TYPE_CHECKING:
    from workpool._batch import Batch
    from workpool._options import TaskSettings
    from workpool.sync._pool import WorkerPool
    from workpool.sync._worker_handle import WorkerHandle

ResultT = TypeVar("ResultT")

_ENDED = (FINISHED, CANCELLED, CANCELLED_AND_NOTIFIED)
_MADE_LATER = ("_condition", "_waiters", "_done_callbacks")

# A garbage collection may run while it is held, and finalizers may cancel tasks: hence reentrant, and
# held over single steps only.
_making = threading.RLock()


class Task(Future[ResultT]):
    """The future of one piece of work, made by `workpool.sync.WorkerPool.add_task`.

    A `concurrent.futures.Future`, for any thread: `result`, `exception`, `add_done_callback`,
    `concurrent.futures.wait` and `as_completed`, `asyncio.wrap_future`. Done callbacks are called in
    the pool's own thread.

    `cancel()` ends the future at once, also when it is running. A task that has not begun never
    runs. One that runs is interrupted: an async one is cancelled, in a sync one `TaskCancelled` is
    raised; if it has not ended after a grace period of a second, its worker is killed and replaced.
    """

    # Set for each task only where it differs: a burst makes very many of these.
    worker: WorkerHandle | None = None
    """The worker that ran it, once that is known."""
    key: Hashable | None = None
    """The key under which its cost is learned."""
    meta: Any = None
    cost: float | None = None
    """Seconds the entrypoint took, once the task has ended in a worker."""
    pre_task_cost: float | None = None
    """Seconds the `pre_task` hook took."""
    attempts = 0
    """How often it has been begun and ended, as far as the pool knows."""
    # For the ledger, the scheduler and the dispatcher, as in the asyncio pool's Task.
    dispatches = 0
    slot = -1
    inherent: float | None = None
    estimate: float
    offset: int

    batch: Batch | None = None
    members: tuple[()] = ()
    ends_alone = False

    main_thread = False

    # Of concurrent.futures, where they are set for each future.
    _done_callbacks: list[Any]
    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _waiter: Any = None
    _accounted = False
    """Whether the pool has counted its end: it may have ended a task that was just cancelled."""

    def __init__(
        self,
        pool: WorkerPool[Any, Any],
        settings: TaskSettings,
        id: int,  # noqa: A002 - the attribute's name
        argument: Any,
    ) -> None:
        # Not Future's own, which makes the condition.
        self._pool = pool
        self._settings = settings
        self.id = id
        self.argument = argument

    if not TYPE_CHECKING:  # or every misspelt name would have a type

        def __getattr__(self, name):
            if name not in _MADE_LATER:
                raise AttributeError(f"Task has no attribute {name!r}")
            condition = threading.Condition()
            waiters, callbacks = [], []
            with _making:
                made = self.__dict__
                if "_condition" not in made:
                    made["_waiters"] = waiters
                    made["_done_callbacks"] = callbacks
                    made["_condition"] = condition
            return made[name]

    @property
    def state(self) -> str:
        """One of ``waiting``, ``running``, ``completed``, ``failed``, ``cancelled``."""
        if self._state == FINISHED:
            return "completed" if self._exception is None else "failed"
        if self._state in _ENDED:
            return "cancelled"
        return "running" if self.running() else "waiting"

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._accounted or self._state in _ENDED

    def running(self) -> bool:
        """Whether a worker has begun it and not ended it."""
        return self._state == PENDING and self._pool._is_running(self)

    def result(self, timeout: float | None = None) -> ResultT:
        """Return the result, or raise what the task raised; wait for it if need be.

        Raises `TimeoutError` after so many seconds, `CancelledError` if it was cancelled, and
        `RuntimeError` instead of waiting in the pool's own thread.
        """
        if self._state == PENDING:
            self._pool._check_may_wait()
            self._wait_alone(timeout)
        if self._state == FINISHED and self._exception is None:
            result: ResultT = self._result
            return result
        return super().result(timeout)

    def _wait_alone(self, timeout: float | None) -> None:
        """Wait on a lock of one's own; return at once if another one waits."""
        waiter = threading.Lock()
        waiter.acquire()
        with _making:
            if self._waiter is not None or self._state != PENDING or "_condition" in self.__dict__:
                return
            self._waiter = waiter
        try:
            if not waiter.acquire(timeout=-1 if timeout is None else max(0, timeout)):
                raise TimeoutError
        finally:
            self.__dict__.pop("_waiter", None)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the task raised, or None; wait for that as `result` does."""
        if self._state == PENDING:
            self._pool._check_may_wait()
        return super().exception(timeout)

    def cancel(self) -> bool:
        """Cancel the task; return False if it has ended otherwise.

        Does not wait for the task's end, only until the pool's thread has seen to it that a task that
        has not begun will not begin.
        """
        if not self._cancel_soon():
            return False
        self._pool._let_cancel()
        return True

    def withdraw(self) -> bool:
        """Take the task back if it has not begun: cancel it then, and return True.

        One that has begun, or ended, is left alone, and the answer is False: unlike `cancel`, this
        disturbs nobody. Takes about two milliseconds for a task that was sent to a worker, whatever
        that worker is doing. A `KeyboardInterrupt` meanwhile does not undo it.

        Raises `RuntimeError` in the pool's own thread.
        """
        return self._pool._withdraw(self)

    def _cancel_soon(self) -> bool:
        """As `cancel`, without waiting at all."""
        if self._state == FINISHED or not super().cancel():
            return False
        self._release_waiter()
        self._pool._cancelled(self)
        return True

    def add_done_callback(self, fn: Callable[[Self], object]) -> None:
        """Call ``fn(task)`` when it has ended: in the pool's own thread, or now if it has ended."""
        super().add_done_callback(fn)  # type: ignore[arg-type]

    @property
    def pinned(self) -> bool:
        """Whether it is addressed to one worker (affinity strong or force)."""
        return self._settings.pinned

    @property
    def movable(self) -> bool:
        """Whether it may be given to another worker although it is pinned."""
        return self._settings.movable

    # The pool's own ways to end it, in the pool's thread.

    def _set_result(self, result: ResultT) -> None:
        if self._pool._listens:
            self._end_later(result, None)
            return
        with _making:
            if "_condition" not in self.__dict__:
                self._result = result
                self._state = FINISHED
                if self._waiter is not None:
                    self._release_waiter()
                return
        self._end(result, None)

    def _set_exception(self, error: BaseException) -> None:
        if self._pool._listens:
            self._end_later(None, error)
        else:
            self._end(None, error)

    def _end_later(self, result: Any, error: BaseException | None) -> None:
        """End when the listeners have been told, and the task's messages been handled."""
        self._accounted = True
        self._pool._call_back(partial(self._end, result, error))

    def _end(self, result: Any, error: BaseException | None) -> None:
        with self._condition:
            self._accounted = True
            if self._state != PENDING:
                return  # cancelled while it was on its way
            self._result, self._exception = result, error
            self._state = FINISHED
            for waiter in self._waiters:
                if error is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            self._condition.notify_all()
        self._release_waiter()
        self._invoke_callbacks()

    def _release_waiter(self) -> None:
        """Let the thread go on that waits alone, after the state was set."""
        waiter = self.__dict__.pop("_waiter", None)  # one step: it is released once
        if waiter is not None:
            waiter.release()

    def _notify_cancelled(self) -> None:
        """Tell those who wait for several futures that this one was cancelled."""
        if self._state == CANCELLED:
            self.set_running_or_notify_cancel()

    def _invoke_callbacks(self) -> None:
        # Not here: this may be in the middle of something, and callbacks may take their time.
        if self._done_callbacks:
            self._pool._call_back(super()._invoke_callbacks)  # type: ignore[misc]

    def set_result(self, result: ResultT) -> NoReturn:
        """Raise `RuntimeError`: the pool alone ends a task."""
        raise RuntimeError("a Task's result is set by its pool")

    def set_exception(self, exception: BaseException | None) -> NoReturn:
        """Raise `RuntimeError`, as `set_result`."""
        raise RuntimeError("a Task's exception is set by its pool")

    def __repr__(self) -> str:
        return f"<Task {self.id} {self.state} of {self._pool.name!r}>"


def let_go_in_child() -> None:
    """In a forked child: another thread may have held the lock."""
    global _making
    _making = threading.RLock()
