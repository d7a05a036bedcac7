"""`map` and `map_unordered` for threads: ordinary iterators, lazy and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from workpool._checks import check_count, check_source
from workpool._retry_policy import RetryPolicy
from workpool._shown_results import shown_blocking
from workpool._source_methods import MAP_BUFFER, chunk_size, takes_chunks
from workpool.sync._chunk_map import map_chunks
from workpool.sync._loop_results import results_from_loop
from workpool.sync._task import Task

if TYPE_CHECKING:
    from workpool.sync._pool import WorkerPool
    from workpool.sync._service import Service

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")

_READ_PER_RESULT = 2
"""Items read from the source before a result that is there is handed out: one takes its place, one
lets the number in flight grow to the buffer."""


class MapMethods(Generic[ArgT, ResultT]):
    """The part of a pool that feeds whole sources to its `add_task`."""

    add_task: Callable[..., Task[ResultT]]
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
        progress: bool | str = False,
    ) -> Iterator[ResultT]:
        """Run every item of a source; iterate over the results in the source's order.

        Items that take less than a millisecond travel in chunks, each of which is one task, as soon as
        some have shown it; see `workpool.WorkerPool.map` for when they do not, and for the arguments.

        The source is read by whoever asks for the next result, so a source may wait for something or
        never end: at most `buffer` items (1024 unless given, or as many more as keep all workers busy)
        are between it and the consumer. The first failure is raised in its place and ends the
        iteration; that, and leaving the iterator (``close()``, or dropping it), cancels what is in
        flight. What the source raises is raised after the results of what it had given before.

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
        progress: bool | str = False,
    ) -> Iterator[ResultT]:
        """As `map`, but iterate over the results as they come."""
        results = self._map(source, buffer, timeout, retries, key, chunksize, ordered=False)
        return shown_blocking(results, progress, source)

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
        add = self._adder(timeout, retries, key)
        return (_map_ordered if ordered else _map_as_completed)(iter(source), _buffer(buffer), add)

    def _adder(
        self, timeout: float | None, retries: int | RetryPolicy | None, key: Hashable | None
    ) -> Callable[[ArgT], Task[ResultT]]:
        return lambda arg: self.add_task(arg, timeout=timeout, retries=retries, key=key)


# As in the asyncio pool.
for _method in (MapMethods.map, MapMethods.map_unordered):
    _method.__qualname__ = f"WorkerPool.{_method.__name__}"


def _map_ordered(
    items: Iterator[ArgT], buffer: int, add: Callable[[ArgT], Task[ResultT]]
) -> Iterator[ResultT]:
    feed = _Feed(items, add)
    tasks: deque[Task[ResultT]] = deque()
    task: Task[ResultT] | None
    try:
        while True:
            read = 0
            while feed.open and len(tasks) < buffer:
                if read >= _READ_PER_RESULT and tasks and tasks[0].done():
                    break
                if (task := feed.add_next()) is not None:
                    tasks.append(task)
                    read += 1
            if not tasks:
                feed.raise_error()
                return
            task = None
            tasks[0].result()  # interrupted, it is cancelled with the others
            yield tasks.popleft().result()
    finally:  # in any thread, when the iterator is collected
        for task in tasks:
            task._cancel_soon()


def _map_as_completed(
    items: Iterator[ArgT], buffer: int, add: Callable[[ArgT], Task[ResultT]]
) -> Iterator[ResultT]:
    feed = _Feed(items, add)
    unfinished: set[Task[ResultT]] = set()
    ended: SimpleQueue[Any] = SimpleQueue()
    try:
        while True:
            read = 0
            while feed.open and len(unfinished) < buffer:
                if read >= _READ_PER_RESULT and not ended.empty():
                    break
                if (task := feed.add_next()) is not None:
                    unfinished.add(task)
                    task.add_done_callback(ended.put)
                    read += 1
            if not unfinished:
                feed.raise_error()
                return
            unfinished.discard(task := ended.get())
            yield task.result()
    finally:
        for task in unfinished:
            task._cancel_soon()


class _Feed(Generic[ArgT, ResultT]):
    """Turns a source's items into tasks; keeps what the source raises until it is due."""

    def __init__(self, items: Iterator[ArgT], add: Callable[[ArgT], Task[ResultT]]) -> None:
        self.open = True
        self._items = items
        self._add = add
        self._error: Exception | None = None

    def add_next(self) -> Task[ResultT] | None:
        """Add the source's next item as a task; None, and no longer `open`, at its end."""
        try:
            item = next(self._items)
        except StopIteration:
            self.open = False
        except Exception as error:  # noqa: BLE001 - raised later
            self.open = False
            self._error = error
        else:
            return self._add(item)
        return None

    def raise_error(self) -> None:
        """Raise what the source has raised."""
        if self._error is not None:
            raise self._error


def _buffer(buffer: int | None) -> int:
    if buffer is None:
        return MAP_BUFFER
    check_count("buffer", buffer, at_least=1)
    return buffer
