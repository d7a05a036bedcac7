"""`spawned_worker`: any program as a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypedDict, TypeVar, Unpack, overload

from workpool._checks import check_callable, check_seconds
from workpool.channels._channel import DEFAULT_TIMEOUT
from workpool.channels._command import (
    Command,
    Folder,
    check_pickled,
    checked_command,
    checked_environment,
    checked_folder,
)
from workpool.channels._parent import ParentChannel
from workpool.channels._run_command import CommandRunner
from workpool.channels._spawned_child import SpawnedChild

if TYPE_CHECKING:
    from workpool._worker.client import WorkerClient

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")

START_TIMEOUT = 60.0
"""Seconds a child has for its start, the `init` handler included."""


@dataclass(frozen=True, slots=True)
class SpawnedWorker(Generic[ArgT, ResultT]):
    """A worker that is another program: made by `spawned_worker`, given to `WorkerPool(...)`.

    It is an entrypoint like any other: each worker process of the pool keeps one child, started
    with the worker, and calls `execute` for each task. It ends when the child has.
    """

    command: tuple[str, ...] | None
    init: Callable[[Any], object] | None
    execute: Callable[[Any, ArgT], Any]
    destroy: Callable[[Any], object] | None
    cwd: str | None
    env: Mapping[str, str]
    pickled: bool
    timeout: float
    start_timeout: float
    worker_concurrency: ClassVar[int] = 1
    """A program has one conversation at a time; what it could not begin would be nobody's to steal."""

    async def __call__(self, argument: ArgT, client: WorkerClient) -> ResultT:
        """Run one argument in the child of this worker."""
        child: SpawnedChild = client.state.spawned_child
        task = client.task
        result: ResultT = await child.execute(argument, None if task is None else task.id)
        return result

    async def on_worker_start(self, client: WorkerClient) -> None:
        """Start this worker's child."""

        def end_with_it(reason: str) -> None:
            client._retire(reason)  # it has its meaning when the worker is ready

        client.state.spawned_child = child = SpawnedChild(self, on_end=end_with_it)
        await child.start()

    async def on_worker_exit(self, client: WorkerClient) -> None:
        """End this worker's child."""
        await client.state.spawned_child.destroy()


class _Options(TypedDict, total=False):
    """What can be told beside the handlers."""

    cwd: Folder | None
    env: Mapping[str, str] | None
    pickled: bool
    timeout: float
    start_timeout: float


@overload
def spawned_worker(
    command: Command,
    *,
    init: Callable[[ParentChannel], object] | None = None,
    execute: Callable[[ParentChannel, ArgT], Awaitable[ResultT]],
    destroy: Callable[[ParentChannel], object] | None = None,
    **options: Unpack[_Options],
) -> SpawnedWorker[ArgT, ResultT]: ...
@overload
def spawned_worker(
    command: Command,
    *,
    init: Callable[[ParentChannel], object] | None = None,
    execute: Callable[[ParentChannel, ArgT], ResultT],
    destroy: Callable[[ParentChannel], object] | None = None,
    **options: Unpack[_Options],
) -> SpawnedWorker[ArgT, ResultT]: ...
@overload
def spawned_worker(
    command: None,
    *,
    init: Callable[[CommandRunner], object] | None = None,
    execute: Callable[[CommandRunner, ArgT], Awaitable[ResultT]],
    destroy: Callable[[CommandRunner], object] | None = None,
    **options: Unpack[_Options],
) -> SpawnedWorker[ArgT, ResultT]: ...
@overload
def spawned_worker(
    command: None,
    *,
    init: Callable[[CommandRunner], object] | None = None,
    execute: Callable[[CommandRunner, ArgT], ResultT],
    destroy: Callable[[CommandRunner], object] | None = None,
    **options: Unpack[_Options],
) -> SpawnedWorker[ArgT, ResultT]: ...
def spawned_worker(
    command: Command | None,
    *,
    init: Callable[[Any], object] | None = None,
    execute: Callable[[Any, ArgT], Any],
    destroy: Callable[[Any], object] | None = None,
    cwd: Folder | None = None,
    env: Mapping[str, str] | None = None,
    pickled: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    start_timeout: float = START_TIMEOUT,
) -> SpawnedWorker[ArgT, ResultT]:
    """Make any program, in any language, a worker that `WorkerPool(...)` accepts.

    `command` starts the program, as `ParentChannel` does; each worker of the pool has one of its
    own. ``await init(channel)`` runs once after its start and may wait until it says that it is
    ready; ``await execute(channel, argument)`` runs one task, what it returns is the task's result;
    ``await destroy(channel)`` runs once before a graceful end. Each may be a plain function too.
    They run in the pool's worker processes, not in the parent.

    With the command None there is no lasting program and no channel: the handlers get a
    `CommandRunner` in its place, and ``execute(runner, argument)`` runs a command per task.

    `cwd`, `env` and `pickled` are those of `ParentChannel`; `timeout` (seconds) limits each wait on
    the channel, `start_timeout` the start with `init`. What the program prints is seen where the
    pool's workers print.

    A program that ends during a task fails that task with `WorkerCrashed`; then, and when it ends
    between two tasks, its worker ends too (the event ``worker-exited`` says why) and is replaced. One
    that does not answer in time, whose channel breaks, or whose task is cancelled or timed out, is
    killed, as nobody knows what it is doing; its worker starts a new one for the next task. If the
    pool has a `worker_concurrency` above 1, the default for such workers, a program works on several
    tasks at a time; then it is killed when it has done those that it works on beside that one.
    """
    for name, handler in (("init", init), ("execute", execute), ("destroy", destroy)):
        check_callable(name, handler)
    if execute is None:
        raise TypeError("spawned_worker needs execute=, what is called for each task")
    check_seconds("timeout", timeout)
    check_seconds("start_timeout", start_timeout)
    check_pickled(pickled)
    checked_environment(env)
    return SpawnedWorker(
        None if command is None else tuple(checked_command(command)),
        init,
        execute,
        destroy,
        checked_folder(cwd),
        dict(env or {}),
        pickled,
        timeout,
        start_timeout,
    )
