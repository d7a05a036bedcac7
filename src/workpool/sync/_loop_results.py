"""Results that come from an async iterator in the pool's own thread, for whoever iterates elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from workpool.sync._loop_thread import LoopThread
    from workpool.sync._service import Service

T = TypeVar("T")

_closing: set[asyncio.Task[None]] = set()
"""Event loops themselves hold no task."""


def results_from_loop(
    open_pool: Callable[[], Service], start: Callable[[], AsyncIterator[T]]
) -> Generator[T]:
    """Start an async iterator in the pool's thread when the first result is asked for; hand on its results.

    For sources that are async: such a source is read there while the consumer waits here, so that a
    result that is there need not wait for the source's next item.
    """
    thread = open_pool().thread
    thread.check_may_wait("to iterate over an async source")
    results = thread.ask(start)

    async def take() -> T:
        return await anext(results)

    try:
        while True:
            thread.check_may_wait("to iterate over an async source")
            try:
                result = thread.ask_async(take)
            except StopAsyncIteration:
                return
            yield result
            del result
    finally:  # in any thread, when this is collected
        _close_soon(thread, cast("AsyncGenerator[T, None]", results))


def items_of(lists: Generator[list[T]]) -> Generator[T]:
    """Hand on the items of lists that come together, to whoever wants them one by one."""
    try:
        for items in lists:
            yield from items
    finally:
        lists.close()


def _close_soon(thread: LoopThread, results: AsyncGenerator[T, None]) -> None:
    # Where the loop has ended, it has closed them itself; then this is called in any thread.
    async def close() -> None:
        with suppress(RuntimeError):  # an interrupted wait ends it already
            await results.aclose()

    def start() -> None:
        if not thread.is_running_here:
            return
        _closing.add(task := asyncio.ensure_future(close()))
        task.add_done_callback(_closing.discard)

    thread.post(start)
