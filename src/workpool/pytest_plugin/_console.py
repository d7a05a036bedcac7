"""What the run writes to the terminal beside what pytest does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Console:
    """The terminal reporter, if there is one."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")

    @property
    def color(self) -> str:
        """What workers should be told with ``--color``."""
        return "yes" if self._reporter is not None and self._reporter.hasmarkup else "no"

    def begin(self) -> None:
        """Have outcomes shown without the file's name: those of several come mixed."""
        if self._reporter is not None:
            self._reporter.showfspath = False
            self._reporter.write_ensure_prefix = _only_with_outcome(
                self._reporter.write_ensure_prefix
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Write what is reported meanwhile to the terminal at once, at the end."""
        writer = getattr(self._reporter, "_tw", None)
        if writer is None:
            yield
            return
        before, writer._file = writer._file, (held := _Held(writer._file))
        try:
            yield
        finally:
            writer._file = before
            held.release()

    def show_collected(self, count: int, deselected: int) -> None:
        """Say how many tests there are."""
        if self._reporter is not None:
            if deselected:
                self._reporter._add_stats("deselected", [DeselectedTest()] * deselected)
            self._reporter._numcollected = count + deselected
            self._reporter.report_collect(True)

    def show_lines_of_hooks(self, lines: list[str | list[str]]) -> None:
        """Show what hooks of a worker had to say, the last one first: the other way round, as pytest does."""
        if self._reporter is not None:
            for line_or_lines in reversed(lines):
                several = [line_or_lines] if isinstance(line_or_lines, str) else line_or_lines
                for line in several:
                    self._reporter.write_line(line)

    def show_line(self, worker: int, line: str) -> None:
        """Show a line that a worker has printed."""
        if self._reporter is not None:
            begin_line(self._reporter)
            self._reporter._tw.line(f"[gw{worker}] {line}")
        else:
            print(f"[gw{worker}] {line}")  # noqa: T201 - there is nothing else to write to


class DeselectedTest:
    """Stands among the reporter's statistics for a test that a worker has left out.

    Plugins look there for attributes of their own, and call none of what they find.
    """

    def __init__(self) -> None:
        self.nodeid = ""


class _Held:
    """A file that keeps what is written."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._parts: list[str] = []
        self.write = self._parts.append

    def flush(self) -> None:
        """Do nothing yet."""

    def release(self) -> None:
        """Write what was kept."""
        if self._parts:
            self._file.write("".join(self._parts))
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def begin_line(reporter: Any) -> None:
    """Have what is written next stand in a line of its own."""
    reporter.ensure_newline()
    if reporter._tw.width_of_current_line:
        reporter._tw.line()


def _only_with_outcome(write: Callable[..., None]) -> Callable[..., None]:
    """Return what writes a test's line when its outcome is known, and nothing when it begins.

    With -v the name would stand there twice: the line of a report that came from a worker is a new one.
    """

    def write_with_outcome(prefix: str, extra: str = "", **markup: bool) -> None:
        if extra:
            write(prefix, extra, **markup)

    return write_with_outcome
