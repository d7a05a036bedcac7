"""What the run writes to the terminal beside what pytest does."""

from __future__ import annotations

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

    def show_collected(self, count: int, deselected: int) -> None:
        """Say how many tests there are."""
        if self._reporter is not None:
            if deselected:
                self._reporter._add_stats("deselected", [None] * deselected)
            self._reporter._numcollected = count + deselected
            self._reporter.report_collect(True)

    def show_line(self, worker: int, line: str) -> None:
        """Show a line that a worker has printed."""
        if self._reporter is not None:
            self._reporter.ensure_newline()
            if self._reporter._tw.width_of_current_line:
                self._reporter._tw.line()
            self._reporter._tw.line(f"[gw{worker}] {line}")
        else:
            print(f"[gw{worker}] {line}")  # noqa: T201 - there is nothing else to write to
