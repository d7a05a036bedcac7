"""``progress=`` of `map` and `map_unordered`: a bar that follows the results as they are handed out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, aclosing, closing
from typing import TYPE_CHECKING, Any, TypeVar

from workpool._process_source import length_of, progress_bar
from workpool._progress import Progress, label_of

if TYPE_CHECKING:
    from workpool._progress_bar import ProgressBar

T = TypeVar("T")


def shown(results: AsyncIterator[T], progress: bool | str | None, source: Any) -> AsyncIterator[T]:
    """Return an iterator over the same results, with a bar if that is wanted.

    Raises `ImportError` and `TypeError` as `progress_bar` does.
    """
    if label_of(progress) is None:
        return results
    total = length_of(source)
    return _follow_async(results, progress_bar(progress, total), total)


def shown_blocking(results: Iterator[T], progress: bool | str | None, source: Any) -> Iterator[T]:
    """As `shown`, for an ordinary iterator."""
    if label_of(progress) is None:
        return results
    total = length_of(source)
    return _follow(results, progress_bar(progress, total), total)


async def _follow_async(
    results: Any, bar: AbstractContextManager[ProgressBar | None], total: int | None
) -> AsyncIterator[Any]:
    handed_out = 0
    with bar as display:
        async with aclosing(results):
            async for result in results:
                handed_out += 1
                _show(display, total, handed_out)
                yield result


def _follow(
    results: Any, bar: AbstractContextManager[ProgressBar | None], total: int | None
) -> Iterator[Any]:
    handed_out = 0
    with bar as display, closing(results):
        for result in results:
            handed_out += 1
            _show(display, total, handed_out)
            yield result


def _show(display: ProgressBar | None, total: int | None, handed_out: int) -> None:
    if display is not None:
        display.show(Progress(total, handed_out, 0))
