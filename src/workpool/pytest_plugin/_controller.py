"""The controller: pytest's session, whose tests are run by workers."""

from __future__ import annotations

from typing import Any

import pytest

from workpool.pytest_plugin._console import Console
from workpool.pytest_plugin._crew import FINISH_SECONDS, Crew
from workpool.pytest_plugin._forecast import MEMORY
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._run import Run
from workpool.pytest_plugin._stepwise import StepwiseOrder, stepwise_order

_INTERRUPT_SECONDS = 0.8
"""Time the workers have to tear down and end after Ctrl-C: the summary is to be there within two seconds,
and pytest has something to do before and after that."""


class Controller:
    """The plugin that takes the place of pytest's own collection and loop over the tests."""

    def __init__(self, config: pytest.Config, options: Options, crew: Crew) -> None:
        self._config = config
        self._options = options
        self._crew = crew
        self._console: Console
        self._run = Run(config, options, crew)
        self._stepwise: StepwiseOrder | None = None

    def pytest_report_header(self) -> str:
        """Say that there are workers."""
        count = self._options.workers
        most = "up to " if self._options.is_auto and count > 1 else ""
        return f"workpool: {most}{count} worker{'s' if count > 1 else ''}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Start the workers."""
        self._console = Console(self._config)
        self._console.begin()
        self._stepwise = stepwise_order(self._config)
        self._run.start(session, self._console)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        """Let the workers collect: wait until the first of them knows which tests there are."""
        self._run.wait_for_collection()
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Have the tests run."""
        if session.testsfailed and not self._config.option.continue_on_collection_errors:
            errors = "error" if session.testsfailed == 1 else "errors"
            raise session.Interrupted(f"{session.testsfailed} {errors} during collection")
        self._run.run_tests()
        self._run.finish(FINISH_SECONDS)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """End the workers, however the run has ended."""
        is_interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        self._run.finish(_INTERRUPT_SECONDS if is_interrupted else FINISH_SECONDS)
        if self._stepwise is not None:
            self._stepwise.settle(self._run.tests)
        self._run.save_durations()
        self._save_memory()

    def _save_memory(self) -> None:
        cache: Any = getattr(self._config, "cache", None)
        if cache is not None and self._crew.most_memory:
            cache.set(MEMORY, self._crew.most_memory)

    def pytest_unconfigure(self) -> None:
        """End what is still there."""
        self._run.kill()

    def pytest_warning_recorded(self, warning_message: Any, when: str) -> None:
        """Remember what has been warned of here."""
        self._run.note_warning(warning_message, when)
