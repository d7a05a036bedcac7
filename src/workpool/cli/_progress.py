"""The progress bar: how far, how fast, how long still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import ProgressColumn as Column
from rich.text import Text

from workpool.cli._screen import Screen

__all__ = ["Bar", "Figures", "format_left", "format_rate", "keep_drawing"]

# Often enough to look alive, rarely enough to cost nothing.
_INTERVAL = 0.1

# Seconds the rate is taken over: long enough for tasks of minutes to have one.
_SPEED_PERIOD = 300.0


@dataclass(slots=True)
class Figures:
    """What the bar shows. `total` is None while the end of the input has not been seen."""

    finished: int = 0
    failed: int = 0
    total: int | None = None


class Bar:
    """Render figures as one line of text with the terminal's colours.

    rich draws the columns, but not on its own: its live display takes over one stream, and here
    results leave on the other one, often for the same terminal.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        known = (BarColumn(bar_width=30), TextColumn("{task.completed}/{task.total}"))
        unknown = (SpinnerColumn(), TextColumn("{task.completed} done"))
        self._known = self._columns(*known, _LeftColumn())
        self._unknown = self._columns(*unknown, TimeElapsedColumn())

    def render(self, figures: Figures) -> str:
        """Return the line, cut to the terminal's width."""
        progress = self._unknown if figures.total is None else self._known
        failed = f"[red]{figures.failed} failed[/]" if figures.failed else ""
        for bar in (self._known, self._unknown):  # both, so that neither forgets the speed
            task = bar.task_ids[0]
            bar.update(task, completed=figures.finished, total=figures.total, failed=failed)
        with self._console.capture() as captured:
            self._console.print(progress.get_renderable(), end="", crop=True, no_wrap=True)
        return captured.get().split("\n", 1)[0].rstrip()

    def _columns(self, *columns: Column) -> Progress:
        progress = Progress(
            *columns,
            _RateColumn(),
            TextColumn("{task.fields[failed]}"),
            console=self._console,
            auto_refresh=False,
            speed_estimate_period=_SPEED_PERIOD,
        )
        progress.add_task("", total=None, failed="")
        return progress


class _RateColumn(Column):
    def render(self, task: Task) -> Text:
        return Text(format_rate(task.finished_speed or task.speed))


class _LeftColumn(Column):
    def render(self, task: Task) -> Text:
        return Text(format_left(0 if task.finished else task.time_remaining))


async def keep_drawing(screen: Screen, bar: Bar, figures: Callable[[], Figures]) -> None:
    """Draw the bar on the screen, again and again until cancelled; then leave its last state."""
    try:
        while True:
            screen.draw(bar.render(figures()))
            await asyncio.sleep(_INTERVAL)
    finally:
        screen.draw(bar.render(figures()))
        screen.leave_bar()


def format_rate(rate: float | None) -> str:
    """Return inputs per second in at most seven characters."""
    if rate is None:
        return "-/s"
    if rate >= 10_000:
        return f"{rate / 1000:.0f}k/s"
    return f"{rate:.0f}/s" if rate >= 100 else f"{rate:.1f}/s" if rate >= 1 else f"{rate:.2f}/s"


def format_left(seconds: float | None) -> str:
    """Return the time left as hours, minutes and seconds."""
    if seconds is None:
        return "-:--:-- left"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left"
