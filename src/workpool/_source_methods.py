"""What a pool does with whole sources: `map`, `map_unordered`, `process`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from workpool._checks import check_callable, check_count
from workpool._map import map_as_completed, map_ordered, tasks_as_ended
from workpool._process_source import SourceProcess, length_of, progress_bar
from workpool._progress import CompletionEvent, ErrorEvent, ProcessSummary
from workpool._retry_policy import RetryPolicy
from workpool._task import Task

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")

MAP_BUFFER = 1024
"""Tasks between a source and its consumer unless told otherwise: enough to keep every worker busy
with tiny tasks, and a bound for endless sources."""


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
    ) -> AsyncIterator[ResultT]:
        """Run every item of a source; iterate over the results in the source's order.

        At most `buffer` items are between the source and the consumer, so an endless source runs
        in bounded memory. The first failure is raised in its place and ends the iteration; that,
        and leaving the loop early (``aclose()`` of the iterator), cancels what is in flight.
        """
        return map_ordered(source, _buffer(buffer), self._adder(timeout, retries, key))

    def map_unordered(
        self,
        source: Iterable[ArgT] | AsyncIterable[ArgT],
        *,
        buffer: int | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy | None = None,
        key: Hashable | None = None,
    ) -> AsyncIterator[ResultT]:
        """As `map`, but iterate over the results as they come."""
        return map_as_completed(source, _buffer(buffer), self._adder(timeout, retries, key))

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
        progress: bool | str = False,
    ) -> ProcessSummary:
        """Run every item of a source to its end; return how many there were and how they ended.

        A failure stops nothing: the errors are raised together, as an `ExceptionGroup` (its first
        10,000), when the last item has ended. What the source itself raises stops the reading;
        what is in flight is finished, then the error is raised, in the group if there are others.
        A handler that raises, and cancelling this coroutine, cancel what is in flight. Items end,
        and handlers are called, one after the other, in no particular order; at most `buffer`
        items are in flight or wait for a handler, so that slow handlers slow the reading down.

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
        for name, handler in (("on_complete", on_complete), ("on_error", on_error)):
            check_callable(name, handler)
        check_callable("is_success", is_success)
        if total is None:
            total = length_of(source)
        else:
            check_count("total", total, at_least=0)
        tasks = tasks_as_ended(source, _buffer(buffer), self._adder(timeout, retries, key))
        bar = progress_bar(progress, total)
        return await SourceProcess(total, on_complete, on_error, is_success, bar).run(tasks)

    def _adder(
        self, timeout: float | None, retries: int | RetryPolicy | None, key: Hashable | None
    ) -> Callable[[ArgT], Task[ResultT]]:
        return lambda arg: self.add_task(arg, timeout=timeout, retries=retries, key=key)


def _buffer(buffer: int | None) -> int:
    if buffer is None:
        return MAP_BUFFER
    check_count("buffer", buffer, at_least=1)
    return buffer
