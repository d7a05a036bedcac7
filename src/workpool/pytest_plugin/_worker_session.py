"""The pytest session of a worker: configured and collected once, then given tests one by one."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

import pytest
from _pytest.config import _prepareconfig

from workpool.pytest_plugin import WORKER_PLUGIN, _phases
from workpool.pytest_plugin._collection import Collected, describe, digest, unique_nodeids
from workpool.pytest_plugin._early_output import Mark
from workpool.pytest_plugin._junit import JunitNotes, forget_junit, note_for_junit
from workpool.pytest_plugin._no_debugger import refuse_breakpoints
from workpool.pytest_plugin._open_call import OpenCall
from workpool.pytest_plugin._plain import plain
from workpool.pytest_plugin._quiet_terminal import collection_lines, quiet
from workpool.pytest_plugin._reports import ReportPacker
from workpool.pytest_plugin._timeouts import TimeoutReporter
from workpool.pytest_plugin._warnings_wire import pack_warning
from workpool.pytest_plugin._worker_settings import WorkerSettings

_ABOUT_OWN = ("cannot be rewritten; workpool", "cannot be rewritten; workpool.pytest_plugin")

_CHECKS_OPTIONS = "_validate_config_options"
"""The function of pytest's that warns of unknown options in the configuration file."""


class WorkerSession:
    """A session without a terminal and without a loop over its tests."""

    def __init__(self, settings: WorkerSettings, worker_id: int) -> None:
        self._settings = settings
        self.name = f"gw{worker_id}"
        self._mark = Mark()
        self.recorder = Recorder()
        self.items: dict[str, pytest.Item] = {}
        self.session: pytest.Session
        self.config: pytest.Config
        self._open_calls: list[OpenCall] = []
        self._is_configured = self._is_started = False

    # Opening

    def open(self) -> dict[str, Any]:
        """Configure and collect; return what the controller is told of it, failures included."""
        try:
            self._configure()
            self._start()
            return self._collect()
        except pytest.UsageError as error:
            return {"usage": [str(argument) for argument in error.args]}
        except pytest.exit.Exception as error:
            return {"exit": (error.msg, error.returncode)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown where the user looks
            from workpool.pytest_plugin._session_errors import explain

            return {"error": explain(error)}

    def _configure(self) -> None:
        settings = self._settings
        changed, deleted = settings.environment
        os.environ.update(changed)
        for name in deleted:
            os.environ.pop(name, None)
        os.chdir(settings.directory)
        sys.argv = list(settings.argv)
        os.environ["PYTEST_XDIST_WORKER"] = self.name
        os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(settings.worker_count)
        os.environ["PYTEST_XDIST_TESTRUNUID"] = settings.run_id
        _stop_forwarding_logs()
        _phases.install()
        self.config = config = _prepareconfig(
            settings.arguments, [*settings.plugins, self.recorder]
        )
        self._adapt(config)
        self._open(config.hook.pytest_cmdline_main, "_pytest.main", config=config)

    def _adapt(self, config: pytest.Config) -> None:
        settings = self._settings
        config.option.color = settings.color
        config.option.usepdb = False
        if settings.base_temp:
            config.option.basetemp = f"{settings.base_temp}/{self.name}-{os.getpid()}"
        vars(config)["workerinput"] = dict(settings.worker_input)
        vars(config)["workeroutput"] = {}

    def _start(self) -> None:
        self.session = pytest.Session.from_config(self.config)
        self.session.exitstatus = pytest.ExitCode.OK
        self.config._do_configure()
        quiet(self.config)
        refuse_breakpoints(self.config)
        if self._settings.timeout is not None:
            self.config.pluginmanager.register(TimeoutReporter(self._settings.timeout))
        self.recorder.packer = ReportPacker(self.config)
        self.recorder.junit = note_for_junit(self.config)
        self._is_configured = True
        self.config.hook.pytest_sessionstart(session=self.session)
        self._is_started = True
        self._mark.write()

    def _collect(self) -> dict[str, Any]:
        session = self.session
        # Interrupted by failures, it is: they are among the reports.
        with suppress(pytest.Session.Interrupted, pytest.Session.Failed):
            self.config.hook.pytest_collection(session=session)
        names = unique_nodeids(session.items)
        self.items = dict(zip(names, session.items, strict=True))
        self._open(self.config.hook.pytest_runtestloop, "_pytest.main", session=session)
        _phases.Shortcuts(session, self.recorder.pytest_runtest_logreport).install()
        return {
            "digest": digest(names),
            "reports": self.recorder.take_collect_reports(),
            "deselected": self.recorder.deselected,
            "lines": collection_lines(self.config),
            "stop": plain(session.shouldstop or session.shouldfail),
        }

    def describe(self) -> tuple[Any, ...]:
        """Return the collection in built-in types."""
        collected = describe(list(self.items.values()), list(self.items))
        places = [tuple(place) for place in collected.places]
        return tuple(Collected(collected.nodeids, collected.place_numbers, places))  # type: ignore[arg-type]

    def capture_descriptors(self) -> list[int]:
        """Return the files that standard output and error are captured in; empty if they are in memory."""
        config = getattr(self, "config", None)
        if config is None:  # it could not be made
            return []
        manager: Any = config.pluginmanager.get_plugin("capturemanager")
        capturing = getattr(manager, "_global_capturing", None)
        streams = (getattr(capturing, "out", None), getattr(capturing, "err", None))
        files = [getattr(stream, "tmpfile", None) for stream in streams]
        with suppress(OSError, AttributeError):
            return [file.fileno() for file in files]  # type: ignore[union-attr]
        return []

    # Closing

    def close(self) -> dict[str, Any]:
        """End the session as pytest does; return what plugins have left in ``config.workeroutput``."""
        if not self._is_configured:
            return {}
        self._is_configured = False
        failure = self.step(self._close_calls, 1)
        if self._is_started:
            if self.session.testsfailed:
                self.session.exitstatus = pytest.ExitCode.TESTS_FAILED
            failure = self.step(self._finish) or failure
        forget_junit(self.config)
        failure = self.step(self.config._ensure_unconfigure) or failure
        failure = self.step(self._close_calls, 0) or failure
        output = plain(vars(self.config)["workeroutput"])
        junit = self.recorder.junit
        return {
            "workeroutput": output,
            "error": failure,
            "warnings": self.recorder.take_warnings(),
            "suite": junit.take_suite() if junit is not None else [],
        }

    def _finish(self) -> None:
        os.chdir(self._settings.directory)
        session = self.session
        vars(self.config)["workeroutput"].update(
            exitstatus=int(session.exitstatus),
            shouldfail=session.shouldfail,
            shouldstop=session.shouldstop,
        )
        self.config.hook.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)

    def _open(self, hook: Any, innermost: str, **arguments: Any) -> None:
        self._open_calls.append(OpenCall(hook, innermost, **arguments))

    def _close_calls(self, down_to: int) -> None:
        while len(self._open_calls) > down_to:
            self._open_calls.pop().close(self.session.exitstatus if not down_to else True)

    @staticmethod
    def step(action: Any, *arguments: Any) -> str:
        """Do one step of the end; return what it failed with, for the next must be done too."""
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - told to the controller
            from workpool.pytest_plugin._session_errors import explain

            return explain(error)
        return ""


def _stop_forwarding_logs() -> None:
    """Leave log records to pytest, which shows, captures and writes them here."""
    for handler in list(logging.root.handlers):
        if type(handler).__module__.startswith("workpool."):
            logging.root.removeHandler(handler)


class Recorder:
    """The plugin that notes, in a worker, what the controller has to know."""

    __name__ = WORKER_PLUGIN  # pytest registers a plugin under it

    def __init__(self) -> None:
        self.packer: ReportPacker
        self.junit: JunitNotes | None = None
        self.last_when = ""
        """The phase of the test that was reported last."""
        self.on_failure: Any = None
        """Called after a report of a failure."""
        self.deselected = 0
        self._has_subtests = False
        self._collect_reports: list[Any] = []
        self._warnings: list[tuple[Any, ...]] = []

    def take_warnings(self) -> list[tuple[Any, ...]]:
        """Return the warnings since this was last called, packed."""
        noted, self._warnings = self._warnings, []
        return noted

    def take_collect_reports(self) -> list[dict[str, Any]]:
        """Return the packed reports of collections that did not pass."""
        noted, self._collect_reports = self._collect_reports, []
        return [self.packer.pack_any(report) for report in noted]

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a report."""
        if report.__class__ is not pytest.TestReport:
            self._has_subtests = True
        elif self._has_subtests and report.when == "call":
            # Whether it has failed in a part of it is seen when its status is asked for.
            self._has_subtests = False
            self.packer.ask_status(report)
        if self.junit is not None:
            self.junit.add_to(report)
        self.last_when = report.when
        self.packer.add(report)
        if report.outcome == "failed" and self.on_failure is not None:
            self.on_failure()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a collection that did not pass."""
        if report.outcome != "passed":
            self._collect_reports.append(report)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count what was not selected."""
        self.deselected += len(items)

    def pytest_warning_recorded(
        self, warning_message: Any, when: str, nodeid: str, location: Any
    ) -> None:
        """Note a warning, unless it is about this package, which a worker has to import first."""
        if when == "config" and str(warning_message.message).endswith(_ABOUT_OWN):
            return
        if location and location[2] == _CHECKS_OPTIONS:
            return  # the controller does that too, later
        self._warnings.append(pack_warning(warning_message, when, nodeid, location))
