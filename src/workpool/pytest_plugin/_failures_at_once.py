"""Shows failures when they happen. pytest shows all of them again at the end."""

from __future__ import annotations

from typing import Any

import pytest

from workpool.pytest_plugin._console import begin_line


class FailuresAtOnce:
    """Writes each failure as it is reported, in the process that has the terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failure, below the line its letter stands in."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or not report.failed or hasattr(self._config, "workerinput"):
            return
        begin_line(reporter)
        where = "" if report.when == "call" else f" (at {report.when})"
        reporter.write_sep("_", f"{report.nodeid}{where}", red=True, bold=True)
        report.toterminal(reporter._tw)
        for title, text in report.sections:
            reporter.write_sep("-", title)
            reporter.write_line(text.rstrip("\n"))
        reporter.write_line("")
        reporter.currentfspath = -2  # the next letter begins a line of its own
