"""Tasks that run in the pool's own process, in the event loop's thread."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from workpool._fleet import EXIT_GRACE
from workpool._messages import Listeners
from workpool._worker.client import TaskInfo
from workpool._worker.hooks import with_client
from workpool._worker.resolve import Entry, resolve

if TYPE_CHECKING:
    from workpool._engine import Engine
    from workpool._target import Target
    from workpool._task import Task

MAIN_THREAD_ID = -1
"""What `client.worker_id` is for a task that runs in the pool's own process."""


# Several async tasks may run here at a time.
_current: ContextVar[TaskInfo | None] = ContextVar("workpool_task_here", default=None)


class MainThread:
    """Runs tasks here, with the same hooks and the same kind of client as a worker has."""

    def __init__(self, target: Target, engine: Engine) -> None:
        self._target = target
        self._engine = engine
        self._client = MainThreadClient(engine)
        self._entry: Entry | None = None
        self._starting: asyncio.Future[Entry] | None = None
        engine.ending.on_stopping = self._exit

    def add(self, task: Task[Any]) -> None:
        """Run a task as soon as the event loop has its turn."""
        self._engine.outcomes.pending += 1
        self._engine.tasks_here.add(task)
        running = self._engine.loop.create_task(self._run(task))
        task.add_done_callback(partial(self._ended, running))

    async def _run(self, task: Task[Any]) -> None:
        outcomes = self._engine.outcomes
        try:
            entry = await self._started()
            _current.set(TaskInfo(task.id, task.key, task.meta))
            if entry.pre_task is not None:
                start = time.perf_counter()
                await _finished(with_client(entry.pre_task, self._client)(task.argument))  # type: ignore[arg-type]
                task.pre_task_cost = time.perf_counter() - start
            start = time.perf_counter()
            value = await _finished(with_client(entry.function, self._client)(task.argument))  # type: ignore[arg-type]
            task.cost = time.perf_counter() - start
        except asyncio.CancelledError:
            task.cancel()
        except Exception as error:  # noqa: BLE001 - everything belongs to the task
            task.attempts = 1
            outcomes.fail(task, error)
        except (SystemExit, KeyboardInterrupt) as error:
            task.attempts = 1
            outcomes.fail(task, error)
            raise  # they end the event loop, as out of any asyncio task
        else:
            task.attempts = 1
            if not task.done():
                outcomes.succeed(task, value)

    def _ended(self, running: asyncio.Future[None], task: Task[Any]) -> None:
        self._engine.tasks_here.discard(task)
        running.cancel()  # no effect unless the task was ended from outside

    async def _started(self) -> Entry:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> Entry:
        entry = resolve(self._target)
        if entry.on_worker_start is not None:
            await _finished(entry.on_worker_start(self._client))
        self._entry = entry
        return entry

    def _exit(self) -> asyncio.Future[None] | None:
        """Run the exit hook here, if the start hook was; it has the time a worker has for it."""
        if self._entry is None or self._entry.on_worker_exit is None:
            return None
        return asyncio.ensure_future(self._run_exit_hook(self._entry.on_worker_exit))

    async def _run_exit_hook(self, hook: Callable[..., Any]) -> None:
        try:
            async with asyncio.timeout(EXIT_GRACE):
                await _finished(hook(self._client))
        except Exception as error:  # noqa: BLE001 - the user's hook
            self._engine.announcer.report_exception("on_worker_exit raised", error)


class MainThreadClient:
    """The `WorkerClient` of tasks that run in the pool's own process.

    Its messages go to the pool's listeners; those that answer them, through their origin, come here.
    """

    worker_id = MAIN_THREAD_ID

    def __init__(self, engine: Engine) -> None:
        self.state = SimpleNamespace()
        self._engine = engine
        self.listeners = Listeners()
        self._origin = MainThreadHandle(self, engine)

    @property
    def task(self) -> TaskInfo | None:
        """The task that is running."""
        return _current.get()

    def post_message_to_pool(self, type: str, content: Any = None) -> None:  # noqa: A002
        """Hand a message to the pool's listeners."""
        self._engine.announcer.deliver(type, content, self._origin)

    def on_message(self, type: str, handler: Callable[..., Any]) -> None:  # noqa: A002
        """Register a handler, as in a worker."""
        self.listeners.add(type, handler)

    def remove_message_listener(self, type: str, handler: Callable[..., Any]) -> None:  # noqa: A002
        """Take a handler back."""
        self.listeners.remove(type, handler)

    def poll_messages(self) -> None:
        """Do nothing: messages are handled when they are sent."""


class MainThreadHandle:
    """The origin of messages from tasks that run in the pool's own process."""

    id = MAIN_THREAD_ID
    state = "busy"
    tasks_completed = 0
    tasks_stolen = 0
    load = 0.0

    def __init__(self, client: MainThreadClient, engine: Engine) -> None:
        self._client = client
        self._engine = engine

    def post_message(self, type: str, content: Any = None) -> None:  # noqa: A002
        """Hand a message to the handlers registered with the client of these tasks."""
        for handler in self._client.listeners.of(type):
            self._engine.announcer.call(handler, content, self._client)

    @property
    def pid(self) -> int:
        """The id of this process."""
        return os.getpid()


async def _finished(result: Any) -> Any:
    return await result if asyncio.iscoroutine(result) else result
