"""`workpool.sync.WorkerHandle`: what a blocking pool's user sees of a worker process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from workpool._worker_handle import UNCHANGED
from workpool._worker_handle import WorkerHandle as AsyncioHandle

if TYPE_CHECKING:
    from workpool._fleet import Fleet
    from workpool._worker_process import WorkerProcess
    from workpool.sync._loop_thread import LoopThread

T = TypeVar("T")


class WorkerHandle(AsyncioHandle):
    """One worker process of a `workpool.sync.WorkerPool`; to be used from any thread.

    A `workpool.WorkerHandle`, but that `request` and `restart` block, instead of being awaited. Like every
    wait they raise `RuntimeError` in the pool's own thread.
    """

    def __init__(self, thread: LoopThread, worker: WorkerProcess, fleet: Fleet) -> None:
        super().__init__(worker, fleet)
        self._thread = thread

    # What the other one returns is awaited; a program that takes either handle cannot call these two.
    def request(self, type: str, content: Any = None, *, timeout: float = 60.0) -> Any:  # noqa: A002
        """Send a request to this worker; return its answer, or raise what its handler raised.

        It is answered by what the handler that the worker has registered for this type (with
        ``client.on_message``) returns: between tasks by a worker with a sync entrypoint, as it comes
        by one with an async entrypoint.

        Raises `TimeoutError` after so many seconds, `RequestFailed` if there is no such handler or the
        worker ends before it has answered, `SerializationError` if content or answer cannot travel,
        `PoolClosed` if the pool has ended.
        """
        return self._wait("request()", partial(super().request, type, content, timeout=timeout))

    def restart(  # type: ignore[override]
        self, *, env: Mapping[str, str] | None = None, start_arguments: Any = UNCHANGED
    ) -> WorkerHandle:
        """End this worker after the task it is running and start another in its place.

        As `workpool.WorkerHandle.restart`; returns the new worker's handle when that is ready. Restarts
        of one worker that several threads ask for at the same time are one. A `KeyboardInterrupt` ends
        the wait, not the restart.
        """
        asking = partial(super().restart, env=env, start_arguments=start_arguments)
        new = self._wait("restart()", asking)
        assert isinstance(new, WorkerHandle)
        return new

    def _wait(self, what: str, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._thread.check_may_wait(what)
        return self._thread.ask_async(function)
