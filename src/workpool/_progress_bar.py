"""The progress bar of ``progress=``, drawn by rich, in terminals and notebooks."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from workpool._progress import Progress

try:
    from rich import progress as rich_progress
    from rich.console import Console
except ImportError as error:
    raise ImportError(
        "progress= draws its bar with rich, which is not installed: pip install 'workpool[progress]'"
    ) from error

_SHOW_EVERY = 0.05
"""Seconds between two updates: as often as anybody sees, and cheap beside thousands of results."""


class ProgressBar:
    """A bar on standard error: how many have ended and failed, how long it has been and will be.

    In a notebook it is a widget, for which rich needs `ipywidgets`; it warns if that is not installed.
    """

    def __init__(self, label: str, total: int | None) -> None:
        columns = [
            *([rich_progress.TextColumn("{task.description}", markup=False)] if label else []),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("[red]{task.fields[failed]}"),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
        ]
        self._display = rich_progress.Progress(*columns, console=Console(stderr=True))
        self._line = self._display.add_task(label, total=total, failed="")
        self._progress = Progress(total, 0, 0)
        self._shown_at = 0.0

    def show(self, progress: Progress) -> None:
        """Show a newer state, now or with the next one that is due."""
        self._progress = progress
        now = time.monotonic()
        if now - self._shown_at >= _SHOW_EVERY:
            self._shown_at = now
            self._update()

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None and self._progress.total is None:
            self._display.update(self._line, total=self._progress.finished)
        self._update()
        if self._display.console.is_jupyter:
            self._display.refresh()  # there the end alone would not show the last state
        self._display.stop()

    def _update(self) -> None:
        failed = self._progress.failed
        self._display.update(
            self._line,
            completed=self._progress.finished,
            failed=f"{failed} failed" if failed else "",
        )
