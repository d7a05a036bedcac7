"""The pool for programs without asyncio.

with workpool.sync.WorkerPool(function) as pool:
    result = pool.add_task(argument).result()
"""

from workpool.sync._pool import WorkerPool
from workpool.sync._task import Task
from workpool.sync._worker_handle import WorkerHandle

__all__ = ["Task", "WorkerHandle", "WorkerPool"]
