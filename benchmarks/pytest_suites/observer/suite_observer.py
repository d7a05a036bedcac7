"""A pytest plugin that writes down how a run went, in every process of the run.

It is loaded by name with only its own folder on the path, so that nothing else of this checkout gets in
the way of the suites.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

FOLDER = "SUITE_OBSERVER_FOLDER"
WANTS_OUTCOMES = "SUITE_OBSERVER_OUTCOMES"
SORTS = "SUITE_OBSERVER_SORTS"


class Observer:
    """Processor time at the turning points of this process, and in the controller each outcome."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.before_collection = 0.0
        self.after_collection = 0.0
        self.reports: Counter[tuple[str, str, str, bool, bool]] = Counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self.wants_outcomes = WANTS_OUTCOMES in os.environ and not self.is_worker()

    def is_worker(self) -> bool:
        """Whether this process runs tests for another one."""
        return hasattr(self.config, "workerinput")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Note the time that the start took."""
        self.before_collection = time.process_time()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put tests that come in any order into one."""
        if SORTS in os.environ:
            items.sort(key=lambda item: item.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Note the time that the collection took."""
        self.after_collection = time.process_time()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write what is known: a worker may be ended any time now."""
        self.write()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Write it again, with what the end itself took."""
        self.write()

    def write(self) -> None:
        """Write this process's figures into a file of its own."""
        figures = {
            "is_worker": self.is_worker(),
            "before_collection": self.before_collection,
            "after_collection": self.after_collection,
            "cpu": time.process_time(),
            "reports": [[*key, count] for key, count in self.reports.items()],
            "longest": max(self.seconds.values(), default=0.0),
        }
        path = Path(os.environ[FOLDER]) / f"{os.getpid()}.json"
        path.write_text(json.dumps(figures))


class Outcomes:
    """Counts the reports of the controller."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a report."""
        is_subtest = hasattr(report, "context")
        key = (report.nodeid, report.when, report.outcome, hasattr(report, "wasxfail"), is_subtest)
        self.observer.reports[key] += 1
        self.observer.seconds[report.nodeid] += 0.0 if is_subtest else report.duration


def pytest_configure(config: pytest.Config) -> None:
    """Observe this process."""
    observer = Observer(config)
    config.pluginmanager.register(observer, "suite_observer_process")
    if observer.wants_outcomes:
        config.pluginmanager.register(Outcomes(observer), "suite_observer_outcomes")
