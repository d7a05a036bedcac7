"""The terminal reporter of a worker: there for whoever asks for it, silent about the run."""

from __future__ import annotations

from typing import Any

import pytest

_NAME = "terminalreporter"


class QuietTerminalReporter:
    """Has everything the reporter has but its hooks: the controller reports the run."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)


def quiet(config: pytest.Config) -> None:
    """Put a silent one in the reporter's place. What plugins write through it is still written."""
    manager = config.pluginmanager
    reporter = manager.get_plugin(_NAME)
    if reporter is not None:
        manager.unregister(reporter)
        manager.register(QuietTerminalReporter(reporter), _NAME)
