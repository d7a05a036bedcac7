"""`WorkerPool.process`: a whole source, with handlers on the way and one account at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from workpool._progress import CompletionEvent, ErrorEvent, ProcessSummary, Progress, label_of
from workpool.errors import TaskCancelled

if TYPE_CHECKING:
    from workpool._progress_bar import ProgressBar
    from workpool._task import Task

Handler = Callable[[Any], Any]

MOST_ERRORS = 10_000
"""Errors that are kept for the end: an endless source must not fill the memory with them."""


class SourceProcess:
    """One run over a source: counts, calls the handlers, collects the errors.

    A handler that raises ends the run with its error.
    """

    def __init__(
        self,
        total: int | None,
        on_complete: Handler | None,
        on_error: Handler | None,
        is_success: Callable[[Any], object] | None,
        bar: AbstractContextManager[ProgressBar | None],
    ) -> None:
        self._total = total
        self._on_complete = on_complete
        self._on_error = on_error
        self._is_success = is_success
        self._bar = bar
        self._completed = 0
        self._failed = 0
        self._errors: list[BaseException] = []

    async def run(self, tasks: AsyncIterator[Any]) -> ProcessSummary:
        """Go through the tasks as they end; raise at the end what they raised."""
        with self._bar as bar:
            try:
                async with aclosing(tasks) as ended:  # type: ignore[type-var]
                    async for task in ended:
                        await self._ended(task)
                        if bar is not None:
                            bar.show(self._progress())
            except _HandlerFailed as failure:
                raise failure.error from failure.error.__cause__
            except Exception as error:
                if not self._errors:
                    raise
                error.add_note("Raised while the source was read.")
                raise self._all_errors(error) from None
        if self._errors:
            raise self._all_errors()
        return ProcessSummary(self._completed + self._failed, self._completed, self._failed)

    async def _ended(self, task: Task[Any]) -> None:
        error = _error_of(task)
        if error is None:
            await self._succeeded(task)
            return
        self._failed += 1
        if len(self._errors) < MOST_ERRORS:
            self._errors.append(error)
        if self._on_error is not None:
            await self._call(self._on_error, ErrorEvent(task.argument, error, self._progress()))

    async def _succeeded(self, task: Task[Any]) -> None:
        result, success = task.result(), True
        if self._is_success is not None:
            success = bool(await self._call(self._is_success, result))
        self._completed += success
        self._failed += not success
        if self._on_complete is not None:
            event = CompletionEvent(task.argument, result, success, self._progress())
            await self._call(self._on_complete, event)

    def _progress(self) -> Progress:
        return Progress(self._total, self._completed, self._failed)

    def _all_errors(self, of_source: Exception | None = None) -> BaseExceptionGroup[BaseException]:
        text = f"{self._failed} of {self._completed + self._failed} tasks failed"
        if self._failed > MOST_ERRORS:
            text += f", the first {MOST_ERRORS} are here"
        if of_source is None:
            return BaseExceptionGroup(text, self._errors)
        text += f", and then {type(of_source).__name__} ended the reading of the source"
        return BaseExceptionGroup(text, [*self._errors, of_source])

    async def _call(self, handler: Handler, detail: Any) -> Any:
        try:
            answer = handler(detail)
            return await self._awaited(answer) if isawaitable(answer) else answer
        except Exception as error:
            raise _HandlerFailed(error) from error

    async def _awaited(self, answer: Awaitable[Any]) -> Any:
        return await answer


class _HandlerFailed(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _error_of(task: Task[Any]) -> BaseException | None:
    if task.cancelled():
        return TaskCancelled(f"task {task.id} was cancelled before it had ended")
    return task.exception()


def progress_bar(
    progress: bool | str | None, total: int | None
) -> AbstractContextManager[ProgressBar | None]:
    """Return the bar that ``progress=`` asks for, or a context of None.

    Raises `ImportError` without rich, `TypeError` for what asks for nothing.
    """
    label = label_of(progress)
    if label is None:
        return nullcontext()
    from workpool._progress_bar import ProgressBar

    return ProgressBar(label, total)


def length_of(source: Any) -> int | None:
    """Return how many items a source says it has; None if it does not say, or may still get more."""
    if hasattr(source, "__aiter__"):
        return None
    try:
        return len(source)
    except TypeError:
        return None
