"""`WorkerClient`, what an entrypoint and its hooks see of their worker and its pool."""

from __future__ import annotations

from types import SimpleNamespace

from workpool import _frames as frames
from workpool._messages import Listeners
from workpool._serialization import dumps
from workpool._worker.answers import REQUEST, answer
from workpool._worker.reporter import Reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any


class TaskInfo:
    """The task that is running: its `id`, `key` and `meta`."""

    __slots__ = ("id", "key", "meta")

    def __init__(self, id: int, key: Hashable | None, meta: Any) -> None:  # noqa: A002
        self.id = id
        self.key = key
        self.meta = meta

    def __repr__(self) -> str:
        return f"TaskInfo(id={self.id}, key={self.key!r}, meta={self.meta!r})"


class NextTask(TaskInfo):
    """The task that this worker runs next: its `id`, `key` and `meta`, and its `argument`."""

    __slots__ = ("argument",)

    def __init__(self, id: int, key: Hashable | None, meta: Any, argument: Any) -> None:  # noqa: A002
        super().__init__(id, key, meta)
        self.argument = argument


def no_claim() -> NextTask | None:
    """Say that there is nothing that a claim could follow."""
    raise RuntimeError(
        "claim_next() is for the running task of a synchronous entrypoint, in the thread that runs it"
    )


class WorkerClient:
    """The worker's line to its pool, given to entrypoints and hooks that take it."""

    def __init__(self, worker_id: int, reporter: Reporter) -> None:
        self.worker_id = worker_id
        """The worker's slot; a replacement of this worker has the same."""
        self.start_arguments: Any = None
        """What `WorkerHandle.restart` was given for this worker; None if it was given nothing."""
        self.state = SimpleNamespace()
        """A place for the worker's own things, kept from task to task."""
        self._reporter = reporter
        self._listeners = Listeners()
        self._listeners.add(REQUEST, answer)
        self._current: Callable[[], tuple[int, Hashable | None, Any] | None] = lambda: None
        self._poll: Callable[[], None] = lambda: None
        self._retire: Callable[[str], None] = lambda reason: None
        self._claim_next = no_claim

    @property
    def task(self) -> TaskInfo | None:
        """The task that is running, or None in a hook or handler outside of one."""
        current = self._current()
        if current is None:
            return None
        attempt, key, meta = current
        return TaskInfo(frames.task_of_attempt(attempt), key, meta)

    def claim_next(self) -> NextTask | None:
        """Claim the task that this worker will run after the present one, while that still runs.

        For tasks whose end depends on what follows: a test whose fixtures are torn down only as far as
        the next test does not need them. Never blocks: None if nothing waits anywhere now, or if this
        worker may be about to end (it is asked to stop, retires by number or memory, is timed out).
        Every call in one task gives the same answer once there is one.

        The claim is binding: nobody can steal that task any more, so claim late. Only a cancellation
        keeps it from running here; if this process dies before it has begun, it runs elsewhere.
        Messages that have come are handled first. Raises `RuntimeError` outside of a running task, in
        another thread and in a worker with an async entrypoint.
        """
        return self._claim_next()

    def post_message_to_pool(self, type: str, content: Any = None) -> None:  # noqa: A002
        """Send a message to the pool's listeners; any thread may.

        Arrives before the result of the task that sent it, and survives a crash of this worker
        from the moment of this call's return. Waits only while the pool does not read. Raises
        `SerializationError` if `content` cannot be pickled.
        """
        body = dumps((type, content), side="worker", subject="message")
        self._reporter.send(frames.MESSAGE, 0, body)

    def on_message(self, type: str, handler: Callable[[Any, WorkerClient], Any]) -> None:  # noqa: A002
        """Call ``handler(content, client)``, sync or async, for each message of this type.

        Messages are handled between tasks by a worker with a sync entrypoint, as they come by one
        with an async entrypoint. What the handler registered first returns, or raises, answers a
        `WorkerHandle.request` of this type.
        """
        self._listeners.add(type, handler)

    def remove_message_listener(
        self,
        type: str,  # noqa: A002
        handler: Callable[[Any, WorkerClient], Any],
    ) -> None:
        """Take a handler back; `ValueError` if it is not registered."""
        self._listeners.remove(type, handler)

    def poll_messages(self) -> None:
        """Handle the messages that have come, now: for a sync task that runs for long."""
        self._poll()

    def handlers(self, type: str) -> tuple[Callable[..., Any], ...]:  # noqa: A002
        """Return the handlers registered for a type."""
        return self._listeners.of(type)
