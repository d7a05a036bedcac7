"""The asyncio pool in its thread: what a blocking pool and its tasks are served by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from workpool._pool import WorkerPool as AsyncioPool
from workpool.errors import PoolClosed
from workpool.sync import _exit
from workpool.sync._loop_thread import LoopThread
from workpool.sync._task import Task
from workpool.sync._worker_handle import WorkerHandle


class Service:
    """Runs an asyncio pool in a thread, which ends when the pool has closed.

    Does not know the blocking pool, so that one that nobody holds can be collected.
    """

    def __init__(self, pool: AsyncioPool[Any, Any], *, finishes_at_exit: bool) -> None:
        self.pool = pool
        self.open = True
        """Whether it takes tasks; False once it was told to end, and in a forked child."""
        self.finishes_at_exit = finishes_at_exit
        self.thread = LoopThread(pool.name, pool._adopt, self._refuse)
        pool._new_handle = partial(WorkerHandle, self.thread)
        self._closing: asyncio.Task[None] | None = None
        self._ended = False

    def start(self) -> Callable[[], int]:
        """Start thread and pool; return what gives new task ids, from any thread."""
        _exit.enter(self)
        self.thread.start()
        try:
            return self.thread.ask(self._open)
        except BaseException:
            self.thread.post(self.abandon)
            self.thread.wait()
            raise

    # In the loop's thread

    def _open(self) -> Callable[[], int]:
        new_id = self.pool._open()
        assert self.pool._engine is not None
        self.pool._engine.announcer.caught = BaseException  # nobody's `sys.exit()` ends this thread
        return new_id

    def finish(self) -> None:
        """Close the pool gracefully, then end."""
        if self._closing is None and not self._ended:
            self._closing = asyncio.get_running_loop().create_task(self._close())

    def cancel_and_finish(self) -> None:
        """As `finish`, but cancel what is pending."""
        self.pool._cancel_pending()
        self.finish()

    def cancel_unbegun_and_finish(self) -> None:
        """As `finish`, but cancel what no worker has begun."""
        self.pool._cancel_pending(spares_begun=True)
        self.finish()

    def kill(self) -> None:
        """Kill the pool, then end."""
        self.pool.kill()
        self._end()

    def abandon(self) -> None:
        """Let everything go as if this process had ended, then end."""
        for task in self.pool._abandon():
            self._refuse(task)
        self._end()

    def account_cancelled(self, task: Task[Any]) -> None:
        """Count a task that was cancelled, and interrupt it if it runs."""
        if not task._accounted:
            task._accounted = True
            self.pool._count_cancelled(task)
        task._notify_cancelled()

    async def _close(self) -> None:
        try:
            await self.pool.aclose()
        finally:
            self._end()

    def _end(self) -> None:
        self.open = False
        self._ended = True
        _exit.leave(self)
        self.thread.end()

    def _refuse(self, task: Task[Any]) -> None:
        task._set_exception(PoolClosed(f"the pool {self.pool.name!r} ended before this task"))
