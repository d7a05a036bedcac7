"""The reports of one test on the wire: one frame for set-up, call and tear-down together.

Of a phase that just passed, the frame has the times and what was printed; nodeid, location and
keywords are in it once. Everything else goes through pytest's own hooks, which plugins extend.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest._code.code import TerminalRepr
from _pytest._io import TerminalWriter

from workpool.pytest_plugin._junit import JunitFile
from workpool.pytest_plugin._plain import plain

Frame = tuple[Any, Any, list[Any]]
"""Location, keywords and phases of a test."""

_WAS_SHOWN = "$workpool_shown"
"""Marks a failure that is not an exception: it shows itself, and has no line for the summary."""


class ShownText(TerminalRepr):
    """What a failure that shows itself has shown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write it."""
        for line in self._text.splitlines():
            tw.line(line)


class _Shown(str):
    """The repr of a value, as its own repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _passed_report() -> pytest.TestReport:
    return pytest.TestReport("", ("", None, ""), {}, "passed", None, "call")


_PLAIN_FIELDS = len(vars(_passed_report()))

_IDENTITY = "_id" if "_id" in vars(_passed_report()) else "nodeid"
"""The field that says which test a report is of; `nodeid` may be made from it each time it is asked for."""


class ReportPacker:
    """Packs reports in a worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        hook = config.hook.pytest_report_to_serializable
        self._is_extended = any(not _is_pytests_own(impl) for impl in hook.get_hookimpls())
        self._frame: Frame | None = None
        self._identity: Any = None

    def add(self, report: pytest.TestReport) -> None:
        """Pack a report of the test that runs, as it is now: whoever has made it may change it later."""
        frame = self._frame
        if frame is None:
            self._identity = vars(report)[_IDENTITY]
            self._frame = frame = report.location, list(report.keywords), []
        frame[2].append(self._pack_phase(report))

    def take(self) -> Frame | None:
        """Return what was packed since this was last called; None if nothing was."""
        frame, self._frame = self._frame, None
        return frame

    def ask_status(self, report: pytest.TestReport) -> None:
        """Have the plugins say what a report counts as; some change it then."""
        self._config.hook.pytest_report_teststatus(report=report, config=self._config)

    def pack_any(self, report: Any) -> dict[str, Any]:
        """Pack a report of any kind, of a collection for example."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        packed: dict[str, Any] = plain(data)
        if hasattr(report.longrepr, "toterminal") and isinstance(packed.get("longrepr"), str):
            packed[_WAS_SHOWN] = True
        return packed

    def _pack_phase(self, report: pytest.TestReport) -> Any:
        fields, identity = report.__dict__, self._identity
        if (
            report.__class__ is pytest.TestReport
            and report.outcome == "passed"
            and report.longrepr is None
            and not report.user_properties
            and len(fields) == _PLAIN_FIELDS
            and not self._is_extended
            and (fields.get(_IDENTITY) is identity or fields.get(_IDENTITY) == identity)
        ):
            sections = report.sections and plain(report.sections)
            return report.when, report.duration, report.start, report.stop, sections
        return self.pack_any(report)


class ReportUnpacker:
    """Makes reports again, in the controller."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._junit = JunitFile(config)

    def unpack(self, nodeid: str, frame: Frame, fields: dict[str, Any]) -> list[pytest.TestReport]:
        """Return the reports of a test, each with these fields beside pytest's."""
        location, names, phases = frame
        keywords = dict.fromkeys(names, 1)
        first: dict[str, Any] | None = None
        reports = []
        for phase in phases:
            if phase.__class__ is dict:
                reports.append(self.unpack_any(phase))
                vars(reports[-1]).update(fields)
                self._junit.take_attributes(reports[-1])
                continue
            if first is None:
                first = vars(
                    pytest.TestReport(nodeid, location, keywords, "passed", None, "setup", **fields)  # type: ignore[arg-type]
                )
            reports.append(_passed_again(first, *phase))
        return reports

    def unpack_any(self, data: dict[str, Any]) -> Any:
        """Return a report of any kind."""
        was_shown = data.pop(_WAS_SHOWN, False)
        parameters = data.get("_subtest.context", {}).get("kwargs")
        report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
        if was_shown:
            report.longrepr = ShownText(report.longrepr)
        if parameters and type(report).__module__ == "_pytest.subtests":
            # pytest has sent what their repr gives, and would show the repr of that.
            report.context.kwargs.update(
                {name: _Shown(value) for name, value in parameters.items()}
            )
        return report


def _passed_again(
    like: dict[str, Any], when: Any, duration: float, start: float, stop: float, sections: Any
) -> pytest.TestReport:
    """Make the report of a passed phase: `TestReport.__init__` would parse the nodeid each time."""
    report = pytest.TestReport.__new__(pytest.TestReport)
    fields = report.__dict__
    fields.update(like)
    fields["when"] = when
    fields["duration"] = duration
    fields["start"] = start
    fields["stop"] = stop
    fields["sections"] = [tuple(section) for section in sections] if sections else []
    fields["user_properties"] = []
    return report


def _is_pytests_own(implementation: Any) -> bool:
    return str(implementation.function.__module__).startswith("_pytest.")
