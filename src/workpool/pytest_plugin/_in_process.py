"""Runs that have no workers though they were asked for: what is said, and what is noted for the next ones."""

from __future__ import annotations

from typing import Any

import pytest

from workpool.pytest_plugin._durations import Durations


def stay_in_process(config: pytest.Config, reason: str, *, is_tiny: bool) -> None:
    """Register what there is instead of workers. Of a run that is not tiny, but debugged, nothing is noted."""
    config.pluginmanager.register(InProcessNotice(reason), "workpool-notice")
    if is_tiny:
        config.pluginmanager.register(DurationsNoter(config), "workpool-durations")


class InProcessNotice:
    """Says in the header why no workers are used."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def pytest_report_header(self) -> str:
        """Give the reason."""
        return f"workpool: the tests run in this process: {self._reason}"


class DurationsNoter:
    """Notes how long tests take in a run without workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._durations = Durations(config)
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Note that the run has begun: if a test ends this process, that is what the next run finds."""
        self._durations.save_unsafe()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up what set-up, test and tear-down took."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Remember it, unless the run was broken off."""
        for name, seconds in self._seconds.items():
            self._durations.note(name, seconds)
        self._durations.save(is_safe=exitstatus != pytest.ExitCode.INTERRUPTED)
