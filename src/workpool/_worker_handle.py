"""`WorkerHandle`, what a user sees of a worker process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workpool._checks import check_seconds
from workpool._options import checked_env
from workpool._serialization import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workpool._fleet import Fleet
    from workpool._worker_process import WorkerProcess

UNCHANGED: Any = object()
"""Start arguments that were not given: None may be some."""


class WorkerHandle:
    """One worker process, as the pool's user sees it.

    A replacement of a worker has the same `id` (the slot's) and another `pid`. To be used from any
    thread; what it asks for from another one than the pool's happens in the event loop's next turn.
    """

    def __init__(self, worker: WorkerProcess, fleet: Fleet) -> None:
        self._worker = worker
        self._fleet = fleet

    @property
    def id(self) -> int:
        """The slot it has, 0 to ``max_workers - 1``."""
        return self._worker.slot

    @property
    def pid(self) -> int:
        """The id of its process; 0 while a template is still to fork it."""
        return self._worker.process.pid

    @property
    def state(self) -> str:
        """One of ``starting``, ``idle``, ``busy``, ``retiring``, ``exited``."""
        return self._fleet.state_of(self._worker)

    @property
    def tasks_completed(self) -> int:
        """How many tasks it has run to an outcome, failures included."""
        return self._worker.tasks_completed

    @property
    def tasks_stolen(self) -> int:
        """How many of the tasks it took were in another worker's queue."""
        return self._fleet.stolen_by(self._worker)

    @property
    def load(self) -> float:
        """The estimated seconds of work dispatched to its slot and not finished."""
        return self._fleet.load_of(self._worker)

    def post_message(self, type: str, content: Any = None) -> None:  # noqa: A002 - the public name
        """Send a message to this worker; does not block.

        Messages to one worker arrive in order. One to a worker that has ended, or ends before
        it looks, is lost. Raises `SerializationError` if `content` cannot be pickled.
        """
        self._fleet.post_message(self._worker, type, content)

    async def request(self, type: str, content: Any = None, *, timeout: float = 60.0) -> Any:  # noqa: A002
        """Send a request to this worker; return its answer, or raise what its handler raised.

        It is answered by what the handler that the worker has registered for this type (with
        ``client.on_message``) returns: between tasks by a worker with a sync entrypoint, as it comes
        by one with an async entrypoint. Await it in the pool's event loop.

        Raises `TimeoutError` after so many seconds, `RequestFailed` if there is no such handler or the
        worker ends before it has answered, `SerializationError` if content or answer cannot travel.
        """
        check_seconds("timeout", timeout)
        if not isinstance(type, str):
            raise TypeError(f"the type of a request must be text, not {brief(type)}")
        return await self._fleet.requests.ask(self._worker, type, content, timeout)

    async def restart(
        self, *, env: Mapping[str, str] | None = None, start_arguments: Any = UNCHANGED
    ) -> WorkerHandle:
        """End this worker after the task it is running and start another in its place.

        The new one, and those that replace it later, have these environment variables on top of the
        pool's and of what earlier restarts gave, and find `start_arguments` as
        ``client.start_arguments`` from their start hook on. The other workers go on meanwhile.
        Restarts of one worker that are asked for before the last has come to its end are one:
        what they give adds up.

        Returns the new worker's handle when it is ready. Cancelling the wait does not stop the
        restart. Await it in the pool's event loop. Raises `PoolClosed`, `WorkerStartError` or
        `EntrypointError` if the new one does not become ready, `SerializationError`.
        """
        has_arguments = start_arguments is not UNCHANGED
        return await self._fleet.restart(
            self._worker, checked_env(env), start_arguments, has_arguments=has_arguments
        )

    def retire(self) -> None:
        """Let it end gracefully after the task it is running; its queue stays.

        `on_worker_exit` is run. Another worker takes the slot when there is work for it.
        """
        self._fleet.in_loop(self._fleet.retire, self._worker)

    def kill(self) -> None:
        """End its process at once (SIGKILL). The task it is running fails with `WorkerCrashed`."""
        self._fleet.in_loop(self._fleet.kill, self._worker)

    def belongs_to(self, fleet: Fleet) -> bool:
        """Whether this is a worker of the given fleet."""
        return self._fleet is fleet

    def __repr__(self) -> str:
        return f"<WorkerHandle {self.id} pid={self.pid} {self.state}>"
