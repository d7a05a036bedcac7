"""What a pool does with whole sources: `map`, `map_unordered`, `process`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from workpool._checks import check_callable, check_count, check_source
from workpool._chunk_map import map_chunks
from workpool._chunk_size import ChunkSize
from workpool._map import map_as_completed, map_ordered, tasks_as_ended, tasks_ended_together
from workpool._process_source import SourceProcess, length_of, progress_bar
from workpool._progress import CompletionEvent, ErrorEvent, ProcessSummary
from workpool._retry_policy import RetryPolicy
from workpool._shown_results import shown
from workpool._task import Task

if TYPE_CHECKING:
    from workpool._pool import WorkerPool

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")
ProcessT = TypeVar("ProcessT", bound=SourceProcess)

MAP_BUFFER = 1024
"""Tasks between a source and its consumer unless told otherwise, where items are not chunked: enough
to keep every worker busy with tiny tasks, and a bound for endless sources."""


class SourceMethods(Generic[ArgT, ResultT]):
    """The part of a pool that feeds whole sources to its `add_task`."""

    add_task: Callable[..., Task[ResultT]]

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
    ) -> AsyncIterator[ResultT]:
        """Run every item of a source; iterate over the results in the source's order.

        Items that take less than a millisecond travel in chunks, each of which is one task, as soon as
        some have shown it. The first failure is raised in its place and ends the iteration; that, and
        leaving the loop early (``aclose()`` of the iterator), cancels what is in flight. If the pool ends
        before an async source does, `PoolClosed` is raised after the results of what was taken. Of a chunk
        with an item that fails, those behind it are not run. If a worker dies, `WorkerCrashed` is raised
        in the place of the first item whose result is lost.

        Arguments:
            buffer: most items between the source and the consumer, so that an endless source runs in
                bounded memory. Unless given 1024, or as many more as keep all workers busy; an item
                of a chunk counts as one.
            timeout, retries, key: as for `add_task`. With any of these, of the call or the pool, each
                item is a task of its own; so it is while somebody listens to the events of tasks, with
                a pool's `inherent_cost` or `worker_cost`, and if the entrypoint is async, takes the
                client or has a `pre_task` hook.
            chunksize: None to have it found out; otherwise the most items that travel together (at
                most 65,535), 1 for each by itself. The items of a chunk are pickled together, as are its results: an
                object that several of them refer to stays one object.
            progress: True, or a label, draws a bar as `process` does.
        """
        results = self._map(source, buffer, timeout, retries, key, chunksize, ordered=True)
        return shown(results, progress, source)

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
    ) -> AsyncIterator[ResultT]:
        """As `map`, but iterate over the results as they come."""
        results = self._map(source, buffer, timeout, retries, key, chunksize, ordered=False)
        return shown(results, progress, source)

    async def process(
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

        A failure stops nothing: the errors are raised together, as an `ExceptionGroup` (its first
        10,000), when the last item has ended. What the source itself raises stops the reading;
        what is in flight is finished, then the error is raised, in the group if there are others.
        A handler that raises, and cancelling this coroutine, cancel what is in flight. Items end,
        and handlers are called, one after the other, in no particular order; at most `buffer`
        items are in flight or wait for a handler, so that slow handlers slow the reading down. If the pool
        ends before the source does, `PoolClosed` is raised like what a source raises.

        Arguments:
            on_complete: called with a `CompletionEvent` for every result; may be async.
            on_error: called with an `ErrorEvent` for every task that failed; may be async.
            is_success: ``(result) -> bool``; a result for which it is false counts as failed.
            total: how many items there are, if the source cannot say; for the progress alone.
            buffer: 1024 unless given.
            timeout, retries, key: as for `add_task`.
            progress: True, or a label, to draw a progress bar on standard error or in a notebook
                (needs the extra ``progress``).
        """
        process = new_process(
            SourceProcess, source, on_complete, on_error, is_success, total, progress
        )
        adder = self._adder(timeout, retries, key)
        pool = cast("WorkerPool[ArgT, ResultT]", self)
        return await process.run(
            tasks_as_ended(source, checked_buffer(buffer), adder, pool._open_engine)
        )

    def _tasks_ended_together(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        buffer: int | None,
        timeout: float | None,
        retries: int | RetryPolicy | None,
        key: Hashable | None,
    ) -> AsyncIterator[list[Task[ResultT]]]:
        """For the blocking pool: as for `process`, several at a time."""
        adder = self._adder(timeout, retries, key)
        pool = cast("WorkerPool[ArgT, ResultT]", self)
        return tasks_ended_together(source, checked_buffer(buffer), adder, pool._open_engine)

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
    ) -> AsyncIterator[ResultT]:
        check_source(source)
        pool = cast("WorkerPool[ArgT, ResultT]", self)
        size = chunk_size(pool, buffer, chunksize)
        if (timeout, retries, key) == (None, None, None) and takes_chunks(pool, size):
            return map_chunks(pool, source, size, ordered=ordered)
        adder = self._adder(timeout, retries, key)
        results = map_ordered if ordered else map_as_completed
        return results(source, checked_buffer(buffer), adder, pool._open_engine)

    def _adder(
        self, timeout: float | None, retries: int | RetryPolicy | None, key: Hashable | None
    ) -> Callable[[ArgT], Task[ResultT]]:
        return lambda arg: self.add_task(arg, timeout=timeout, retries=retries, key=key)


# The names that errors about wrong arguments have: users know the pool alone.
for _method in (SourceMethods.map, SourceMethods.map_unordered, SourceMethods.process):
    _method.__qualname__ = f"WorkerPool.{_method.__name__}"


def new_process(
    kind: type[ProcessT],
    source: Any,
    on_complete: Callable[[CompletionEvent[Any, Any]], Any] | None,
    on_error: Callable[[ErrorEvent[Any]], Any] | None,
    is_success: Callable[[Any], Any] | None,
    total: int | None,
    progress: bool | str | None,
) -> ProcessT:
    """Return what is to run a source. Raises `ValueError`, `TypeError` or `ImportError`."""
    check_source(source)
    for name, handler in (("on_complete", on_complete), ("on_error", on_error)):
        check_callable(name, handler)
    check_callable("is_success", is_success)
    if total is None:
        total = length_of(source)
    else:
        check_count("total", total, at_least=0)
    return kind(total, on_complete, on_error, is_success, progress_bar(progress, total))


def checked_buffer(buffer: int | None) -> int:
    """Return how many tasks may be between a source and its consumer. Raises `ValueError` or `TypeError`."""
    if buffer is None:
        return MAP_BUFFER
    check_count("buffer", buffer, at_least=1)
    return buffer


def chunk_size(pool: WorkerPool[Any, Any], buffer: int | None, chunksize: int | None) -> ChunkSize:
    """Return what says how large chunks are to be. Raises `ValueError` or `TypeError`."""
    if buffer is not None:
        check_count("buffer", buffer, at_least=1)
    if chunksize is not None:
        check_count("chunksize", chunksize, at_least=1)
    return ChunkSize(pool._options.max_workers, chunksize, buffer)


def takes_chunks(pool: WorkerPool[Any, Any], size: ChunkSize) -> bool:
    """Whether items may travel together: not if anything is said, or to be told, of each of them."""
    options, engine = pool._options, pool._engine
    each = (
        pool._settings.timeout is not None
        or pool._settings.retries.limit
        or options.inherent_cost is not None
        or options.worker_cost is not None
    )
    if each or size.single:
        return False
    return engine is None or not (
        engine.announce_tasks or engine.outcomes.on_complete is not None or engine.chunks.by_items
    )
