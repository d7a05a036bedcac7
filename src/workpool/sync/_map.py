"""Whole sources for threads: `map` and `map_unordered`, lazy and bounded iterators, and `process`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from workpool._checks import check_source
from workpool._progress import CompletionEvent, ErrorEvent, ProcessSummary
from workpool._retry_policy import RetryPolicy
from workpool._shown_results import shown_blocking
from workpool._source_methods import checked_buffer, chunk_size, new_process, takes_chunks
from workpool.sync._chunk_map import map_chunks
from workpool.sync._loop_results import items_of, results_from_loop
from workpool.sync._process import BlockingProcess
from workpool.sync._source_tasks import TaskFeed

if TYPE_CHECKING:
    from workpool.sync._pool import WorkerPool
    from workpool.sync._service import Service

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")


class MapMethods(Generic[ArgT, ResultT]):
    """The part of a pool that feeds whole sources to its `add_task`."""

    _open: Callable[[], Service]

    def map(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        *,
        buffer: int | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy | None = None,
        key: Hashable | None = None,
        chunksize: int | None = None,
        progress: bool | str | None = False,
    ) -> Iterator[ResultT]:
        """Run every item of a source; iterate over the results in the source's order.

        Items that take less than a millisecond travel in chunks, each of which is one task, as soon as
        some have shown it; see `workpool.WorkerPool.map` for when they do not, and for the arguments.

        The source is read by whoever asks for the next result, so it may never end: at most `buffer`
        items (1024 unless given, or as many more as keep all workers busy) are between it and the
        consumer. While it makes its reader wait, no result is handed out; so it must not wait for the
        consumer to have had one, unless `buffer` is 1. The first failure is raised in its place and
        ends the iteration; that, and leaving the iterator (``close()``, or dropping it), cancels what
        is in flight. What the source raises is raised after the results of what it had given before.

        An async iterable is read in the pool's own thread, on and on as far as `buffer` goes, also while
        nobody asks for a result. `progress`, True or a label, draws a bar as
        `process` does.
        """
        results = self._map(source, buffer, timeout, retries, key, chunksize, ordered=True)
        return shown_blocking(results, progress, source)

    def map_unordered(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        *,
        buffer: int | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy | None = None,
        key: Hashable | None = None,
        chunksize: int | None = None,
        progress: bool | str | None = False,
    ) -> Iterator[ResultT]:
        """As `map`, but iterate over the results as they come."""
        results = self._map(source, buffer, timeout, retries, key, chunksize, ordered=False)
        return shown_blocking(results, progress, source)

    def process(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        *,
        on_complete: Callable[[CompletionEvent[ArgT, ResultT]], Any] | None = None,
        on_error: Callable[[ErrorEvent[ArgT]], Any] | None = None,
        is_success: Callable[[ResultT], Any] | None = None,
        total: int | None = None,
        buffer: int | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy | None = None,
        key: Hashable | None = None,
        progress: bool | str | None = False,
    ) -> ProcessSummary:
        """Run every item of a source to its end; return how many there were and how they ended.

        As `workpool.WorkerPool.process`. The source is read, and the handlers are called, in the thread
        of the caller: they may use the pool and wait for it, and hold up nobody else. What an async
        handler does, and the reading of an async iterable, is done in the pool's own thread.

        A `KeyboardInterrupt`, and whatever else a handler raises, cancels what is in flight.
        """
        pool = cast("WorkerPool[ArgT, ResultT]", self)
        service = self._open()
        service.thread.check_may_wait("process()")
        process = new_process(
            BlockingProcess, source, on_complete, on_error, is_success, total, progress
        )
        if isinstance(source, AsyncIterable):
            ended = partial(pool._pool._tasks_ended_together, source, buffer, timeout, retries, key)
            lists = results_from_loop(self._open, ended)
            return process.run_here(service.thread, items_of(lists))
        feed = TaskFeed(pool, source, checked_buffer(buffer), timeout, retries, key)
        return process.run_here(service.thread, feed.tasks_as_ended())

    def _map(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        buffer: int | None,
        timeout: float | None,
        retries: int | RetryPolicy | None,
        key: Hashable | None,
        chunksize: int | None,
        *,
        ordered: bool,
    ) -> Iterator[ResultT]:
        check_source(source)
        pool = cast("WorkerPool[ArgT, ResultT]", self)
        size = chunk_size(pool._pool, buffer, chunksize)
        if isinstance(source, AsyncIterable):
            start = partial(
                pool._pool.map if ordered else pool._pool.map_unordered,
                source,
                buffer=buffer,
                timeout=timeout,
                retries=retries,
                key=key,
                chunksize=chunksize,
            )
            return results_from_loop(self._open, start)
        if (timeout, retries, key) == (None, None, None) and takes_chunks(pool._pool, size):
            return map_chunks(pool, source, size, ordered=ordered)
        feed = TaskFeed(pool, source, checked_buffer(buffer), timeout, retries, key)
        return feed.results_in_order() if ordered else feed.results_as_completed()


# As in the asyncio pool.
for _method in (MapMethods.map, MapMethods.map_unordered, MapMethods.process):
    _method.__qualname__ = f"WorkerPool.{_method.__name__}"
