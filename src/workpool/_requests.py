"""Requests from the pool to a worker, and their answers: messages of two types of their own.

The content of a request is its number, the type the user gave it, and the user's content, pickled by
itself; that of an answer is the number, whether it went well, and the pickled value or error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from workpool._serialization import FOREIGN_ERRORS, dumps, unpack_error, unreadable
from workpool._worker.answers import REQUEST
from workpool._worker_process import EXITED, WorkerProcess
from workpool.errors import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable


class Requests:
    """The requests that have not been answered. `unpickle` may import what the workers have imported."""

    def __init__(self, loop: asyncio.AbstractEventLoop, unpickle: Callable[[bytes], Any]) -> None:
        self._loop = loop
        self._unpickle = unpickle
        self._last_number = 0
        self._waiting: dict[int, tuple[WorkerProcess, asyncio.Future[Any]]] = {}

    async def ask(self, worker: WorkerProcess, kind: str, content: Any, timeout: float) -> Any:
        """Send a request; return its answer, or raise what the handler raised."""
        body = dumps(content, side="pool", subject="request")
        if worker.state == EXITED:
            raise _worker_ended(
                worker,
                "has ended: it can be asked nothing. pool.workers has those that live; restart() "
                "returns the handle of the one it has started in its place",
            )
        self._last_number += 1
        number = self._last_number
        answer = self._loop.create_future()
        self._waiting[number] = worker, answer
        try:
            worker.handle.post_message(REQUEST, (number, kind, body))
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            if answer.done() and not answer.cancelled():
                raise  # the handler's own
            raise TimeoutError(
                f"worker {worker.slot} did not answer the request {kind!r} within {timeout:g} "
                "seconds: a sync worker answers between tasks, or when its task polls its messages"
            ) from error
        finally:
            self._waiting.pop(number, None)

    def answered(self, content: tuple[int, bool, bytes]) -> None:
        """Hand an answer to who waits for it, if anybody still does."""
        number, went_well, body = content
        _, answer = self._waiting.get(number, (None, None))
        if answer is None or answer.done():
            return
        try:
            if went_well:
                answer.set_result(self._unpickle(body))
            else:
                answer.set_exception(unpack_error(body, side="pool", unpickle=self._unpickle))
        except FOREIGN_ERRORS as error:
            answer.set_exception(unreadable("answer", "pool", error))

    def worker_ended(self, worker: WorkerProcess) -> None:
        """Fail the requests to a worker that will answer no more."""
        if self._loop.is_closed():
            return  # with it, whoever waited
        for asked, answer in list(self._waiting.values()):
            if asked is worker and not answer.done():
                answer.set_exception(_worker_ended(worker, "ended before it answered"))


def _worker_ended(worker: WorkerProcess, how: str) -> RequestFailed:
    return RequestFailed(
        f"worker {worker.slot} (pid {worker.process.pid}) {how}", error_type="WorkerEnded"
    )
