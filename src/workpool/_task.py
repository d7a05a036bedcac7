"""`Task`, the future of one piece of work."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from workpool._options import TaskSettings

if TYPE_CHECKING:
    from workpool._batch import Batch
    from workpool._pool import WorkerPool
    from workpool._worker_handle import WorkerHandle

ResultT = TypeVar("ResultT")

_NOT_YET_SET: dict[str, None] = dict.fromkeys(("batch", "cost", "worker"))


class Task(asyncio.Future[ResultT]):
    """The future of one piece of work: await it for the result, or for what the task raised.

    Made by `WorkerPool.add_task`. Belongs to the pool's event loop; not thread-safe, as any
    `asyncio.Future`.

    `cancel()` ends the future at once. A task that has not begun never runs. One that runs is
    interrupted: an async one is cancelled, in a sync one `TaskCancelled` is raised; if it has not
    ended after a grace period of a second, its worker is killed and replaced.
    """

    # A million of these may wait at once, and the garbage collector looks at every slot of each. So
    # what only few of them have has no slot but a default below, and goes into their dictionaries.
    __slots__ = (
        "_pool",
        "_settings",
        "argument",
        "attempts",
        "batch",
        "cost",
        "dispatches",
        "estimate",
        "id",
        "offset",
        "slot",
        "worker",
    )

    id: int
    argument: Any
    key: Hashable | None = None
    """The key under which its cost is learned."""
    meta: Any = None
    worker: WorkerHandle | None
    """The worker that ran it, once that is known."""
    cost: float | None
    """Seconds the entrypoint took, once the task has ended in a worker."""
    pre_task_cost: float | None = None
    """Seconds the `pre_task` hook took."""
    attempts: int
    """How often it has been begun and ended, as far as the pool knows."""

    # What the ledger, the scheduler and the dispatcher keep here instead of in tables of their own.
    batch: Batch | None  # that it was sent with
    members: tuple[()] = ()  # it is no batch itself
    ends_alone = True  # to set its result calls nobody, so no other task can end meanwhile
    _pool: WorkerPool[Any, Any]
    _settings: TaskSettings
    dispatches: int
    estimate: float  # seconds
    inherent: float | None = None  # what the user's inherent_cost said, seconds
    slot: int
    offset: int  # of its record in the arena, while it is dispatched

    if not TYPE_CHECKING:  # or every misspelt name would have a type

        def __getattr__(self, name):
            try:
                return _NOT_YET_SET[name]
            except KeyError:
                raise AttributeError(f"Task has no attribute {name!r}") from None

    @property
    def pinned(self) -> bool:
        """Whether it is addressed to one worker (affinity strong or force)."""
        return self._settings.pinned

    @property
    def movable(self) -> bool:
        """Whether it may be given to another worker although it is pinned."""
        return self._settings.movable

    @property
    def state(self) -> str:
        """One of ``waiting``, ``running``, ``completed``, ``failed``, ``cancelled``."""
        if self.cancelled():
            return "cancelled"
        if self.done():
            return "failed" if self._exception is not None else "completed"
        return "running" if self._pool._is_running(self) else "waiting"

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the pool's event loop."""
        task_loop: Any = self._loop  # a TaskLoop
        loop: asyncio.AbstractEventLoop = task_loop.real
        return loop

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task; return False if it is done already. Does not block."""
        if not super().cancel(msg):
            return False
        self._pool._task_cancelled(self)
        return True

    async def withdraw(self) -> bool:
        """Take the task back if it has not begun: cancel it then, and return True.

        One that has begun, or ended, is left alone, and the answer is False: unlike `cancel`, this
        disturbs nobody. Takes about two milliseconds for a task that was sent to a worker, whatever
        that worker is doing. Cancelling this wait does not undo it.
        """
        return await self._pool._withdraw(self)

    # The pool's own way to end it.
    _set_result = asyncio.Future.set_result
    _set_exception = asyncio.Future.set_exception

    def set_result(self, result: ResultT) -> NoReturn:
        """Raise `RuntimeError`: the pool alone ends a task, as an `asyncio.Task` ends by itself."""
        raise RuntimeError("a Task's result is set by its pool")

    def set_exception(self, exception: type | BaseException) -> NoReturn:
        """Raise `RuntimeError`, as `set_result`."""
        raise RuntimeError("a Task's exception is set by its pool")

    def __repr__(self) -> str:
        return f"<Task {getattr(self, 'id', '?')} {self.state} of {self._pool.name!r}>"
