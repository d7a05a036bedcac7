"""The event loop as the futures of a pool see it, which calls back those who wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

Callback = Callable[["asyncio.Future[Any]"], object]


class TaskLoop:
    """Stands for an event loop in futures of which many end together.

    Their callbacks run as those of any future do, in the order they were scheduled in, each in its
    context. But those scheduled within `together` share one handle of the event loop: a handle for
    each, and its way through the loop, took a quarter of what a gathered task costs. In the loop's
    debug mode each has its own, to be timed by.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.real = loop
        self.get_debug = loop.get_debug
        self.call_exception_handler = loop.call_exception_handler
        self.call_soon: Callable[..., object] = loop.call_soon
        self._scheduled: list[Any] = []
        add = self._scheduled.extend

        def schedule(callback: Callback, future: asyncio.Future[Any], *, context: Context) -> None:
            add((callback, future, context))

        self._schedule = schedule

    @contextmanager
    def together(self) -> Iterator[None]:
        """Call back for all futures that end within this with one handle, made at its end."""
        if self.get_debug():
            yield
            return
        self.call_soon = self._schedule
        try:
            yield
        finally:
            self.call_soon = self.real.call_soon
            if self._scheduled:
                flat = iter(self._scheduled.copy())
                self._scheduled.clear()
                self.call_soon(self._run, zip(flat, flat, flat, strict=True))

    def _run(self, calls: Iterator[tuple[Callback, asyncio.Future[Any], Context]]) -> None:
        for callback, future, context in calls:
            try:
                context.run(callback, future)
            except (KeyboardInterrupt, SystemExit):
                self.real.call_soon(self._run, calls)  # the others, if the loop goes on
                raise
            except BaseException as error:  # noqa: BLE001 - as from any handle
                self.call_exception_handler(
                    {
                        "message": f"Exception in callback {callback!r} of {future!r}",
                        "exception": error,
                    }
                )
