"""workpool: a work-stealing pool of worker processes for Python, asyncio first.

    async with WorkerPool(function) as pool:
        result = await pool.add_task(argument)

Names are imported when they are first used: a worker process imports this package too, and must
not pay for the pool's side.
"""

from __future__ import annotations

import sys

if sys.platform != "linux":
    raise ImportError(
        f"workpool runs on Linux only, not on {sys.platform}: it is built on memfd, pidfd and other "
        "things that only Linux has. On Windows it works under WSL 2."
    )

TYPE_CHECKING = False
if TYPE_CHECKING:
    from workpool._entrypoint import Entrypoint, EntrypointFunction, entrypoint
    from workpool._forked_template import ForkedTemplate, fork_template
    from workpool._pool import WorkerPool
    from workpool._progress import CompletionEvent, ErrorEvent, ProcessSummary, Progress
    from workpool._retry_policy import RetryPolicy
    from workpool._shared import Shared, share
    from workpool._statistics import PoolStatistics, WorkerStatistics
    from workpool._task import Task
    from workpool._work_queue import WorkQueue
    from workpool._worker.client import TaskInfo, WorkerClient
    from workpool._worker_crashed import WorkerCrashed
    from workpool._worker_handle import WorkerHandle
    from workpool.channels import spawned_worker
    from workpool.errors import (
        ChannelClosed,
        ChannelFull,
        ChannelTimeout,
        CommandFailed,
        EntrypointError,
        InternalError,
        PoolClosed,
        RequestFailed,
        SerializationError,
        TaskCancelled,
        TaskTimeout,
        WorkerStartError,
        WorkerTraceback,
        WorkpoolError,
    )
    from workpool.executor import Executor

__version__ = "0.1.0"

__all__ = [
    "ChannelClosed",
    "ChannelFull",
    "ChannelTimeout",
    "CommandFailed",
    "CompletionEvent",
    "Entrypoint",
    "EntrypointError",
    "EntrypointFunction",
    "ErrorEvent",
    "Executor",
    "ForkedTemplate",
    "InternalError",
    "PoolClosed",
    "PoolStatistics",
    "ProcessSummary",
    "Progress",
    "RequestFailed",
    "RetryPolicy",
    "SerializationError",
    "Shared",
    "Task",
    "TaskCancelled",
    "TaskInfo",
    "TaskTimeout",
    "WorkQueue",
    "WorkerClient",
    "WorkerCrashed",
    "WorkerHandle",
    "WorkerPool",
    "WorkerStartError",
    "WorkerStatistics",
    "WorkerTraceback",
    "WorkpoolError",
    "entrypoint",
    "fork_template",
    "share",
    "spawned_worker",
]

_HOMES = {
    "CompletionEvent": "_progress",
    "Entrypoint": "_entrypoint",
    "EntrypointFunction": "_entrypoint",
    "ErrorEvent": "_progress",
    "Executor": "executor",
    "ForkedTemplate": "_forked_template",
    "PoolStatistics": "_statistics",
    "ProcessSummary": "_progress",
    "Progress": "_progress",
    "RetryPolicy": "_retry_policy",
    "Shared": "_shared",
    "Task": "_task",
    "TaskInfo": "_worker.client",
    "WorkQueue": "_work_queue",
    "WorkerClient": "_worker.client",
    "WorkerHandle": "_worker_handle",
    "WorkerPool": "_pool",
    "WorkerStatistics": "_statistics",
    "entrypoint": "_entrypoint",
    "fork_template": "_forked_template",
    "share": "_shared",
    "spawned_worker": "channels",
}


_MODULES = ("channels", "errors", "executor", "joblib", "sync")


def __getattr__(name: str) -> object:
    if name not in __all__ and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    # Not kept here: whoever drops modules and imports them again, as pytest's own test tool does, would
    # get an old class beside new ones.
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
