"""An event loop in a thread of its own, and the one way into it.

All of a pool's engine runs in this thread; nothing of it is locked, because nobody else touches it.
Other threads append what they want done to a deque and wake the loop through an eventfd, once per
burst: who finds that it has been woken already leaves it at that.

No item is forgotten. Whoever appends looks at `_woken` *after* that; the loop takes `_woken` back
*before* it looks into the deque. So either the loop finds the item, or the one who appended it finds
that the loop must be woken.

One thread per pool, not one for all: a listener that blocks holds up its own pool alone, and the
thread ends with the pool. It costs 0.1 ms and five descriptors.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from threading import get_ident
from typing import Any, TypeVar

from workpool.errors import PoolClosed

T = TypeVar("T")

_LOOP_DESCRIPTORS = 3  # an epoll and a socket pair

_MOST_AT_ONCE = 512
"""Items handled before the event loop has a turn, so that results are read while a burst comes in."""


class LoopThread:
    """Runs an event loop until it is told to `end`.

    In the loop's thread, `take` handles every item that is not a function, and `refuse` those that
    come too late. Both, and functions, may not be called from within the engine: they have a turn of
    their own.
    """

    def __init__(
        self, name: str, take: Callable[[Any], None], refuse: Callable[[Any], None]
    ) -> None:
        self.name = name
        self.ended = threading.Event()
        """Set when the loop has ended, and in a forked child, which does not have it."""
        self._take = take
        self._refuse = refuse
        self._items: deque[Any] = deque()
        self._woken = True
        self._closed = False
        self._forgotten = False
        self._failure: BaseException | None = None
        self._lock = threading.Lock()  # held to write to the descriptor, and to close it
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._over: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"workpool-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread. Raises `RuntimeError` where none can be started."""
        try:
            self._thread.start()
        except BaseException:
            self._close()
            raise

    # From any thread

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return get_ident() == self._thread.ident

    @property
    def is_running_here(self) -> bool:
        """Whether the caller runs in the loop, as what was posted does, unless that came too late."""
        return self.is_current and asyncio._get_running_loop() is not None

    def post(self, item: Any) -> None:
        """Have an item handled, or a function called, in the loop's thread. Never blocks."""
        self._items.append(item)
        if not self._woken:
            self._wake()

    def ask(self, function: Callable[[], T]) -> T:
        """Call a function in the loop's thread; return, or raise, what it does."""
        if self.is_current:
            return function()
        question = _Question(function)
        self.post(question)
        answer: T = question.answer.result()
        return answer

    def ask_async(
        self, function: Callable[[], Coroutine[Any, Any, T]], timeout: float | None = None
    ) -> T:
        """Run a coroutine function in the loop; return, or raise, what it does.

        Raises `TimeoutError` after so many seconds. That, and whatever else ends the wait (a
        `KeyboardInterrupt`, say), cancels the coroutine.
        """
        question = _AsyncQuestion(function)
        self.post(question)
        try:
            answer: T = question.answer.result(timeout)
        except BaseException:
            self.post(question.cancel)
            raise
        return answer

    def check_may_wait(self, what: str) -> None:
        """Raise `RuntimeError` where a wait could never end."""
        if self.is_current:
            raise RuntimeError(
                f"{what} would wait for itself: this is the pool's own thread, in which listeners, "
                "message handlers and done callbacks are called. Let another thread wait."
            )
        if self._forgotten:
            raise RuntimeError(
                f"{what} would never end: the pool {self.name!r} belongs to the parent process"
            )

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, or so many seconds."""
        if self.ended.wait(timeout) and self._thread.ident is not None:
            self._thread.join(timeout)

    # In the loop's thread

    def end(self) -> None:
        """End the loop after this turn."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _run(self) -> None:
        try:
            self._check_descriptors()
            with asyncio.Runner() as runner:
                self._run_to_end(runner.get_loop())
        except BaseException as error:  # noqa: BLE001 - no descriptor for the loop, say
            self._failure = error
        self._close()

    def _run_to_end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop. `SystemExit` and `KeyboardInterrupt` leave it; what raised them is the user's."""
        serving = loop.create_task(self._serve())
        while not serving.done():
            try:
                loop.run_until_complete(serving)
            except (SystemExit, KeyboardInterrupt) as error:
                if not _is_of_task(error):
                    message = f"workpool {self.name!r}: a function in the pool's own thread raised"
                    loop.call_exception_handler({"message": message, "exception": error})
        serving.result()

    def _check_descriptors(self) -> None:
        """Raise `OSError` if a loop could not be made: asyncio leaves one half made, with warnings."""
        with ExitStack() as spare:
            for _ in range(_LOOP_DESCRIPTORS):
                spare.callback(os.close, os.dup(self._descriptor))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        loop.add_reader(self._descriptor, self._on_wake)
        self._handle_items()
        try:
            await self._over
        finally:
            loop.remove_reader(self._descriptor)

    def _on_wake(self) -> None:
        with suppress(BlockingIOError):  # a loop that was left in its turn may call twice
            os.eventfd_read(self._descriptor)
        self._handle_items()

    def _handle_items(self) -> None:
        self._woken = False
        items, take = self._items, self._take
        for _ in range(min(len(items), _MOST_AT_ONCE)):
            item = items.popleft()  # there is one: nobody else takes any
            if callable(item):
                self._call(item)
            else:
                take(item)
            del item  # or it would live until the next one comes
        if items and not self._woken:
            self._wake()

    def _call(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            logging.getLogger("workpool").error(
                "pool %r: %r raised", self.name, function, exc_info=error
            )

    # Inside

    def _wake(self) -> None:
        try:
            self._woken = True
            with self._lock:
                if not self._closed:
                    os.eventfd_write(self._descriptor, 1)
                    return
        except BaseException:  # an interrupt: whoever comes next must not take it for done
            self._woken = False
            raise
        self._refuse_items()

    def _close(self) -> None:
        """Let go of the descriptor, and refuse what has come too late."""
        with self._lock:
            self._closed = True
            os.close(self._descriptor)
        self._refuse_items()
        self.ended.set()

    def _refuse_items(self) -> None:
        self._woken = False  # who comes later refuses what he brings
        while True:
            try:
                item = self._items.popleft()
            except IndexError:
                return
            if isinstance(item, _Question):
                item.refuse(self._failure or PoolClosed(f"the pool {self.name!r} has been closed"))
            elif callable(item):
                self._call(item)
            else:
                self._refuse(item)

    def forget(self) -> None:
        """In a forked child, which does not have the thread: let go of everything."""
        self._forgotten = True
        self._lock = threading.Lock()
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)
        self._items.clear()
        self._woken = False
        self.ended = threading.Event()
        self.ended.set()


def _is_of_task(error: BaseException) -> bool:
    """Whether an exception that has left the loop was raised in an asyncio task, which has kept it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not asyncio.Handle._run.__code__:
        trace = trace.tb_next
    first = None if trace is None else trace.tb_next
    return first is not None and bool(first.tb_frame.f_code.co_flags & inspect.CO_COROUTINE)


class _Question:
    """A function whose outcome another thread waits for."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.answer: Future[Any] = Future()
        self._function = function

    def __call__(self) -> None:
        try:
            answer = self._function()
        except BaseException as error:  # noqa: BLE001 - it belongs to who asked
            self.answer.set_exception(error)
        else:
            self.answer.set_result(answer)

    def refuse(self, error: BaseException) -> None:
        """Answer in the place of a loop that has ended."""
        self.answer.set_exception(error)


class _AsyncQuestion(_Question):
    """A coroutine function whose outcome another thread waits for."""

    _task: asyncio.Task[Any] | None = None

    def __call__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._function())
        self._task.add_done_callback(self._on_done)

    def cancel(self) -> None:
        """End the coroutine: nobody waits for it any more."""
        if self._task is not None:
            self._task.cancel()

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.answer.set_exception(PoolClosed("the pool was closed before this came to its end"))
        elif (error := task.exception()) is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(task.result())
