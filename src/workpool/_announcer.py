"""Telling the pool's user: listeners of events and messages, and what went wrong in them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from workpool._messages import Listeners


class Announcer:
    """Calls the user's listeners. What they raise goes to the event loop's exception handler.

    `SystemExit` and the like end the loop, as from any callback, unless `caught` says otherwise.

    Never from within: what is to be told waits, in its order, for the event loop's next turn. So a
    listener may do anything, add tasks or kill the pool, and finds the pool's accounts in order.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool_name: str,
        messages: Listeners,
        events: Listeners,
    ) -> None:
        self.caught: type[BaseException] = Exception
        self._loop = loop
        self._pool_name = pool_name
        self._messages = messages
        self._events = events
        self._running: set[asyncio.Future[Any]] = set()
        self._due: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def has_listeners(self, event: str) -> bool:
        """Whether anybody listens for an event."""
        return bool(self._events.of(event))

    def emit(self, event: str, *details: Any) -> None:
        """Tell the listeners of an event."""
        for listener in self._events.of(event):
            self._call_soon(listener, details)

    def deliver(self, kind: str, content: Any, origin: Any) -> None:
        """Tell the listeners for a message."""
        for handler in self._messages.of(kind):
            self._call_soon(handler, (content, origin))

    def call(self, handler: Callable[..., Any], *details: Any) -> None:
        """Call a handler, sync or async."""
        try:
            result = handler(*details)
        except self.caught as error:  # the user's handler must not stop the pool
            self.report_exception(f"{handler!r} raised", error)
            return
        if asyncio.iscoroutine(result):
            if self._loop.is_closed():
                result.close()
                return
            running = self._loop.create_task(result)
            self._running.add(running)
            running.add_done_callback(partial(self._ended, handler))

    def report_exception(self, message: str, error: BaseException) -> None:
        """Hand an exception nobody awaits to the event loop's exception handler."""
        context = {"message": f"workpool {self._pool_name!r}: {message}", "exception": error}
        self._loop.call_exception_handler(context)

    def _call_soon(self, handler: Callable[..., Any], details: tuple[Any, ...]) -> None:
        self._due.append((handler, details))
        if self._loop.is_closed():
            self._call_due()
        elif len(self._due) == 1:
            self._loop.call_soon(self._call_due)

    def _call_due(self) -> None:
        while self._due:
            handler, details = self._due.popleft()
            try:
                self.call(handler, *details)
            except BaseException:  # SystemExit, say: it ends the loop, not what others are told
                if self._due and not self._loop.is_closed():
                    self._loop.call_soon(self._call_due)
                raise

    def _ended(self, handler: Callable[..., Any], running: asyncio.Future[Any]) -> None:
        self._running.discard(running)
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self.report_exception(f"{handler!r} raised", error)
