"""Runs tests that fail again, and tells which of them pass then: those are flaky."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from _pytest import runner

from workpool import TaskCancelled

_ATTEMPTS = "workpool_attempts"
"""On a report: how often the test was run, if more than once."""

_FAILURES = "workpool_failures"
"""On a report: what the attempts before failed with, a line each."""

_RETRIED = "retried"
"""The outcome of an attempt that ended its worker and is not the last one."""


def register_retries(config: pytest.Config, retries: int) -> None:
    """Have tests run up to so many times more."""
    if not retries:
        return
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FlakyTests(retries), "workpool-flaky")
        if hasattr(config.hook, "pytest_handlecrashitem"):
            config.pluginmanager.register(CrashRetries(retries), "workpool-crash-retries")
    config.pluginmanager.register(Retries(retries), "workpool-retries")


class Retries:
    """Runs a test, in the process that runs tests, until it does not fail or has failed often enough.

    The last attempt alone is reported; a test that ran out of time has none after that.
    """

    def __init__(self, retries: int) -> None:
        self._most = retries + 1
        self._is_out_of_time = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """See whether a test was interrupted because its time was up."""
        if call.excinfo is not None and isinstance(call.excinfo.value, TaskCancelled):
            self._is_out_of_time = True
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test and report it."""
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._is_out_of_time = False
        failures: list[pytest.TestReport] = []
        while True:
            reports = runner.runtestprotocol(item, log=False, nextitem=nextitem)
            failed = next((report for report in reports if report.failed), None)
            if failed is None or self._is_last(item, len(failures) + 1):
                break
            trouble = _clear(item) if failed.when == "setup" else None
            if trouble is not None:
                reports.append(trouble)
                break
            failures.append(failed)
        if failures:
            _tell_of_attempts(reports, failures)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _is_last(self, item: pytest.Item, attempt: int) -> bool:
        stops = bool(item.session.shouldstop or item.session.shouldfail)
        return stops or self._is_out_of_time or attempt >= self._most


class CrashRetries:
    """Has a test that ended its worker run again in another one."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._failures: dict[str, list[str]] = {}

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Any) -> None:
        """Note a crash; unless it was the last time, have the test run again."""
        failures = self._failures.setdefault(crashitem, [])
        failures.append(_gist(report))
        if len(failures) <= self._retries:
            report.outcome = _RETRIED  # type: ignore[assignment]
            sched.mark_test_pending(crashitem)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the crashes to the report of a test that has passed after them."""
        failures = self._failures.get(report.nodeid)
        if failures and report.when == "call" and report.passed:
            fields = vars(report)
            fields[_FAILURES] = [*failures, *fields.get(_FAILURES, ())]
            fields[_ATTEMPTS] = len(fields[_FAILURES]) + 1


class FlakyTests:
    """Tells of tests that have passed, but not at once."""

    def __init__(self, retries: int) -> None:
        self._most = retries + 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, Any] | None:
        """Give them a name of their own."""
        if report.outcome == _RETRIED:
            return "retried", "r", ("RETRIED", {"yellow": True})
        if report.passed and report.when == "call" and hasattr(report, _ATTEMPTS):
            return "flaky", "f", ("FLAKY", {"yellow": True})
        return None

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """List them, with what they failed with."""
        reports = terminalreporter.stats.get("flaky", ())
        if not reports:
            return
        terminalreporter.write_sep("=", "flaky tests", yellow=True, bold=True)
        for report in reports:
            attempts = getattr(report, _ATTEMPTS)
            terminalreporter.write_line(
                f"FLAKY {report.nodeid}: passed in attempt {attempts} of {self._most}"
            )
            for number, failure in enumerate(getattr(report, _FAILURES), start=1):
                terminalreporter.write_line(f"  attempt {number}: {failure}")


def _tell_of_attempts(reports: list[pytest.TestReport], failures: list[pytest.TestReport]) -> None:
    """Put into the report that decides what became of the attempts before."""
    deciding = next((report for report in reports if report.failed), None) or reports[-2]
    fields = vars(deciding)
    fields[_ATTEMPTS] = len(failures) + 1
    fields[_FAILURES] = [_gist(failure) for failure in failures]
    for number, failure in enumerate(failures, start=1):
        text = _gist(failure) if deciding.failed else failure.longreprtext
        deciding.sections.append((f"Attempt {number} failed", text))


def _gist(report: pytest.TestReport) -> str:
    """Return in one line what a report fails with."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr if crash is None else crash.message).strip()
    return text.splitlines()[0] if text else "failed without a word"


def _clear(item: pytest.Item) -> pytest.TestReport | None:
    """Tear down what is still set up, since pytest gives the exception of a fixture that failed once more."""
    state = item.session._setupstate
    call = runner.CallInfo.from_call(lambda: state.teardown_exact(None), when="teardown")
    return None if call.excinfo is None else pytest.TestReport.from_item_and_call(item, call)
