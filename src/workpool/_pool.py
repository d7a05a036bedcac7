"""`WorkerPool`, the pool for asyncio programs."""

from __future__ import annotations

import asyncio
import os
import warnings
import weakref
from _thread import get_ident
from collections.abc import (
    Callable,
    Coroutine,
    Hashable,
    Mapping,
)
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack, overload

from workpool._checks import check_count
from workpool._ending import CLOSED, OPEN
from workpool._engine import Engine
from workpool._entrypoint import Entrypoint, EntrypointFunction, find_target
from workpool._main_thread import MainThread
from workpool._messages import Listeners
from workpool._options import (
    LIGHT,
    STRONG,
    Affinity,
    StartMethod,
    TaskSettings,
    WorkerOutput,
    check_affinity,
    check_options,
    check_timeout,
)
from workpool._retry_policy import RetryPolicy, checked_retries
from workpool._source_methods import SourceMethods
from workpool._statistics import PoolStatistics
from workpool._target import Target
from workpool._task import Task
from workpool._worker_handle import WorkerHandle
from workpool.errors import PoolClosed, WorkerStartError

if TYPE_CHECKING:
    from workpool._forked_template import ForkedTemplate
    from workpool._worker.client import WorkerClient

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")

Event = Literal["task-added", "task-complete", "worker-launched", "worker-exited"]
EVENTS = ("task-added", "task-complete", "worker-launched", "worker-exited")

_current_loop = asyncio._get_running_loop  # a third of the cost of the one that raises

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


class PoolKeywords(TypedDict, total=False):
    """The keyword arguments of `WorkerPool`, for type checkers."""

    max_workers: int | None
    min_workers: int
    tasks_per_worker: float
    worker_concurrency: int | None
    inherent_cost: Callable[[Task[Any]], float] | None
    worker_cost: Callable[[Task[Any], WorkerHandle], float] | None
    timeout: float | None
    retries: int | RetryPolicy
    max_tasks_per_worker: int | None
    max_memory_per_worker: int | None
    idle_timeout: float | None
    env: Mapping[str, str] | None
    worker_output: WorkerOutput
    name: str | None
    start_method: StartMethod | ForkedTemplate


class WorkerPool(SourceMethods[ArgT, ResultT]):
    """A pool of worker processes that run one entrypoint and steal work from each other.

    Use it as ``async with WorkerPool(function) as pool: await pool.add_task(argument)``. It belongs
    to the event loop in which it is first used, and to that loop's thread: no method may be called
    from another one (``loop.call_soon_threadsafe`` gets there).

    Every task ends exactly once. One whose worker dies under it fails with `WorkerCrashed`, the
    tasks that waited behind it go on; none is run twice unless it has `retries`. Workers end with
    this process, however it ends, and never keep it from ending.

    Arguments:
        entrypoint: what the workers run: a function of ``(arg)`` or ``(arg, client)``, sync or
            async; ``"package.module:symbol"`` or ``"path/to/file.py:symbol"``; an `Entrypoint`.
        max_workers: most worker processes; the CPUs this process may use if None.
        min_workers: kept running from the first use on, whether there is work or not.
        tasks_per_worker: another worker is started while pending tasks per worker exceed this.
        worker_concurrency: tasks one worker of an *async* entrypoint runs at a time; if None, what
            the entrypoint's attribute of that name says, else 16.
        inherent_cost: ``(task) -> seconds``, an estimate used until the task's `key` is known.
        worker_cost: ``(task, worker) -> seconds`` a task costs more in that worker.
        timeout: seconds a task may run, from its start in a worker; None for no limit.
        retries: how often a task that failed, crashed its worker or timed out is run again; or a
            `RetryPolicy`, which says after which failures and after what pause.
        max_tasks_per_worker: a worker is replaced after so many tasks.
        max_memory_per_worker: a worker that uses more (resident bytes, looked at after each task)
            is replaced.
        idle_timeout: seconds after which an idle worker above `min_workers` is ended.
        env: environment variables of the workers, on top of this process's.
        worker_output: where workers' output goes: ``"inherit"`` (their own standard output and
            error are this process's), ``"forward"`` (line by line through `sys.stdout` and
            `sys.stderr`, prefixed), or a function ``(worker, stream, line)``.
        name: what the pool is called in messages and in the process list.
        start_method: ``"spawn"``: each worker is an interpreter that imports everything itself;
            ``"template"``: one interpreter imports the entrypoint's module once, and workers are
            forked from it; what `fork_template` returns: they are forks of that. See "How workers
            start" in ``docs/entrypoints.md``.

    Raises `EntrypointError`, `ValueError` or `TypeError` for arguments that cannot be right. An
    entrypoint that turns out wrong in the workers fails the tasks.
    """

    # What a pool takes and gives is inferred from a function; of one that is named, or that is
    # known by its decorator alone, it is what the user says.
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

    def __init__(
        self,
        entrypoint: Callable[..., Any] | EntrypointFunction[..., Any] | Entrypoint | str,
        *,
        max_workers: int | None = None,
        min_workers: int = 0,
        tasks_per_worker: float = 1,
        worker_concurrency: int | None = None,
        inherent_cost: Callable[[Task[Any]], float] | None = None,
        worker_cost: Callable[[Task[Any], WorkerHandle], float] | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy = 0,
        max_tasks_per_worker: int | None = None,
        max_memory_per_worker: int | None = None,
        idle_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        worker_output: WorkerOutput = "inherit",
        name: str | None = None,
        start_method: StartMethod | ForkedTemplate = "spawn",
    ) -> None:
        self._engine: Engine | None = None
        self._closed_unused = False
        self._options = check_options(
            max_workers=max_workers,
            min_workers=min_workers,
            tasks_per_worker=tasks_per_worker,
            worker_concurrency=(
                getattr(entrypoint, "worker_concurrency", None)
                if worker_concurrency is None
                else worker_concurrency
            ),
            inherent_cost=inherent_cost,
            worker_cost=worker_cost,
            timeout=timeout,
            retries=retries,
            max_tasks_per_worker=max_tasks_per_worker,
            max_memory_per_worker=max_memory_per_worker,
            idle_timeout=idle_timeout,
            env=env,
            worker_output=worker_output,
            name=name,
            start_method=start_method,
        )
        self._target: Target = find_target(entrypoint)
        self._settings = TaskSettings(timeout, self._options.retries, plain=timeout is None)
        self._settings_in_context = replace(self._settings, plain=False)
        self._messages = Listeners()
        self._events = Listeners()
        self._main_thread: MainThread | None = None
        self._new_handle: Callable[..., WorkerHandle] = WorkerHandle

    @property
    def name(self) -> str:
        """What the pool is called."""
        return self._options.name

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
        """Add a task; return its future at once.

        The argument is pickled when the task is sent to a worker, which may be later: do not change
        it meanwhile. What cannot be pickled fails the task with `SerializationError`. The future
        need not be awaited; an error nobody looked at is logged when it is collected.

        Arguments:
            key: tasks with one key share an estimate of their cost, learned from earlier ones.
            meta: anything picklable; the worker finds it in ``client.task.meta``.
            timeout, retries: instead of the pool's.
            affinity: ``"light"``: any worker may steal it; ``"strong"``: stays with `worker` unless
                loads get badly uneven; ``"force"``: runs in `worker` only.
            worker: the worker (or its id) to give it to.
            main_thread: run it in this process, in the event loop's thread, with the argument as it
                is. A sync entrypoint blocks the loop meanwhile; timeouts and retries do not apply.

        Raises `PoolClosed`; `ValueError` or `TypeError` for wrong settings; `RuntimeError` outside
        the pool's event loop.
        """
        engine = self._engine
        if (
            engine is None
            or engine.state is not OPEN
            or engine.thread != get_ident()
            or not engine.loop.is_running()
        ):
            engine = self._open_engine()  # the same question again: here it is asked for every task
        settings = plain = self._settings
        if key is not None or meta is not None:
            hash(key)  # a TypeError now, not in the middle of something
            settings = self._settings_in_context
        if timeout is not None or retries is not None or affinity != LIGHT or worker is not None:
            settings = self._checked_settings(timeout, retries, affinity, worker)
        task: Task[ResultT] = Task(loop=engine.task_loop)
        task._pool = self
        task._settings = settings
        task.id = engine.ledger.new_id()
        task.argument = arg
        if settings is not plain:
            task.key = key
            task.meta = meta
        task.attempts = task.dispatches = 0
        task.slot = settings.slot
        if self._options.inherent_cost is not None:
            task.inherent = engine.estimates.inherent(task)
        if main_thread:
            self._run_here(engine, task)
        elif engine.burst is not None and settings is plain:
            engine.add_to_burst(task)
        else:
            engine.add(task)
        if engine.announce_tasks:
            engine.announcer.emit("task-added", task)
        return task

    async def when_idle(self) -> None:
        """Wait until every task added so far, and those added meanwhile, has ended."""
        if self._engine is not None:
            await self._engine.when_idle()

    @property
    def is_idle(self) -> bool:
        """Whether no task is pending."""
        return self._engine is None or not self._engine.outcomes.pending

    # Messages and events

    def on_message(self, type: str, handler: Callable[[Any, WorkerHandle], Any]) -> None:  # noqa: A002
        """Call ``handler(content, origin)``, sync or async, for each message of this type.

        `origin` is the `WorkerHandle` of the worker that sent it.
        """
        self._messages.add(type, handler)

    def remove_message_listener(
        self,
        type: str,  # noqa: A002
        handler: Callable[[Any, WorkerHandle], Any],
    ) -> None:
        """Take a handler back; `ValueError` if it is not registered."""
        self._messages.remove(type, handler)

    def post_message_to_workers(self, type: str, content: Any = None) -> None:  # noqa: A002
        """Send a message to every worker there is now, also to those that are still starting.

        Raises `PoolClosed`, or `SerializationError` if `content` cannot be pickled.
        """
        engine = self._open_engine()
        for worker in engine.fleet.present():
            worker.handle.post_message(type, content)

    def on(self, event: Event, listener: Callable[..., Any]) -> None:
        """Call a listener, sync or async, at each event of a kind.

        ``task-added`` (task), ``task-complete`` (error, result, task), ``worker-launched``
        (worker), ``worker-exited`` (worker, reason).
        """
        if event not in EVENTS:
            raise ValueError(f"there is no event {event!r}; there are {', '.join(EVENTS)}")
        self._events.add(event, listener)
        self._tell_listening()

    def remove_listener(self, event: Event, listener: Callable[..., Any]) -> None:
        """Take a listener back; `ValueError` if it is not registered."""
        self._events.remove(event, listener)
        self._tell_listening()

    # Workers

    def resize_up_to(self, n: int) -> None:
        """Start workers until there are `n` (never more than `max_workers`); do not wait."""
        check_count("n", n, at_least=0)
        self._open_engine().growth.resize_up_to(n)

    @property
    def workers(self) -> tuple[WorkerHandle, ...]:
        """The workers that have a process now, by id."""
        if self._engine is None:
            return ()
        return tuple(worker.handle for worker in self._engine.fleet.present())

    def statistics(self) -> PoolStatistics:
        """Return counts of tasks by state, steals, restarts, and figures per worker."""
        return PoolStatistics() if self._engine is None else self._engine.statistics()

    # The end

    async def aclose(self) -> None:
        """Close gracefully: finish what was added, run `on_worker_exit`, wait for the workers' end.

        A worker whose exit hook takes longer than ten seconds is killed. If the wait is cancelled,
        everything is ended at once, as by `kill`. Closing twice does no harm.
        """
        self._closed_unused = True
        if self._engine is None:
            return
        if self._engine.loop.is_closed():
            self._engine.ending.kill()  # nothing can be finished any more
            return
        self._engine.ending.begin()
        try:
            await self._engine.ending.wait()
        except asyncio.CancelledError:
            self._engine.ending.kill()
            raise

    def dispose(self) -> None:
        """Close as `aclose` does, without waiting for it.

        Outside a running event loop, where pending tasks could never end, it is as `kill`.
        """
        self._closed_unused = True
        engine = self._engine
        if engine is None:
            return
        if engine.loop.is_running():
            engine.ending.begin()
        else:
            engine.ending.kill()

    def kill(self) -> None:
        """End all workers at once (SIGKILL); pending tasks fail with `PoolClosed`.

        Exit hooks are not run. Returns when the processes are gone.
        """
        self._closed_unused = True
        if self._engine is not None:
            self._engine.ending.kill()

    async def __aenter__(self) -> Self:
        self._open_engine()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is GeneratorExit:
            self.kill()  # the coroutine is thrown away: it can wait for nothing, its loop may be closed
            return
        if exc_type is not None and self._engine is not None and self._engine.state == OPEN:
            self._engine.cancel_pending()
        if exc_type is KeyboardInterrupt:
            self.kill()  # Ctrl-C for the second time: the first was a CancelledError
            return
        await self.aclose()

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is None or engine.state == CLOSED:
            return
        if engine.state == OPEN:
            message = f"{self!r} was never closed; use 'async with', aclose() or dispose()"
            engine.ending.abandon()  # first: a warning may be an error
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
        elif engine.loop.is_closed():
            engine.ending.abandon()  # disposed of, and the loop ended before the workers did

    def __repr__(self) -> str:
        state = "unused" if self._engine is None else self._engine.state
        return f"<WorkerPool {self.name!r} of {self._target.text} {state}>"

    # For Task

    def _withdraw(self, task: Task[Any]) -> asyncio.Future[bool]:
        assert self._engine is not None
        return self._engine.withdrawals.withdraw(task)

    def _task_cancelled(self, task: Task[Any]) -> None:
        if self._engine is not None and self._engine.state != CLOSED:
            self._engine.task_cancelled(task)

    def _is_running(self, task: Any) -> bool:
        engine = self._engine
        return engine is not None and engine.state != CLOSED and engine.is_running(task)

    # For the blocking pool, whose tasks are of another class, in the event loop's thread

    def _open(self) -> Callable[[], int]:
        """Open the pool; return what gives new task ids, from any thread."""
        return self._open_engine().ledger.new_id

    def _adopt(self, task: Any) -> None:
        """Take on a task that was made elsewhere; fail it if the pool has been closed."""
        engine = self._engine
        if engine is None or engine.state is not OPEN:
            task._set_exception(PoolClosed(f"the pool {self.name!r} was closed before this task"))
            return
        task.slot = task._settings.slot
        if self._options.inherent_cost is not None:
            task.inherent = engine.estimates.inherent(task)
        if task.main_thread:
            self._run_here(engine, task)
        else:
            engine.add(task)
        if engine.announce_tasks:
            engine.announcer.emit("task-added", task)

    def _count_cancelled(self, task: Any) -> None:
        """Count such a task as cancelled, whatever has become of the pool."""
        assert self._engine is not None
        self._engine.task_cancelled(task)

    def _cancel_pending(self, *, spares_begun: bool = False) -> None:
        """Cancel what can be cancelled, or only what has not begun."""
        if self._engine is not None and self._engine.state != CLOSED:
            self._engine.cancel_pending(spares_begun=spares_begun)

    def _cancel_unbegun(self, task: Any) -> bool:
        """Cancel such a task if no worker has begun it; return whether it is cancelled."""
        if self._engine is None or self._engine.state == CLOSED:
            return bool(task.cancel())
        return self._engine.cancel_unbegun(task)

    def _abandon(self) -> list[Any]:
        """Let everything go as if this process had ended; return the tasks that were pending."""
        engine = self._engine
        if engine is None or engine.state == CLOSED:
            return []
        pending = engine.take_pending()
        engine.ending.abandon()
        return pending

    # Inside

    def _open_engine(self) -> Engine:
        engine = self._engine
        if engine is not None and engine.state is OPEN and _current_loop() is engine.loop:
            return engine
        if engine is not None and engine.process_id != os.getpid():
            raise PoolClosed(
                f"the pool {self.name!r} belongs to process {engine.process_id}, of which this one "
                "is a fork: make a pool of its own here"
            )
        if self._closed_unused or (engine is not None and engine.state != OPEN):
            raise PoolClosed(f"the pool {self.name!r} is closed; make a new one for more work")
        loop = _running_loop()
        if engine is not None:
            raise RuntimeError(
                f"the pool {self.name!r} belongs to another event loop: one pool serves one "
                "asyncio.run(); make it inside"
            )
        try:
            engine = Engine(self._target, self._options, loop, self._messages, self._events)
        except OSError as error:
            raise WorkerStartError(
                f"the pool {self.name!r} of up to {self._options.max_workers} workers could not be "
                f"set up: {error}. It needs about six open files per worker and forty besides; see 'ulimit -n'."
            ) from error
        engine.fleet.new_handle = self._new_handle
        self._engine = engine
        _engines.add(engine)
        self._tell_listening()
        engine.growth.resize_up_to(self._options.min_workers)
        return engine

    def _tell_listening(self) -> None:
        if self._engine is not None:
            self._engine.listening_changed()

    def _checked_settings(
        self,
        timeout: float | None,
        retries: int | RetryPolicy | None,
        affinity: str,
        worker: WorkerHandle | int | None,
    ) -> TaskSettings:
        slot = worker.id if isinstance(worker, WorkerHandle) else worker
        engine = self._engine
        if isinstance(worker, WorkerHandle) and not (engine and worker.belongs_to(engine.fleet)):
            raise ValueError(f"{worker!r} is a worker of another pool")
        if slot is not None:
            check_count("worker", slot, at_least=0)
            if slot >= self._options.max_workers:
                raise ValueError(
                    f"there is no worker {slot}: ids go from 0 to {self._options.max_workers - 1}"
                )
        check_affinity(affinity, slot)
        check_timeout(timeout)
        return TaskSettings(
            self._settings.timeout if timeout is None else timeout,
            self._settings.retries if retries is None else checked_retries(retries),
            pinned=affinity != LIGHT,
            movable=affinity == STRONG,
            slot=-1 if slot is None else slot,
        )

    def _run_here(self, engine: Engine, task: Task[ResultT]) -> None:
        if self._main_thread is None:
            self._main_thread = MainThread(self._target, engine)
        self._main_thread.add(task)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "a WorkerPool is used inside a running event loop: call it from a coroutine that "
            "asyncio.run() runs"
        ) from None


def _let_go_in_child() -> None:
    for engine in list(_engines):
        engine.ending.let_go_in_child()


os.register_at_fork(after_in_child=_let_go_in_child)
