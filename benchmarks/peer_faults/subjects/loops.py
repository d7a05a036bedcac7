"""What pools have in common that are used from asyncio."""

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import Any

from benchmarks.peer_faults.subjects.base import Experiment, Hook, Outcome, Subject
from benchmarks.peer_faults.tasks import Order


class AsyncioSubject(Subject):
    """The loop runs in the main thread, the experiment in another one.

    Each task is awaited by an asyncio task of its own; to cancel it is to cancel that one, and a
    time limit is `asyncio.timeout`, where the pool has none of its own.
    """

    @abstractmethod
    def pool(self, hook: Hook | None) -> "contextlib.AbstractAsyncContextManager[Any]":
        """Return the block in which the pool lives."""

    @abstractmethod
    async def call(self, order: Order) -> Any:
        """Run one task."""

    async def call_within(self, order: Order, seconds: float) -> Any:
        """Run one task with a time limit."""
        async with asyncio.timeout(seconds):
            return await self.call(order)

    def conduct(self, experiment: Experiment, hook: Hook | None) -> None:
        """Run the loop."""
        asyncio.run(self._conduct(experiment, hook))

    def add(self, order: Order, seconds: float | None) -> Outcome:
        """Start the asyncio task that awaits it."""
        outcome: Outcome = Future()
        call = self.call(order) if seconds is None else self.call_within(order, seconds)
        self._loop.call_soon_threadsafe(self._start, outcome, call)
        return outcome

    def cancel(self, outcome: Outcome) -> None:
        """Cancel that asyncio task."""
        self._loop.call_soon_threadsafe(self._cancel, outcome)

    async def _conduct(self, experiment: Experiment, hook: Hook | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[Outcome, asyncio.Task[None]] = {}
        async with self.pool(hook):
            await asyncio.to_thread(experiment, self)

    def _start(self, outcome: Outcome, call: Awaitable[Any]) -> None:
        self._tasks[outcome] = self._loop.create_task(self._serve(outcome, call))

    def _cancel(self, outcome: Outcome) -> None:
        if outcome in self._tasks:
            self._tasks[outcome].cancel()

    async def _serve(self, outcome: Outcome, call: Awaitable[Any]) -> None:
        """Keep what comes of a call, whatever it is."""
        try:
            outcome.set_result(await call)
        except BaseException as error:  # noqa: BLE001 - an outcome too; asyncio would pass some on
            outcome.set_exception(error)
        finally:
            # An error's traceback may hold a worker's descriptors: nobody here may keep it.
            del self._tasks[outcome]
