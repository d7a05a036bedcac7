"""`WorkQueue`, a source of work that is fed by hand."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

from workpool._serialization import brief

T = TypeVar("T")


class WorkQueue(Generic[T]):
    """A source of work that is fed by hand and ends when it is told to.

    Iterate it with ``async for``; every item goes to exactly one of the iterators. The iteration
    waits while the queue is empty, ends after `close` when all items are taken, and raises the
    error given to `throw` at that point instead. Unbounded. It may be fed and ended from any thread.

    No item waits beside a sleeping iterator: that enters itself among the waiters and *then* looks for
    items, while `add` appends them and *then* looks for waiters; so one of the two sees the other.
    """

    def __init__(self, *items: T) -> None:
        self._items: deque[T] = deque(items)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._ending = threading.RLock()  # a finalizer may run while it is held
        self._error: BaseException | None = None

    def add(self, *items: T) -> None:
        """Append items. Raises `RuntimeError` if the queue has been closed."""
        with self._ending:
            if self._closed:
                raise RuntimeError("items were added to a WorkQueue after close() or throw()")
            self._items.extend(items)
        self._wake(len(items))

    def close(self) -> None:
        """Let the iteration end when the items that are in the queue have been taken."""
        with self._ending:
            self._closed = True
        self._wake(len(self._waiters))

    def throw(self, error: BaseException) -> None:
        """As `close`, but the iteration ends by raising `error`.

        Raises `TypeError` if that is no exception, or one that no iteration can be ended with.
        """
        if not isinstance(error, BaseException):
            raise TypeError(f"throw() takes an exception, not {brief(error)}")
        if isinstance(error, StopIteration | StopAsyncIteration):
            raise TypeError(
                f"an iteration cannot raise {brief(error)}, which says that it has ended: use close()"
            )
        self._error = error
        self.close()

    @property
    def closed(self) -> bool:
        """Whether `close` or `throw` has been called."""
        return self._closed

    def __len__(self) -> int:
        """Return how many items wait to be taken."""
        return len(self._items)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<WorkQueue {state}, {len(self)} waiting>"

    def __aiter__(self) -> WorkQueue[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            closed = self._closed  # before the look for items: none comes after that
            try:
                return self._items.popleft()
            except IndexError:
                if closed:
                    raise StopAsyncIteration if self._error is None else self._error from None
            await self._wait()

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._items or self._closed:
            self._wake(1)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake(1)  # the item this one was woken for goes to the next
            raise
        finally:
            with suppress(ValueError):
                self._waiters.remove(waiter)

    def _wake(self, count: int) -> None:
        while count:
            try:
                waiter = self._waiters.popleft()
            except IndexError:
                return
            count -= self._has_woken(waiter)

    def _has_woken(self, waiter: asyncio.Future[None]) -> bool:
        """Wake a waiter; return False if it does not wait any more."""
        if waiter.done():
            return False
        loop = waiter.get_loop()
        if asyncio._get_running_loop() is loop:
            waiter.set_result(None)
            return True
        try:
            loop.call_soon_threadsafe(self._wake_there, waiter)
        except RuntimeError:  # its loop is closed
            return False
        return True

    def _wake_there(self, waiter: asyncio.Future[None]) -> None:
        if not self._has_woken(waiter):
            self._wake(1)  # it was cancelled meanwhile: the item goes to the next
