"""`map` and `map_unordered` for threads: ordinary iterators, lazy and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from workpool._checks import check_count
from workpool._retry_policy import RetryPolicy
from workpool._source_methods import MAP_BUFFER
from workpool.sync._task import Task

if TYPE_CHECKING:
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
    ) -> Iterator[ResultT]:
        """Run every item of a source; iterate over the results in the source's order.

        The source is read by whoever asks for the next result, so a source may wait for something or
        never end: at most `buffer` items (1024 unless given) are between it and the consumer. The
        first failure is raised in its place and ends the iteration; that, and leaving the iterator
        (``close()``, or dropping it), cancels what is in flight. What the source raises is raised after
        the results of what it had given before.

        An async iterable is read in the pool's own thread.
        """
        items = self._items(source)
        add = self._adder(timeout, retries, key)
        return _map_ordered(items, _buffer(buffer), add)

    def map_unordered(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        *,
        buffer: int | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy | None = None,
        key: Hashable | None = None,
    ) -> Iterator[ResultT]:
        """As `map`, but iterate over the results as they come."""
        items = self._items(source)
        add = self._adder(timeout, retries, key)
        return _map_as_completed(items, _buffer(buffer), add)

    def _items(self, source: Iterable[ArgT] | AsyncIterable[ArgT]) -> Iterator[ArgT]:
        if isinstance(source, AsyncIterable):
            return _read_in_loop(source, self._open)
        return iter(source)

    def _adder(
        self, timeout: float | None, retries: int | RetryPolicy | None, key: Hashable | None
    ) -> Callable[[ArgT], Task[ResultT]]:
        return lambda arg: self.add_task(arg, timeout=timeout, retries=retries, key=key)


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


def _read_in_loop(source: AsyncIterable[ArgT], open_pool: Callable[[], Service]) -> Iterator[ArgT]:
    """Iterate over an async iterable, which is read in the pool's own thread."""
    iterator = aiter(source)

    async def read() -> ArgT:
        return await anext(iterator)

    while True:
        thread = open_pool().thread
        thread.check_may_wait("map() of an async iterable")
        try:
            item = thread.ask_async(read)
        except StopAsyncIteration:
            return
        yield item


def _buffer(buffer: int | None) -> int:
    if buffer is None:
        return MAP_BUFFER
    check_count("buffer", buffer, at_least=1)
    return buffer
