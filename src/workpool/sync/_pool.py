"""`workpool.sync.WorkerPool`, the pool for threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast, overload

from workpool._entrypoint import Entrypoint
from workpool._options import LIGHT, Affinity
from workpool._pool import Event, PoolKeywords
from workpool._pool import WorkerPool as AsyncioPool
from workpool._retry_policy import RetryPolicy
from workpool._statistics import PoolStatistics
from workpool.errors import PoolClosed, WorkerStartError
from workpool.sync import _exit
from workpool.sync._map import MapMethods
from workpool.sync._service import Service
from workpool.sync._task import Task
from workpool.sync._worker_handle import WorkerHandle

if TYPE_CHECKING:
    from workpool._worker.client import WorkerClient

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")
T = TypeVar("T")


class WorkerPool(MapMethods[ArgT, ResultT], Generic[ArgT, ResultT]):
    """`workpool.WorkerPool` for programs without asyncio: the same members, blocking.

    Use it as ``with WorkerPool(function) as pool: pool.add_task(argument).result()``. Any thread may
    use it, several at once, whether an event loop runs there or not. The arguments are those of
    `workpool.WorkerPool`.

    The pool proper runs in a thread of its own, in which also listeners, message handlers, done
    callbacks and tasks with ``main_thread=True`` are run: they may do anything but wait for this pool,
    which raises `RuntimeError` there.

    A wait ends at once with a `KeyboardInterrupt`; the tasks go on. The pool never keeps the
    interpreter from exiting: what is pending then is dropped, unless the pool was closed before. In a
    forked child it is closed. One that is collected without having been closed warns
    (`ResourceWarning`) and leaves no process behind; a pending task holds its pool.
    """

    _finishes_at_exit = False

    @overload
    def __init__(
        self,
        entrypoint: Callable[[ArgT], Coroutine[Any, Any, ResultT]],
        **options: Unpack[PoolKeywords],
    ) -> None: ...
    @overload
    def __init__(
        self,
        entrypoint: Callable[[ArgT, WorkerClient], Coroutine[Any, Any, ResultT]],
        **options: Unpack[PoolKeywords],
    ) -> None: ...
    @overload
    def __init__(
        self, entrypoint: Callable[[ArgT], ResultT], **options: Unpack[PoolKeywords]
    ) -> None: ...
    @overload
    def __init__(
        self,
        entrypoint: Callable[[ArgT, WorkerClient], ResultT],
        **options: Unpack[PoolKeywords],
    ) -> None: ...
    @overload
    def __init__(
        self: WorkerPool[Any, Any],
        entrypoint: str | Entrypoint,
        **options: Unpack[PoolKeywords],
    ) -> None: ...

    def __init__(self, entrypoint: Any, **options: Any) -> None:
        self._service: Service | None = None
        self._closed = False
        self._listens = False
        """Whether anybody listens to events or messages, which come before the ends of their tasks."""
        self._starting = threading.Lock()
        self._new_id: Callable[[], int]
        self._pool: AsyncioPool[ArgT, ResultT] = AsyncioPool(entrypoint, **options)

    @property
    def name(self) -> str:
        """What the pool is called."""
        return self._pool.name

    # Tasks

    def add_task(
        self,
        arg: ArgT,
        *,
        key: Hashable | None = None,
        meta: Any = None,
        timeout: float | None = None,
        retries: int | RetryPolicy | None = None,
        affinity: Affinity = LIGHT,
        worker: WorkerHandle | int | None = None,
        main_thread: bool = False,
    ) -> Task[ResultT]:
        """Add a task; return its future at once. Does not block, but to start the pool.

        As `workpool.WorkerPool.add_task`, but that an error nobody looks at is not logged, as with
        every `concurrent.futures.Future`. ``main_thread=True`` runs it in the pool's own thread of
        this process.

        Raises `PoolClosed`; `ValueError` or `TypeError` for wrong settings.
        """
        service = self._service
        if service is None or not service.open:
            service = self._open()
        settings = self._pool._settings
        if timeout is not None or retries is not None or affinity != LIGHT or worker is not None:
            settings = self._pool._checked_settings(timeout, retries, affinity, worker)
        if settings.plain and (key is not None or meta is not None):
            settings = self._pool._settings_in_context
        task: Task[ResultT] = Task(self, settings, self._new_id(), arg)
        if key is not None:
            hash(key)  # a TypeError now, not in the pool's thread
            task.key = key
        if meta is not None:
            task.meta = meta
        if main_thread:
            task.main_thread = True
        service.thread.post(task)
        return task

    def when_idle(self, timeout: float | None = None) -> None:
        """Wait until every task added so far, and those added meanwhile, has ended.

        Raises `TimeoutError` after so many seconds.
        """
        service = self._service
        if service is None or service.thread.ended.is_set():
            return
        service.thread.check_may_wait("when_idle()")
        service.thread.ask_async(self._pool.when_idle, timeout)

    @property
    def is_idle(self) -> bool:
        """Whether no task is pending."""
        return self._ask(lambda: self._pool.is_idle)

    # Messages and events

    def on_message(self, type: str, handler: Callable[[Any, WorkerHandle], Any]) -> None:  # noqa: A002
        """Call ``handler(content, origin)``, sync or async, for each message of this type.

        Messages of a task are handled before its result is there.
        """
        self._listens = True
        self._ask(lambda: self._pool.on_message(type, cast(Any, handler)))

    def remove_message_listener(
        self,
        type: str,  # noqa: A002
        handler: Callable[[Any, WorkerHandle], Any],
    ) -> None:
        """Take a handler back; `ValueError` if it is not registered."""
        self._ask(lambda: self._pool.remove_message_listener(type, cast(Any, handler)))

    def post_message_to_workers(self, type: str, content: Any = None) -> None:  # noqa: A002
        """Send a message to every worker there is now, also to those that are still starting.

        Raises `PoolClosed`, or `SerializationError` if `content` cannot be pickled.
        """
        self._open().thread.ask(lambda: self._pool.post_message_to_workers(type, content))

    def on(self, event: Event, listener: Callable[..., Any]) -> None:
        """Call a listener, sync or async, at each event of a kind; as `workpool.WorkerPool.on`."""
        self._listens = True
        self._ask(lambda: self._pool.on(event, listener))

    def remove_listener(self, event: Event, listener: Callable[..., Any]) -> None:
        """Take a listener back; `ValueError` if it is not registered."""
        self._ask(lambda: self._pool.remove_listener(event, listener))

    # Workers

    def resize_up_to(self, n: int) -> None:
        """Start workers until there are `n` (never more than `max_workers`); do not wait for them."""
        self._open().thread.ask(lambda: self._pool.resize_up_to(n))

    @property
    def workers(self) -> tuple[WorkerHandle, ...]:
        """The workers that have a process now, by id; to be used from any thread."""
        return cast(tuple[WorkerHandle, ...], self._ask(lambda: self._pool.workers))

    def statistics(self) -> PoolStatistics:
        """Return counts of tasks by state, steals, restarts, and figures per worker."""
        return self._ask(self._pool.statistics)

    # The end

    def close(self) -> None:
        """Close gracefully: finish what was added, run `on_worker_exit`, wait for the workers' end.

        A worker whose exit hook takes longer than ten seconds is killed. If the wait is interrupted,
        everything is ended at once, as by `kill`. Closing twice does no harm.
        """
        self._end(Service.finish, "close()")

    def dispose(self) -> None:
        """Close as `close` does, without waiting for it. Any thread, any callback may call this."""
        service = self._shut()
        if service is not None:
            service.thread.post(service.finish)

    def kill(self) -> None:
        """End all workers at once (SIGKILL); pending tasks fail with `PoolClosed`.

        Exit hooks are not run. Returns when the processes are gone.
        """
        service = self._shut()
        if service is None:
            return
        if service.thread.is_current:
            service.kill()
        else:
            service.thread.post(service.kill)
            service.thread.wait()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None or self._closed:
            self.close()
        else:
            self._end(Service.cancel_and_finish, "leaving the pool's block")

    def __del__(self) -> None:
        service = getattr(self, "_service", None)
        if service is None or self._closed or service.thread.ended.is_set():
            return
        service.thread.post(service.abandon)  # first: a warning may be an error
        warnings.warn(
            f"{self!r} was never closed; use 'with', close() or dispose()",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )

    def __repr__(self) -> str:
        return f"<sync.{repr(self._pool)[1:]}"

    # For Task

    def _is_running(self, task: Task[Any]) -> bool:
        try:
            return self._pool._is_running(task)
        except ValueError:  # the status page was closed just now
            return False

    def _check_may_wait(self) -> None:
        assert self._service is not None
        self._service.thread.check_may_wait("to wait for a task")

    def _cancelled(self, task: Task[Any]) -> None:
        assert self._service is not None
        self._service.thread.post(partial(self._service.account_cancelled, task))

    def _let_cancel(self) -> None:
        """Wait until the pool's thread has come to what was cancelled."""
        assert self._service is not None
        thread = self._service.thread
        if not thread.is_current:  # there it may be in the middle of something: in a finalizer
            with suppress(PoolClosed):
                thread.ask(_nothing)

    def _withdraw(self, task: Task[Any]) -> bool:
        assert self._service is not None
        thread = self._service.thread
        thread.check_may_wait("withdraw()")

        async def ask() -> bool:
            return await self._pool._withdraw(cast(Any, task))

        try:
            return thread.ask_async(ask)
        except PoolClosed:
            return False  # it has ended, with the pool

    def _call_back(self, function: Callable[[], None]) -> None:
        assert self._service is not None
        self._service.thread.post(function)

    # Inside

    def _open(self) -> Service:
        with self._starting:
            if self._closed or (self._service is not None and not self._service.open):
                raise PoolClosed(
                    f"the pool {self.name!r} is closed, or was made before a fork; make a new one for "
                    "more work"
                )
            if self._service is None:
                self._start()
            assert self._service is not None
            return self._service

    def _start(self) -> None:
        if _exit.is_exiting():
            raise PoolClosed(f"the pool {self.name!r} cannot start: the interpreter is exiting")
        try:
            service = Service(self._pool, finishes_at_exit=self._finishes_at_exit)
            self._new_id = service.start()
        except (OSError, RuntimeError) as error:
            raise WorkerStartError(
                f"the thread of pool {self.name!r} could not be started: {error}"
            ) from error
        self._service = service

    def _shut(self) -> Service | None:
        """Take no more tasks; return what has to be ended, if there is anything."""
        self._closed = True
        service = self._service
        if service is None or service.thread.ended.is_set():
            return None
        service.open = False
        return service

    def _ask(self, function: Callable[[], T]) -> T:
        """Call a function of the pool proper where it may be called."""
        service = self._service
        if service is None or service.thread.ended.is_set():
            return function()
        try:
            return service.thread.ask(function)
        except PoolClosed:
            if service.thread.ended.is_set():
                return function()
            raise

    def _end(self, how: Callable[[Service], None], what: str) -> None:
        service = self._service
        if service is not None and not service.thread.ended.is_set():
            service.thread.check_may_wait(what)
        service = self._shut()
        if service is None:
            return
        service.thread.post(partial(how, service))
        try:
            service.thread.wait()
        except BaseException:
            service.thread.post(service.kill)
            raise


def _nothing() -> None:
    """Do nothing, after everything that was asked for before."""
