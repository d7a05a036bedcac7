"""How a pool ends: gracefully, at once, or with the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from workpool._waiters import Waiters
from workpool.errors import PoolClosed

if TYPE_CHECKING:
    from workpool._engine import Engine

OPEN, CLOSING, CLOSED = "open", "closing", "closed"
"""The states of an engine, in this order."""


class Ending:
    """Brings an engine from open to closed."""

    def __init__(self, engine: Engine) -> None:
        self.is_hurried = False
        """Whether workers that have not even started get less time to end: see `Fleet.stop_all`."""
        self.on_stopping: Callable[[], asyncio.Future[None] | None] = lambda: None
        """Called once, when the last task is done and the workers are about to be stopped; the close
        waits for what it returns."""
        self.is_over = False
        """Whether no task is pending and none can be added any more."""
        self.on_over: set[Callable[[], None]] = set()
        """Called when that is so."""
        self._engine = engine
        self._stopping: asyncio.Future[None] | None = None
        self._waiters = Waiters(engine.loop)

    def begin(self) -> None:
        """Take no more tasks; when the last is done, end the workers gracefully."""
        if self._engine.state == OPEN:
            self._engine.state = CLOSING
            if not self._engine.outcomes.pending:
                self._stop_workers()

    def on_idle(self) -> None:
        """Note that no task is pending any more."""
        if self._engine.state == CLOSING:
            self._stop_workers()

    def finish(self) -> None:
        """End the close if nothing is left to wait for."""
        engine = self._engine
        stopping = self._stopping is not None and not self._stopping.done()
        if engine.state == CLOSING and not stopping and engine.fleet.all_gone:
            engine.state = CLOSED
            engine.ledger.dispatched.clear()  # of cancelled tasks, whose workers have ended
            engine.dispatcher.close()
            self._waiters.release()

    async def wait(self) -> None:
        """Wait until what `begin` has begun has come to its end."""
        while self._engine.state != CLOSED:
            await self._waiters.wait()

    def kill(self) -> None:
        """End everything at once. Pending tasks fail with `PoolClosed`."""
        engine = self._engine
        if engine.state == CLOSED:
            return
        engine.state = CLOSED
        engine.fleet.kill_all()
        pending = engine.take_pending()
        engine.ledger.dispatched.clear()
        engine.dispatcher.close()
        if engine.loop.is_closed():
            return
        for task in pending:
            message = f"the pool {engine.options.name!r} was killed before this task ended"
            engine.outcomes.fail(task, PoolClosed(message))
        self._waiters.release()
        self._tell_over()

    def abandon(self) -> None:
        """Let everything go as if this process had ended; see `Fleet.abandon`."""
        if self._engine.state != CLOSED:
            self._engine.state = CLOSED
            self._engine.fleet.abandon()
            self._engine.dispatcher.close()

    def let_go_in_child(self) -> None:
        """In a forked child: let go of descriptors without touching the workers."""
        if self._engine.state != CLOSED:
            self._engine.state = CLOSED
            self._engine.fleet.let_go_in_child()
            self._engine.dispatcher.close()

    def _tell_over(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        for function in tuple(self.on_over):
            function()

    def _stop_workers(self) -> None:
        self._tell_over()
        self._stopping = self.on_stopping()
        if self._stopping is not None:
            self._stopping.add_done_callback(lambda _: self.finish())
        self._engine.fleet.stop_all(hurried=self.is_hurried)
        self.finish()
