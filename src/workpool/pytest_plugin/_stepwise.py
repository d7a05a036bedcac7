"""`--stepwise` in workers: the next run continues from the first test, in their order, that has not passed."""

from __future__ import annotations

from typing import Any

import pytest

from workpool.pytest_plugin._collection import nodeid_of


class StepwiseOrder:
    """Corrects what pytest's own plugin remembers, which is the failure that comes first in time.

    A test before that one may have failed a moment later, or been broken off.
    """

    def __init__(self, plugin: Any) -> None:
        self._memory = getattr(plugin, "cached_info", plugin)  # pytest 8.3 has it in the plugin
        self._name = "last_failed" if hasattr(self._memory, "last_failed") else "lastfailed"
        self._forgives_one = plugin.skip
        self._went_well: set[str] = set()
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test has ended."""
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.when == "call" or report.skipped:
            self._went_well.add(report.nodeid)

    def settle(self, names: list[str]) -> None:
        """Have the right test remembered, of these in the order in which they were to be run."""
        if getattr(self._memory, self._name) is None:
            return
        went_well = self._went_well - self._failed
        rest = [nodeid for name in names if (nodeid := nodeid_of(name)) not in went_well]
        if self._forgives_one and rest and rest[0] in self._failed:
            del rest[0]
        if rest:
            setattr(self._memory, self._name, rest[0])


def stepwise_order(config: pytest.Config) -> StepwiseOrder | None:
    """Return what corrects the memory of `--stepwise`, registered; None in a run without."""
    plugin = config.pluginmanager.get_plugin("stepwiseplugin")
    if plugin is None:
        return None
    order = StepwiseOrder(plugin)
    config.pluginmanager.register(order, "workpool-stepwise")
    return order
