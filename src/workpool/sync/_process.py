"""`process` for threads: source and handlers have the thread of the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from workpool._process_source import SourceProcess
from workpool.errors import PoolClosed

if TYPE_CHECKING:
    from workpool._progress import ProcessSummary
    from workpool.sync._loop_thread import LoopThread

T = TypeVar("T")


class BlockingProcess(SourceProcess):
    """A run whose coroutines never suspend: what they wait for, they block for."""

    def run_here(self, thread: LoopThread, tasks: Generator[Any]) -> ProcessSummary:
        """Do as `run` in the caller's thread. What async handlers return is awaited in the pool's own."""
        self._thread = thread
        return _outcome_of(self.run(_one_by_one(tasks)))

    async def _awaited(self, answer: Awaitable[Any]) -> Any:
        try:
            return self._thread.ask_async(partial(_result_of, answer))
        except PoolClosed:
            if isinstance(answer, Coroutine):
                answer.close()  # it may never have begun
            raise


async def _result_of(answer: Awaitable[T]) -> T:
    return await answer


async def _one_by_one(tasks: Generator[T]) -> AsyncIterator[T]:
    try:
        for task in tasks:
            yield task
    finally:
        tasks.close()


def _outcome_of(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        outcome: T = end.value
        return outcome
    raise RuntimeError("a coroutine that should block has suspended")
