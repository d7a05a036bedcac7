"""Passes what workers report on to the hooks of the controller's pytest, as if it had run the tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from workpool.pytest_plugin._collection import nodeid_of
from workpool.pytest_plugin._junit import JunitFile
from workpool.pytest_plugin._reports import Frame, ReportUnpacker
from workpool.pytest_plugin._shortcuts import Shortcuts
from workpool.pytest_plugin._warnings_wire import unpack_warning

_ONCE = ("config", "collect")
"""When every worker has the same warnings, and the controller may have them too."""


class Relay:
    """Calls the hooks of a run."""

    def __init__(self, config: pytest.Config, fields: Sequence[dict[str, Any]]) -> None:
        """Have the reports of each worker get these fields."""
        self._fields = fields
        self._config = config
        self._hook = config.hook
        self._shortcuts: Shortcuts | None = None
        """Found when the first test has ended: all plugins are there by then."""
        self._unpacker = ReportUnpacker(config)
        self._junit = JunitFile(config)
        self._begun: set[str] = set()
        self._warned: set[tuple[Any, ...]] = set()
        self._collect_reports: Counter[tuple[str, str]] = Counter()

    def reports(
        self, name: str, frame: Frame, worker: int, *, is_over: bool
    ) -> list[pytest.TestReport]:
        """Report (a part of) a test; return its reports."""
        nodeid = nodeid_of(name)
        reports = self._unpacker.unpack(nodeid, frame, self._fields[worker])
        if not is_over or name in self._begun:
            self._pass_on_part(name, nodeid, frame[0], reports, is_over=is_over)
            return reports
        hook, location, shortcuts = self._hook, frame[0], self._shortcuts
        if shortcuts is None:
            shortcuts = self._shortcuts = Shortcuts(self._config)
        if not shortcuts.skips_frame:
            hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for report in reports:
            if not shortcuts.take(report):
                hook.pytest_runtest_logreport(report=report)
        if not shortcuts.skips_frame:
            hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)
        return reports

    def late(self, frame: Frame, name: str, worker: int) -> None:
        """Report what went wrong in a tear-down after its test had been reported."""
        for report in self._unpacker.unpack(nodeid_of(name), frame, self._fields[worker]):
            if report.passed:
                self._note_printed(report)
                continue
            with self._junit.joining(report):
                self._hook.pytest_runtest_logreport(report=report)

    def suite_properties(self, properties: Iterable[tuple[str, str]]) -> None:
        """Have properties of the whole suite written."""
        self._junit.take_suite(properties)

    def _note_printed(self, report: pytest.TestReport) -> None:
        """Let the terminal show, with -rA, what a tear-down has printed; that there was one is known."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter._add_stats("", [report])

    def end(self, name: str, reports: list[pytest.TestReport]) -> None:
        """Report the end of a test that its worker did not bring to its end."""
        nodeid = nodeid_of(name)
        self._pass_on_part(name, nodeid, _location(nodeid), reports, is_over=True)

    def has_begun(self, name: str) -> bool:
        """Whether a part of the test has been reported and its end has not."""
        return name in self._begun

    def collect_reports(self, packed: Iterable[dict[str, Any]]) -> None:
        """Report collections of one worker that did not pass: those that no other has reported.

        One worker may well report two of one name, such as a module and the doctests in it.
        """
        own: Counter[tuple[str, str]] = Counter()
        for data in packed:
            report = self._unpacker.unpack_any(data)
            key = (report.nodeid, report.outcome)
            own[key] += 1
            if own[key] > self._collect_reports[key]:
                self._collect_reports[key] = own[key]
                self._hook.pytest_collectreport(report=report)

    def warnings(self, packed: Iterable[tuple[Any, ...]]) -> None:
        """Report warnings, those of the configuration and collection once."""
        for warning in packed:
            arguments = unpack_warning(warning)
            if arguments["when"] in _ONCE and not self.is_new_warning(warning[2:7]):
                continue
            self._hook.pytest_warning_recorded.call_historic(kwargs=arguments)

    def is_new_warning(self, key: tuple[Any, ...]) -> bool:
        """Whether a warning was not seen before; from now on it was."""
        is_new = key not in self._warned
        self._warned.add(key)
        return is_new

    def _pass_on_part(
        self,
        name: str,
        nodeid: str,
        location: Any,
        reports: list[pytest.TestReport],
        *,
        is_over: bool,
    ) -> None:
        hook = self._hook
        if name not in self._begun:
            self._begun.add(name)
            hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        if is_over:
            self._begun.discard(name)
            hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


def _location(nodeid: str) -> tuple[str, None, str]:
    path, _, rest = nodeid.partition("::")
    return path, None, rest.replace("::", ".")
