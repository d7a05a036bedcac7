"""`WorkQueue`, a source of work that is fed by hand."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class WorkQueue(Generic[T]):
    """A source of work that is fed by hand and ends when it is told to.

    Iterate it with ``async for``; every item goes to exactly one of the iterators. The iteration
    waits while the queue is empty, ends after `close` when all items are taken, and raises the
    error given to `throw` at that point instead. Unbounded. To be used from the event loop's
    thread only; from another one, ``loop.call_soon_threadsafe(queue.add, item)``.
    """

    def __init__(self, *items: T) -> None:
        self._items: deque[T] = deque(items)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._error: BaseException | None = None

    def add(self, *items: T) -> None:
        """Append items. Raises `RuntimeError` if the queue has been closed."""
        if self._closed:
            raise RuntimeError("items were added to a WorkQueue after close() or throw()")
        self._items.extend(items)
        self._wake(len(items))

    def close(self) -> None:
        """Let the iteration end when the items that are in the queue have been taken."""
        self._closed = True
        self._wake(len(self._waiters))

    def throw(self, error: BaseException) -> None:
        """As `close`, but the iteration ends by raising `error`."""
        self._error = error
        self.close()

    @property
    def closed(self) -> bool:
        """Whether `close` or `throw` has been called."""
        return self._closed

    def __len__(self) -> int:
        """Return how many items wait to be taken."""
        return len(self._items)

    def __aiter__(self) -> WorkQueue[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            await self._wait()
        return self._items.popleft()

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake(1)  # the item this one was woken for goes to the next
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self, count: int) -> None:
        while count and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
