"""`WorkerHandle`, what a user sees of a worker process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workpool._fleet import Fleet
    from workpool._worker_process import WorkerProcess


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
        """The id of its process."""
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
