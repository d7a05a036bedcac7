"""Hook calls that would change nothing are left out: a trivial test has eight of them.

That is known of pytest's own plugins alone. As soon as another one has a say, all calls are made.
"""

from __future__ import annotations

from typing import Any

import pytest

_IDLE_REPORTERS = {
    ("_pytest.main", "Session"),
    ("_pytest.cacheprovider", "LFPlugin"),
    ("_pytest.stepwise", "StepwisePlugin"),
    ("_pytest.logging", "LoggingPlugin"),
    ("_pytest.terminal", "TerminalReporter"),
}
"""Plugins that do nothing about a set-up or tear-down that has passed, but for the terminal's, which counts it."""

_IDLE_FRAMES = {("_pytest.logging", "LoggingPlugin"), ("_pytest.terminal", "TerminalReporter")}
"""Plugins that, unless they show more than usual, do nothing when a test begins and ends."""


class Shortcuts:
    """What need not be called in this run."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        hook = config.hook
        self._counts_only = (
            self._reporter is not None
            and _kinds(hook.pytest_runtest_logreport) <= _IDLE_REPORTERS
            and all(
                module.startswith("_pytest.") for module, _ in _kinds(hook.pytest_report_teststatus)
            )
        )
        frames = _kinds(hook.pytest_runtest_logstart) | _kinds(hook.pytest_runtest_logfinish)
        self.skips_frame = frames <= _IDLE_FRAMES and not _shows_more(config, self._reporter)
        """Whether nobody wants to know that a test begins and ends."""

    def take(self, report: pytest.TestReport) -> bool:
        """Do what a report would lead to, if that is only that it is counted; return whether it was."""
        if not self._counts_only or report.when == "call" or report.outcome != "passed":
            return False
        if report.__class__ is not pytest.TestReport or hasattr(report, "wasxfail"):
            return False
        self._reporter._add_stats("", [report])
        return True


def _kinds(hook: Any) -> set[tuple[str, str]]:
    """Return whose implementations a hook has: classes, or modules with an empty name."""
    found = set()
    for implementation in hook.get_hookimpls():
        plugin = implementation.plugin
        if isinstance(plugin, type(pytest)):
            found.add((plugin.__name__, ""))
        else:
            found.add((type(plugin).__module__, type(plugin).__qualname__))
    return found


def _shows_more(config: pytest.Config, reporter: Any) -> bool:
    logging: Any = config.pluginmanager.get_plugin("logging-plugin")
    if logging is not None and logging._log_cli_enabled():
        return True
    return reporter is not None and (reporter.showlongtestinfo or reporter.showfspath)
