"""What is left out of a run's hook calls: what comes of a run is the same with all of them made."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.reports import TestReport

from workpool.pytest_plugin._shortcuts import Shortcuts

PLACE = ("test_a.py", 1, "test_a")
OUTCOMES = [
    ("test_a.py::test_1", "passed", "passed", "passed"),
    ("test_a.py::test_2", "passed", "failed", "passed"),
    ("test_a.py::test_3", "skipped", None, "passed"),
    ("test_b.py::test_4", "failed", None, "passed"),
    ("test_b.py::test_5", "passed", "passed", "failed"),
]
"""Tests, and what their set-up, call and tear-down come to."""


def begun(pytester: pytest.Pytester, *options: str) -> pytest.Config:
    """Return the configuration of a session that has begun."""
    config = pytester.parseconfigure(*options)
    session = pytest.Session.from_config(config)
    session.testscollected = len(OUTCOMES)
    config.hook.pytest_sessionstart(session=session)
    return config


def plugin_with(**hooks: Any) -> Any:
    return type("Plugin", (), {name: staticmethod(hook) for name, hook in hooks.items()})()


def reports_of(name: str, *outcomes: str | None) -> list[TestReport]:
    longrepr: dict[str, Any] = {"failed": "it failed", "skipped": ("test_a.py", 1, "it skipped")}
    return [
        TestReport(name, PLACE, {}, outcome, longrepr.get(outcome), when)  # type: ignore[arg-type]
        for when, outcome in zip(("setup", "call", "teardown"), outcomes, strict=True)
        if outcome is not None
    ]


def run(config: pytest.Config, *, shortened: bool) -> tuple[Any, ...]:
    """Report the tests; return what the reporter has then, and how many calls were left out."""
    shortcuts, taken = Shortcuts(config), 0
    hook = config.hook
    for name, *outcomes in OUTCOMES:
        if not (shortened and shortcuts.skips_frame):
            hook.pytest_runtest_logstart(nodeid=name, location=PLACE)
        for report in reports_of(name, *outcomes):
            if shortened and shortcuts.take(report):
                taken += 1
            else:
                hook.pytest_runtest_logreport(report=report)
        if not (shortened and shortcuts.skips_frame):
            hook.pytest_runtest_logfinish(nodeid=name, location=PLACE)
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    stats = {
        category: [(report.nodeid, report.when) for report in reports]
        for category, reports in reporter.stats.items()
    }
    return taken, (stats, reporter._tests_ran, reporter._main_color)


@pytest.mark.parametrize(
    ("options", "skips_frame"),
    [
        (("-q",), True),
        (("-q", "-rA", "--durations=3", "--maxfail=9", "--lf"), True),
        (("-q", "--sw"), True),
        ((), False),
        (("-v",), False),
        (("-q", "-o", "log_cli=true"), False),
    ],
)
def test_what_comes_of_a_run_is_the_same(
    pytester: pytest.Pytester,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    skips_frame: bool,
) -> None:
    """What is shown and counted, whatever is to be shown; half of the reports are only counted."""
    seen = []
    for shortened in (False, True):
        config = begun(pytester, *options)
        capsys.readouterr()
        taken, state = run(config, shortened=shortened)
        seen.append((state, capsys.readouterr().out))
        if shortened:
            assert taken == 7
            assert Shortcuts(config).skips_frame == skips_frame
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "hook",
    [
        {"pytest_runtest_logreport": lambda report: None},
        {"pytest_report_teststatus": lambda report: None},
    ],
    ids=lambda hook: next(iter(hook)),
)
def test_a_plugin_that_has_a_say_is_asked(pytester: pytest.Pytester, hook: dict[str, Any]) -> None:
    """As soon as somebody else has a hook for reports or their status, all calls are made."""
    config = begun(pytester, "-q")
    [report] = reports_of("test_a.py::test_1", "passed", None, None)
    assert Shortcuts(config).take(report)
    config.pluginmanager.register(plugin_with(**hook))
    assert not Shortcuts(config).take(report)
    assert Shortcuts(config).skips_frame


@pytest.mark.parametrize("name", ["pytest_runtest_logstart", "pytest_runtest_logfinish"])
def test_a_plugin_that_frames_tests_is_asked(pytester: pytest.Pytester, name: str) -> None:
    """One that wants to know that a test begins, or has ended, is told."""
    config = begun(pytester, "-q")
    assert Shortcuts(config).skips_frame
    config.pluginmanager.register(plugin_with(**{name: lambda nodeid, location: None}))
    assert not Shortcuts(config).skips_frame


def test_other_reports_are_not_only_counted(pytester: pytest.Pytester) -> None:
    """Nor is anything where there is no terminal: calls, what has not passed, what a plugin has made its own."""

    class Own(TestReport):
        pass

    shortcuts = Shortcuts(begun(pytester, "-q"))
    setup, call, teardown = reports_of("test_a.py::test_1", "passed", "passed", "passed")
    assert [shortcuts.take(each) for each in (setup, call, teardown)] == [True, False, True]
    for outcome in ("failed", "skipped"):
        [report] = reports_of("test_a.py::test_1", outcome, None, None)
        assert not shortcuts.take(report)
    own = Own("test_a.py::test_1", PLACE, {}, "passed", None, "setup")
    expected = reports_of("test_a.py::test_1", "passed", None, None)[0]
    vars(expected)["wasxfail"] = "reason"
    assert not shortcuts.take(own)
    assert not shortcuts.take(expected)
    assert not Shortcuts(begun(pytester, "-p", "no:terminal")).take(setup)
