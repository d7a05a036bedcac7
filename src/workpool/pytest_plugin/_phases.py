"""How a worker has pytest run a test: as ever, less the hook calls that nobody hears.

Before any hook sees the next test, its stand-in is replaced by the test itself. And what would change
nothing in a worker is left out, as the controller leaves some out: pytest's own plugins do nothing
there when a test begins or ends, nor about a phase (set-up, call, tear-down) that has passed. As soon
as another plugin has a say, all calls are made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _pytest import runner

from workpool.pytest_plugin._next_item import NextItem

_call_and_report = runner.call_and_report

_shortcuts: Shortcuts | None = None
"""Of the session of this worker, as soon as that has collected."""

_REPORTERS = {
    "_pytest.main.Session.pytest_runtest_logreport",
    "_pytest.cacheprovider.LFPlugin.pytest_runtest_logreport",
    "_pytest.logging.LoggingPlugin.pytest_runtest_logreport",
}
"""Of no use when a phase has passed: failures are counted, the cache is written by the controller."""

_FRAMES = {
    "_pytest.logging.LoggingPlugin.pytest_runtest_logstart",
    "_pytest.logging.LoggingPlugin.pytest_runtest_logfinish",
}
"""Of no use unless logs are shown live."""

_ONLOOKERS = {"_pytest.faulthandler.pytest_exception_interact"}
"""To them it is the same whether the failure they look at has been reported."""

_PROTOCOLS = {"_pytest.runner.pytest_runtest_protocol"}


class Shortcuts:
    """Leaves out what nobody hears, in one session. To be made when all its plugins are there."""

    def __init__(self, session: pytest.Session, note: Callable[[pytest.TestReport], None]) -> None:
        """Have `note` told of reports, which is also in the hook for them."""
        self.config = config = session.config
        self._session = session
        self._note = note
        self._hook = hook = config.hook
        live = _shows_logs(config)
        reporters = set() if live else {*_REPORTERS, _name_of(note)}
        self._reporters = _Audience(hook.pytest_runtest_logreport, reporters)
        self.may_report_late = _Audience(hook.pytest_exception_interact, _ONLOOKERS).is_idle
        """Whether nobody can tell if a failure is reported before or after it is looked at."""
        self._starts = _Audience(hook.pytest_runtest_logstart, set() if live else _FRAMES)
        self._finishes = _Audience(hook.pytest_runtest_logfinish, set() if live else _FRAMES)

    def install(self) -> None:
        """Let the session's tests run like this from now on."""
        global _shortcuts
        _shortcuts = self
        vars(self._session)["gethookproxy"] = _HooksOfPath(self._session).find
        protocols = self._hook.pytest_runtest_protocol.get_hookimpls()
        if {_name_of(each.function) for each in protocols if not _is_wrapper(each)} == _PROTOCOLS:
            # It comes after what is registered later, and before pytest's own.
            self.config.pluginmanager.register(self, "workpool-shortcuts")

    def report(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Report a phase."""
        if report.outcome == "passed" and self._reporters.is_idle():
            self._note(report)
        else:
            item.ihook.pytest_runtest_logreport(report=report)

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a test without telling of its beginning and end, if nobody wants to know."""
        if not (self._starts.is_idle() and self._finishes.is_idle()):
            return None
        runner.runtestprotocol(item, nextitem=nextitem)
        return True


class _HooksOfPath:
    """Finds what implements hooks for tests of a file, where several conftests do: once, not at each call."""

    def __init__(self, session: pytest.Session) -> None:
        self._find = session.gethookproxy
        self._conftests: Any = getattr(session.config.pluginmanager, "_conftest_plugins", None)
        self._count = -1
        self._path: Any = None
        self._hooks: Any = None

    def find(self, fspath: Any) -> Any:
        """Return the hooks for a path."""
        conftests = self._conftests
        if conftests is None:
            return self._find(fspath)
        if fspath is not self._path or len(conftests) != self._count:
            self._hooks = self._find(fspath)
            self._path, self._count = fspath, len(conftests)
        return self._hooks


class _Audience:
    """Those who implement a hook, of whom some are known to do nothing when nothing is wrong."""

    def __init__(self, hook: Any, idle: set[str]) -> None:
        self._implementations = hook.get_hookimpls
        found = hook.get_hookimpls()
        self._idle_count = len(found) if {_name_of(each.function) for each in found} <= idle else -1

    def is_idle(self) -> bool:
        """Whether there is nobody else, and nobody has come since."""
        return len(self._implementations()) == self._idle_count


def call_and_report(item: pytest.Item, when: Any, log: bool = True, **arguments: Any) -> Any:
    """Run a phase, and report it unless somebody else does."""
    if when == "teardown":
        following = arguments.get("nextitem")
        if following.__class__ is NextItem:
            arguments["nextitem"] = following.resolve()
    shortcuts = _shortcuts
    # A test may run pytest itself, in this process: that has a configuration of its own.
    if not log or shortcuts is None or shortcuts.config is not item.config:
        return _call_and_report(item, when, log, **arguments)
    if not shortcuts.may_report_late():
        return _call_and_report(item, when, log, **arguments)
    report = _call_and_report(item, when, False, **arguments)
    shortcuts.report(item, report)
    return report


def install() -> None:
    """Have pytest, and plugins that are loaded from now on, run phases like this."""
    runner.call_and_report = call_and_report


def _name_of(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _is_wrapper(implementation: Any) -> bool:
    return bool(implementation.wrapper or implementation.hookwrapper)


def _shows_logs(config: pytest.Config) -> bool:
    logging: Any = config.pluginmanager.get_plugin("logging-plugin")
    return logging is not None and bool(logging._log_cli_enabled())
