"""Reading and writing descriptors from a thread of their own.

Files, pipes, terminals and sockets have no common way not to block, and a flag that makes one
non-blocking would do so for every program that shares it. So a daemon thread blocks, and the event
loop never does. The interpreter does not wait for such a thread when it ends.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from queue import SimpleQueue

__all__ = ["ChunkReader", "LineWriter"]

# What a pipe holds by default: one read empties a full one.
CHUNK_BYTES = 64 * 1024

# One write: large enough to make the system call's cost vanish, small enough that room in the
# window is given back steadily while a slow consumer reads.
WRITE_BYTES = 256 * 1024


class ChunkReader:
    """Read a descriptor chunk by chunk, and only when asked: nothing is read ahead.

    The reader closes the descriptor: at its end, after an error, or when told to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._wanted: SimpleQueue[asyncio.Future[bytes] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name="workpool-reader", daemon=True).start()

    async def read(self) -> bytes:
        """Return the next bytes as soon as there are any; no bytes at the end. Raises OSError.

        After a cancelled read the reader must not be used again: what it reads is lost.
        """
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._wanted.put(answer)
        return await answer

    def close(self) -> None:
        """Let the thread end, as soon as a read that is under way returns. Does not block."""
        self._wanted.put(None)

    def _serve(self) -> None:
        try:
            while (answer := self._wanted.get()) is not None:
                chunk = _read(self._descriptor)
                _tell(self._loop, _succeed, answer, chunk)
                if not chunk:
                    return
        except OSError as error:
            _tell(self._loop, _fail, answer, error)
        finally:
            os.close(self._descriptor)


class LineWriter:
    """Write lines to a descriptor in the order in which they were put.

    A line is written as soon as the thread is free, and lines that come while it writes go out
    together: slow results appear one by one, fast ones in batches, with no timer and no setting.

    Each write happens inside `around()`. After one has failed nothing more is written.
    """

    def __init__(
        self, descriptor: int, *, around: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._descriptor = descriptor
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._batches: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._pending: list[bytes] = []
        self._unwritten = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed = False
        threading.Thread(target=self._serve, name="workpool-writer", daemon=True).start()

    def report_to(
        self, on_written: Callable[[int, int], None], on_error: Callable[[OSError], None]
    ) -> None:
        """Have `on_written(lines, size)` called in the loop after each write.

        And `on_error(error)` once, when a write fails. To be called before the first `put`.
        """
        self._on_written = on_written
        self._on_error = on_error

    def put(self, lines: list[bytes]) -> None:
        """Have lines written; does not block. What is put after an error is dropped."""
        if self._failed or not lines:
            return
        if not self._unwritten:
            self._idle.clear()
            # Not now: other tasks that end in this turn of the loop join the same write.
            self._loop.call_soon(self._hand_over)
        self._unwritten += len(lines)
        self._pending += lines

    async def flush(self) -> None:
        """Return when everything that was put has been written, or writing has failed."""
        await self._idle.wait()

    def close(self) -> None:
        """Let the thread end, as soon as a write that is under way returns. Does not block."""
        self._batches.put(None)

    def _hand_over(self) -> None:
        size = count = 0
        for line in self._pending:
            size += len(line)
            count += 1
            if size >= WRITE_BYTES:
                break
        batch, self._pending = self._pending[:count], self._pending[count:]
        self._batches.put(batch)

    def _serve(self) -> None:
        while (batch := self._batches.get()) is not None:
            data = b"".join(batch)
            try:
                with self._around():
                    _write(self._descriptor, data)
            except OSError as error:
                _tell(self._loop, self._note_error, error)
                return
            _tell(self._loop, self._note_written, len(batch), len(data))

    def _note_written(self, lines: int, size: int) -> None:
        self._unwritten -= lines
        if self._pending:
            self._hand_over()
        if not self._unwritten:
            self._idle.set()
        self._on_written(lines, size)

    def _note_error(self, error: OSError) -> None:
        self._failed = True
        self._pending = []
        self._idle.set()
        self._on_error(error)


def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:  # somebody made the shared descriptor non-blocking
            select.select([descriptor], [], [])


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def _tell(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *arguments: object
) -> None:
    """Call back in the event loop, if it is still there."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *arguments)


def _succeed(answer: asyncio.Future[bytes], chunk: bytes) -> None:
    if not answer.done():
        answer.set_result(chunk)


def _fail(answer: asyncio.Future[bytes], error: OSError) -> None:
    if not answer.done():
        answer.set_exception(error)
