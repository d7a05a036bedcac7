"""One job: inputs go into the pool as there is room, lines come out in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import NamedTuple, Protocol

from workpool.cli._encoding import ResultNotJSONError, encode_error, encode_result
from workpool.cli._errors import InputError
from workpool.cli._records import Record
from workpool.cli._window import Window
from workpool.errors import EntrypointError, WorkerStartError

_NOT_FINISHED = "the job was interrupted before this input was finished"

__all__ = ["Failure", "InvalidInputError", "Job", "NotFinishedError", "Pool"]


class Pool(Protocol):
    """What a job needs of a `workpool.WorkerPool`."""

    def add_task(self, arg: object) -> asyncio.Future[object]:
        """Run the entrypoint with `arg`."""


class InvalidInputError(Exception):
    """An input that was not what `--json` promised."""


class NotFinishedError(Exception):
    """Stands for a task that was under way when the job was interrupted."""


class Failure(NamedTuple):
    """The input whose failure ended the job, and what it failed with."""

    record: Record
    error: BaseException


class Job:
    """Run every input of a source through a pool.

    Single-threaded: all methods are called in the event loop. `write(lines)` must not block;
    `note_written` has to be called for what it has written.

    The first failure ends the job, unless `keep_going`, and unless the entrypoint or its start hook
    is what fails. In ordered mode the outcome is then that of
    working on one input after the other: what comes after the failed input is cancelled and not
    written, what comes before it is finished and written, and if it fails too, it is the failure
    that counts. Unordered, everything under way is cancelled at once.
    """

    def __init__(
        self,
        pool: Pool,
        window: Window,
        write: Callable[[list[bytes]], None],
        *,
        ordered: bool,
        keep_going: bool,
    ) -> None:
        self._pool = pool
        self._window = window
        self._write = write
        self._ordered = ordered
        self._keep_going = keep_going
        self._running: dict[int, tuple[asyncio.Future[object] | None, Record]] = {}
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self._exhausted = False
        self._stop_at: int | None = None
        self.finished = 0
        self.failed = 0
        self.unfinished = 0
        self.failure: Failure | None = None
        self.fatal: Exception | None = None

    @property
    def total(self) -> int | None:
        """How many inputs there are, once all of them have been read."""
        return self._window.admitted if self._exhausted else None

    async def run(self, batches: AsyncIterator[list[Record]]) -> None:
        """Work until all is written, or a failure, `abort` or `interrupt` ends it."""
        feeding = asyncio.ensure_future(self._feed(batches))
        feeding.add_done_callback(self._note_exhausted)
        await self._ended.wait()
        feeding.cancel()
        await asyncio.wait([feeding])

    def note_written(self, lines: int, size: int) -> None:
        """Give the window back what has left the program."""
        self._window.written(lines, size)
        if self._window.is_half_empty():
            self._room.set()
        self._end_if_done()

    def abort(self, reason: Exception) -> None:
        """End at once: nothing that could still happen would help."""
        if not self._ended.is_set():
            self.fatal = reason
            self._cut(0)
            self._ended.set()

    def interrupt(self) -> None:
        """End at once, but write what is done, in order, also what waits for an earlier input.

        With `keep_going` every input has its line, so the unfinished ones among them get an error
        record.
        """
        if self._ended.is_set():
            return
        self.unfinished = len(self._running)
        gaps = self._window.gaps() if self._keep_going else []
        for index in gaps:
            line = encode_error(NotFinishedError(_NOT_FINISHED), self._running[index][1].value)
            self._write(self._window.finish(index, line))
        self._write(self._window.drain())
        self._stop_at = 0
        self._cancel_from(0)
        self._ended.set()

    async def _feed(self, batches: AsyncIterator[list[Record]]) -> None:
        async for batch in batches:
            for record in batch:
                while not self._window.has_room():
                    self._room.clear()
                    await self._room.wait()
                if self._stop_at is not None:
                    return
                self._start(record)

    def _note_exhausted(self, feeding: asyncio.Future[None]) -> None:
        self._exhausted = True
        error = None if feeding.cancelled() else feeding.exception()
        if isinstance(error, InputError):
            self.fatal = error  # what was read before it is still worked on
        elif isinstance(error, Exception):
            self.abort(error)
        self._end_if_done()

    def _start(self, record: Record) -> None:
        index = self._window.admit(record.size)
        if record.problem is not None:
            self._running[index] = (None, record)
            self._fail(index, InvalidInputError(record.problem))
            return
        task = self._pool.add_task(record.value)
        self._running[index] = (task, record)
        task.add_done_callback(partial(self._note_done, index))

    def _note_done(self, index: int, task: asyncio.Future[object]) -> None:
        error: BaseException | None
        if task.cancelled():
            error = asyncio.CancelledError("the task was cancelled")
        else:
            error = task.exception()
        if self._stop_at is not None and index >= self._stop_at:
            self._running.pop(index, None)
            return
        if error is not None:
            self._fail(index, error)
        else:
            self._succeed(index, task.result())

    def _succeed(self, index: int, result: object) -> None:
        try:
            line = encode_result(result)
        except ResultNotJSONError as error:
            self._fail(index, error)
        else:
            self._complete(index, line)

    def _fail(self, index: int, error: BaseException) -> None:
        self.failed += 1
        record = self._running[index][1]
        hopeless = isinstance(error, EntrypointError | WorkerStartError)  # for all that follow, too
        if self._keep_going and not hopeless:
            self._complete(index, encode_error(error, record.value))
            return
        self.failure = Failure(record, error)
        del self._running[index]
        self._cut(index if self._ordered else 0)
        self._end_if_done()

    def _complete(self, index: int, line: bytes) -> None:
        del self._running[index]
        self.finished += 1
        self._write(self._window.finish(index, line))

    def _cut(self, index: int) -> None:
        """Take back everything from an input on; later on, nothing of it counts."""
        self._stop_at = index
        self._window.cut(index)
        self._cancel_from(index)
        self._room.set()

    def _cancel_from(self, index: int) -> None:
        for late, (task, _) in list(self._running.items()):
            if late >= index and task is not None:
                task.cancel()

    def _end_if_done(self) -> None:
        if (self._exhausted or self._stop_at is not None) and not len(self._window):
            self._ended.set()
