"""What a worker leaves out of its hook calls: what comes of tests, and what plugins see, stays the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from _pytest import runner

from workpool.pytest_plugin import _phases
from workpool.pytest_plugin._quiet_terminal import quiet
from workpool.pytest_plugin._reports import ReportPacker, ReportUnpacker
from workpool.pytest_plugin._worker_session import Recorder

SUITE = """
import pytest

@pytest.fixture
def broken(): raise RuntimeError("set-up")
@pytest.fixture
def breaks():
    yield
    raise RuntimeError("tear-down")

def test_passes(): pass
def test_fails(): assert 0
def test_skips(): pytest.skip("for a reason")
@pytest.mark.xfail
def test_fails_as_expected(): assert 0
@pytest.mark.xfail
def test_passes_unexpectedly(): pass
def test_set_up(broken): pass
def test_tear_down(breaks): pass
def test_passes_too(): pass
"""

HOOKS = {
    "pytest_runtest_logreport": lambda self, report: self.seen.append(("report", report.when)),
    "pytest_runtest_logstart": lambda self, nodeid: self.seen.append(("start", nodeid)),
    "pytest_runtest_logfinish": lambda self, nodeid: self.seen.append(("finish", nodeid)),
    "pytest_exception_interact": lambda self, report: self.seen.append(("failure", report.when)),
    "pytest_runtest_protocol": lambda self, item: self.seen.append(("protocol", item.name)),
}
"""Every one of them also notes reports, in which order it is."""


def witness(hook: str) -> Any:
    """Return a plugin that notes what it sees through a hook, and the reports."""
    names = {hook, "pytest_runtest_logreport"}
    return type("Witness", (), {"seen": [], **{name: HOOKS[name] for name in names}})()


class Begun:
    """A session that has collected, as a worker has it, or as pytest."""

    def __init__(self, pytester: pytest.Pytester, *options: str) -> None:
        config = pytester.parseconfigure(*options)
        self.recorder = Recorder()
        self.recorder.packer = ReportPacker(config)
        self.plugins = config.pluginmanager
        self.plugins.register(self.recorder)
        self.session = pytest.Session.from_config(config)
        config.hook.pytest_sessionstart(session=self.session)
        self.session.perform_collect()
        self.called: list[str] = []
        self.plugins.add_hookcall_monitoring(
            lambda name, *_: self.called.append(name), lambda *_: None
        )

    def shortened(self) -> Begun:
        """Leave calls out from now on."""
        quiet(self.session.config)
        _phases.Shortcuts(self.session, self.recorder.pytest_runtest_logreport).install()
        return self

    def run(self) -> Any:
        """Run all tests; return their reports, and how many have failed."""
        items: list[Any] = [*self.session.items, None]
        config = self.session.config
        outcomes = []
        for item, following in pairwise(items):
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            frame = self.recorder.packer.take()
            assert frame is not None
            reports = ReportUnpacker(config).unpack(item.nodeid, frame, {})
            outcomes += [(report.nodeid, report.when, report.outcome) for report in reports]
        return outcomes, self.session.testsfailed


@pytest.fixture(autouse=True)
def phases(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a suite run as in a worker, until the test has ended."""
    pytester.makepyfile(test_suite=SUITE)
    monkeypatch.setattr(runner, "call_and_report", _phases.call_and_report)
    monkeypatch.setattr(_phases, "_shortcuts", None)


def test_what_comes_of_tests_is_the_same(pytester: pytest.Pytester) -> None:
    """Each phase is reported once, in order; calls that nobody hears are made only if logs are live."""
    options = ("-p", "no:terminal")
    whole, short = Begun(pytester, *options), Begun(pytester, *options).shortened()
    assert whole.run() == short.run()
    assert whole.called.count("pytest_runtest_logstart") == 8
    assert "pytest_runtest_logstart" not in short.called
    assert short.called.count("pytest_runtest_logreport") == 5  # of what has not passed
    live = Begun(pytester, "-q", "-o", "log_cli=true").shortened()
    live.run()
    assert live.called.count("pytest_runtest_logreport") == 23
    assert live.called.count("pytest_runtest_logfinish") == 8


@pytest.mark.parametrize("is_late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugin_that_has_a_say_sees_all(
    pytester: pytest.Pytester, hook: str, is_late: bool
) -> None:
    """Whichever hook it implements, and if it comes when calls are left out already."""
    seen = []
    for shortens in (False, True):
        begun, plugin = Begun(pytester, "-p", "no:terminal"), witness(hook)
        if shortens and is_late:
            begun.shortened()
        begun.plugins.register(plugin)
        if shortens and not is_late:
            begun.shortened()
        seen.append((begun.run(), plugin.seen))
    assert seen[0] == seen[1]


def test_a_conftest_has_a_say_about_its_own_tests(pytester: pytest.Pytester) -> None:
    """The hooks of a folder's conftest are called for its tests alone, though others came in between."""
    for folder in "ab":
        place = pytester.mkdir(folder)
        (place / "conftest.py").write_text(
            "seen = []\ndef pytest_runtest_setup(item): seen.append(item.nodeid)\n"
        )
        (place / f"test_{folder}.py").write_text("def test_1(): pass\ndef test_2(): pass\n")
    begun = Begun(pytester, "-p", "no:terminal", "--import-mode=importlib").shortened()
    begun.session.items.sort(key=lambda item: item.name)  # of one folder and of the other in turn
    begun.run()
    for folder in "ab":
        [conftest] = (
            vars(plugin)
            for name, plugin in begun.plugins.list_name_plugin()
            if name.endswith(f"{folder}/conftest.py")
        )
        assert conftest["seen"] == [f"{folder}/test_{folder}.py::test_{n}" for n in (1, 2)]


def test_pytest_within_a_test_is_left_alone(pytester: pytest.Pytester) -> None:
    """A session with a configuration of its own has all its calls made."""
    inner = Begun(pytester, "-p", "no:terminal")
    Begun(pytester, "-p", "no:terminal").shortened()
    inner.run()
    assert inner.called.count("pytest_runtest_logreport") == 23
