"""Who listens on a channel for what, and the handlers that are at work."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from workpool._messages import Listeners
from workpool.channels._lines import Message
from workpool.channels._responder import Responder

HELD_LIMIT = 1 << 24
"""Bytes that may be held for handlers and answers before no more is read: as much as one line by
default."""

_TASK_BYTES = 1 << 11
"""What a handler at work costs beside its content, about: a coroutine and its task."""


class Handlers:
    """Calls handlers in the order of the messages; async ones go on as tasks."""

    on_start: Callable[[], None]
    """Called when an async handler has been given to the event loop."""
    on_relief: Callable[[], None]
    """Called when they were full and are not any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, responder: Responder) -> None:
        self.listeners = Listeners()
        self._loop = loop
        self._responder = responder
        self._types: dict[str, None] = {}
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def are_full(self) -> bool:
        """Whether so much is held that no more should be read."""
        return self._held > HELD_LIMIT

    def add(self, kind: str, handler: Callable[[Any], Any]) -> None:
        """Register a handler; registering it twice calls it twice."""
        self.listeners.add(kind, handler)
        self._types[kind] = None

    def types(self) -> list[str]:
        """Return the types that somebody listens for."""
        return [kind for kind in self._types if self.listeners.of(kind)]

    def handle(self, message: Message, content: Any, size: int) -> bool:
        """Call everybody who listens for this type, the first for the answer; False if nobody does.

        `size` is that of the line, which counts as held until the last of them is done.
        """
        asked: Message | None = message
        handlers = self.listeners.of(message.type)
        for handler in handlers:
            self._call(handler, content, message, asked, size)
            asked = None
        return bool(handlers)

    def later(self, work: Coroutine[Any, Any, None], size: int) -> None:
        """Do some work in a task of its own, and hold so many bytes until it is done."""
        size += _TASK_BYTES
        self._held += size
        task = self._loop.create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            was_full = self.are_full()
            self._held -= size
            if was_full and not self.are_full():
                self.on_relief()
            if not task.cancelled():
                task.exception()  # an exit, which the event loop has raised already

        task.add_done_callback(done)

    def cancel(self) -> None:
        """Cancel what is at work, but not the handler this is called from."""
        try:
            current = asyncio.current_task()
        except RuntimeError:
            current = None
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _call(
        self,
        handler: Callable[[Any], Any],
        content: Any,
        message: Message,
        asked: Message | None,
        size: int,
    ) -> None:
        try:
            result = handler(content)
        except Exception as error:  # noqa: BLE001 - the asker, or the event loop, is told
            self._failed(message, asked, error)
            return
        if inspect.isawaitable(result):
            self.later(self._finish(result, message, asked), size)
            self.on_start()
        elif asked is not None:
            self._responder.answer(asked, result)

    async def _finish(
        self, result: Awaitable[Any], message: Message, asked: Message | None
    ) -> None:
        try:
            content = await result
        except asyncio.CancelledError as error:
            self._failed(message, asked, error)
            raise
        except Exception as error:  # noqa: BLE001 - the asker, or the event loop, is told
            self._failed(message, asked, error)
        else:
            if asked is not None:
                self._responder.answer(asked, content)

    def _failed(self, message: Message, asked: Message | None, error: BaseException) -> None:
        if asked is not None and asked.number is not None:
            self._responder.fail(asked, error)
        elif isinstance(error, Exception):
            self._loop.call_exception_handler(
                {
                    "message": f"workpool: a handler of the channel message {message.type!r} raised",
                    "exception": error,
                }
            )
