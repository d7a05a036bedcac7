"""What goes wrong with workers, told in due time."""

from __future__ import annotations

import pytest
from _pytest._code.code import ReprFileLocation

from workpool.pytest_plugin._reports import ShownText
from workpool.pytest_plugin._roster import Problem


class ProblemText(ShownText):
    """A problem, of which pytest's summary takes the first line: whole on CI, where it does not cut off the text."""

    def __init__(self, problem: Problem) -> None:
        text = "\n".join(problem.lines)
        super().__init__(text)
        self.reprcrash = ReprFileLocation(problem.nodeid, 0, text.partition("\n")[0])


class Problems:
    """Keeps problems until they can be reported: pytest would run no test if it heard of them before the first."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kept: list[Problem] = []

    def note(self, problem: Problem) -> None:
        """Keep a problem, or end the run if it is of that kind."""
        if problem.is_usage:
            raise pytest.UsageError(*problem.lines)
        if problem.exit is not None:
            pytest.exit(*problem.exit)
        if problem.is_new:
            self._kept.append(problem)

    def report(self) -> None:
        """Report what was kept, as errors."""
        kept, self._kept = self._kept, []
        for problem in kept:
            report = pytest.CollectReport(problem.nodeid, "failed", ProblemText(problem), [])
            self._config.hook.pytest_collectreport(report=report)
