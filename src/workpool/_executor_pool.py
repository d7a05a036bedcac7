"""The pool behind an `Executor`, and its futures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures._base import PENDING
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from workpool._functions_of_main import shown_function
from workpool._serialization import brief
from workpool._worker.calls import call
from workpool._worker_crashed import WorkerCrashed
from workpool.errors import (
    EntrypointError,
    PoolClosed,
    SerializationError,
    TaskTimeout,
    WorkerStartError,
)
from workpool.sync import Task, WorkerPool

if TYPE_CHECKING:
    from workpool._worker.chunks import Chunk
    from workpool.sync._service import Service

T = TypeVar("T")

Work = tuple[Any, ...]
"""A call: (function, arguments) or (function, arguments, keyword arguments)."""


_OWN_ENTRYPOINT = f"{call.__module__}:{call.__name__}"
_LONGEST_SHOWN = 120

_SHOWING_ARGUMENTS = (WorkerCrashed, TaskTimeout, SerializationError)
"""Errors of the pool's that may show the argument of their task."""


class ExecutorStartError(WorkerStartError, BrokenProcessPool):
    """The workers of an executor could not be started: its initializer raised, say.

    Also a `BrokenProcessPool`. An executor with an initializer takes nothing more after this.
    """


class Future(Task[T]):
    """The future of one call, made by `Executor.submit`.

    A `workpool.sync.Task`, but that `cancel` returns False for a call that a worker has begun, and
    leaves it alone.
    """

    _pool: ExecutorPool

    def cancel(self) -> bool:
        """Cancel the call if no worker has begun it; return False if one has, or it has ended."""
        return self._pool.cancel_unbegun(self) if self._state == PENDING else super().cancel()

    def _cancel_soon(self) -> bool:
        if self._pool.spares_running and self.running():
            return False
        return super()._cancel_soon()

    def _set_result(self, result: T) -> None:
        self.argument = None  # a future that is kept must not keep what it was called with
        super()._set_result(result)

    def _set_exception(self, error: BaseException) -> None:
        show_call(error, self.argument)
        self.argument = None
        if is_of_start(error):
            error = self._pool.start_failed(error)
        super()._set_exception(error)


class ExecutorPool(WorkerPool[Work, Any]):
    """An executor's pool: its futures, its end at the interpreter's exit."""

    _finishes_at_exit = True
    has_initializer = False
    spares_running = True
    broken: str | None = None

    def submit(self, work: Work) -> Future[Any]:
        """Do as `add_task` with nothing but an argument. Raises `PoolClosed`."""
        service = self._service
        if service is None or not service.open:
            service = self._open()
        future: Future[Any] = Future(self, self._pool._settings, self._new_id(), work)
        service.thread.post(future)
        return future

    def cancel_unbegun(self, future: Future[Any]) -> bool:
        """Cancel a future if no worker has begun its call; return whether it is cancelled."""
        service = self._service
        assert service is not None
        if service.thread.is_current:  # perhaps in the middle of something: in a finalizer
            return future._cancel_soon()
        try:
            cancelled = service.thread.ask(partial(self._pool._cancel_unbegun, future))
        except PoolClosed:
            return future._cancel_soon()
        if cancelled:
            self._let_cancel()
        return cancelled

    def start_failed(self, error: BaseException) -> ExecutorStartError:
        """Return the error of calls whose workers could not be started. In the pool's own thread."""
        why = str(error)
        if self.has_initializer:
            why = why.replace("on_worker_start", "the initializer")
            why = why.replace(
                f"the entrypoint {_OWN_ENTRYPOINT}", "the initializer with its initargs"
            )
        failure = ExecutorStartError(
            f"the workers of the executor {self.name!r} could not be started: {why}"
        )
        failure.__cause__ = error.__cause__ or error
        if self.has_initializer and self.broken is None:
            self.broken = str(failure)
            self.dispose()
        return failure

    def end(self, how: Callable[[Service], None], *, wait: bool) -> None:
        """End in one of the ways a `Service` has."""
        if wait:
            self._end(how, "shutdown(wait=True)")
        elif (service := self._shut()) is not None:
            service.thread.post(partial(how, service))


def is_of_start(error: BaseException) -> bool:
    """Whether it says that workers could not be started."""
    if isinstance(error, SerializationError):
        return error.subject == "entrypoint"
    return isinstance(error, WorkerStartError | EntrypointError)


def show_call(error: BaseException, argument: Work | Chunk | None) -> None:
    """Have an error say ``f(1)`` where the pool, which knows arguments only, says ``(f, (1,))``."""
    if not isinstance(error, _SHOWING_ARGUMENTS) or not isinstance(argument, tuple):
        return
    if isinstance(error, SerializationError) and error.subject != "argument":
        return
    pools, own = brief(argument), _shown_call(*argument)
    if pools in (text := str(error)):
        text = text.replace(f"the argument {pools}", f"the call {own}").replace(pools, own)
        error.args = (text,)


def _shown_call(
    function: object, arguments: tuple[Any, ...], keywords: Mapping[str, Any] | None = None
) -> str:
    given = [*map(brief, arguments), *(f"{k}={brief(v)}" for k, v in (keywords or {}).items())]
    text = ", ".join(given)
    shortened = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
    return f"{shown_function(function)}({shortened})"
