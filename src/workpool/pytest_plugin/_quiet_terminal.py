"""The terminal reporter of a worker: there for whoever asks for it, silent about the run."""

from __future__ import annotations

from typing import Any

import pytest

_NAME = "terminalreporter"


class QuietTerminalReporter:
    """Has everything the reporter has but its hooks: the controller reports the run."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter
        self.collection_lines: list[str | list[str]] = []
        """What hooks have to say of the collection, as they gave it: the last one first."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Ask for what is to be shown of the collection; the controller shows it."""
        config = session.config
        for text in config.hook.pytest_report_collectionfinish(
            config=config, start_path=config.invocation_params.dir, items=session.items
        ):
            is_line = isinstance(text, str)
            self.collection_lines.append(str(text) if is_line else [str(line) for line in text])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)


def quiet(config: pytest.Config) -> None:
    """Put a silent one in the reporter's place. What plugins write through it is still written."""
    manager = config.pluginmanager
    reporter = manager.get_plugin(_NAME)
    if reporter is not None:
        manager.unregister(reporter)
        manager.register(QuietTerminalReporter(reporter), _NAME)


def collection_lines(config: pytest.Config) -> list[str | list[str]]:
    """Return what hooks have to say of the collection."""
    reporter = config.pluginmanager.get_plugin(_NAME)
    return reporter.collection_lines if isinstance(reporter, QuietTerminalReporter) else []
