"""Sources whose items are a task each, read in the thread that asks for the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from workpool._options import LIGHT
from workpool._retry_policy import RetryPolicy
from workpool.sync._pace import SourcePace
from workpool.sync._task import Task

if TYPE_CHECKING:
    from workpool._options import TaskSettings
    from workpool.sync._pool import WorkerPool

TaskT = TypeVar("TaskT", bound=Task[Any])


class QueuedTask(Task[Any]):
    """A task that puts itself into a queue when it has ended, which costs less than a callback."""

    _waiter = True  # whoever else waits does it at the condition

    def __init__(
        self,
        pool: WorkerPool[Any, Any],
        settings: TaskSettings,
        id: int,  # noqa: A002 - as in Task
        argument: Any,
        ended: SimpleQueue[QueuedTask],
    ) -> None:
        super().__init__(pool, settings, id, argument)
        self._ended = ended

    def _release_waiter(self) -> None:
        ended = self.__dict__.pop("_ended", None)  # one step: it is put there once
        if ended is not None:
            ended.put(self)


class TaskFeed:
    """Turns a source's items into tasks, all with the same settings.

    What the source raises, and that the pool takes no more, is kept until the tasks before it have ended.
    """

    def __init__(
        self,
        pool: WorkerPool[Any, Any],
        source: Iterable[Any],
        buffer: int,
        timeout: float | None,
        retries: int | RetryPolicy | None,
        key: Hashable | None,
    ) -> None:
        settings = pool._pool._settings if key is None else pool._pool._settings_in_context
        if timeout is not None or retries is not None:
            settings = pool._pool._checked_settings(timeout, retries, LIGHT, None)
        hash(key)
        self._pool = pool
        self._buffer = buffer
        self._items = iter(source)
        self._settings = settings
        self._key = key
        self._open = True
        self._error: Exception | None = None
        self._pace = SourcePace()

    def results_in_order(self) -> Generator[Any]:
        """Yield the results in the order of the source."""
        task: Task[Any] | None
        tasks: deque[Task[Any]] = deque()

        def has_result(seconds: float) -> bool:
            return bool(tasks) and has_ended(tasks[0], seconds)

        try:
            while True:
                read = 0
                while self._has_room(len(tasks)) and not self._pace.lets_go_first(read, has_result):
                    if (task := self._next(Task)) is not None:
                        tasks.append(task)
                    read += 1
                if not tasks:
                    self._raise_error()
                    return
                task = None
                tasks[0].result()  # interrupted, it is cancelled with the others
                yield tasks.popleft().result()
        finally:  # in any thread, when the iterator is collected
            for task in tasks:
                task._cancel_soon()

    def results_as_completed(self) -> Generator[Any]:
        """Yield the results as they come."""
        tasks = self.tasks_as_ended()
        try:
            for task in tasks:
                result = [task.result()]
                del task
                yield result.pop()
        finally:
            tasks.close()

    def tasks_as_ended(self) -> Generator[Task[Any]]:
        """Yield the tasks themselves as they end, in whatever way."""
        unfinished: set[QueuedTask] = set()
        ended: SimpleQueue[QueuedTask] = SimpleQueue()
        came: deque[QueuedTask] = deque()  # at most one, taken from the queue before it was wanted

        def has_result(seconds: float) -> bool:
            if seconds and unfinished and not came:
                with suppress(Empty):
                    came.append(ended.get(timeout=seconds))
            return bool(came) or not ended.empty()

        def take() -> QueuedTask:
            task = came.popleft() if came else ended.get()
            unfinished.discard(task)
            return task

        try:
            while True:
                read = 0
                while self._has_room(len(unfinished)) and not self._pace.lets_go_first(
                    read, has_result
                ):
                    if (task := self._next(QueuedTask, ended)) is not None:
                        unfinished.add(task)
                    read += 1
                if not unfinished:
                    self._raise_error()
                    return
                task = None
                self._pool._check_may_wait()
                yield take()
        finally:
            for task in unfinished:
                task._cancel_soon()

    def _has_room(self, held: int) -> bool:
        return self._open and held < self._buffer

    def _next(self, kind: Callable[..., TaskT], *details: Any) -> TaskT | None:
        """Send the source's next item as a task; None, and no longer `_open`, if there is none."""
        began = monotonic()
        try:
            item = next(self._items)
            self._pace.note(monotonic() - began)
            return self._sent(kind, item, *details)
        except StopIteration:
            self._open = False
        except Exception as error:  # noqa: BLE001 - raised when its turn comes
            self._open = False
            self._error = error
        return None

    def _sent(self, kind: Callable[..., TaskT], item: Any, *details: Any) -> TaskT:
        pool = self._pool
        service = pool._open()
        task = kind(pool, self._settings, pool._new_id(), item, *details)
        if self._key is not None:
            task.key = self._key
        service.thread.post(task)
        return task

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def has_ended(task: Task[Any], seconds: float) -> bool:
    """Whether a task has ended; waits so many seconds for that."""
    if seconds and not task.done():
        with suppress(TimeoutError):
            task._wait_alone(seconds)
    return task.done()
