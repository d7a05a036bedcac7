"""A run: what the workers report, and what follows from it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import Any

import pytest

from workpool import TaskTimeout
from workpool.pytest_plugin import _events as events
from workpool.pytest_plugin._console import Console
from workpool.pytest_plugin._crashes import crash_report
from workpool.pytest_plugin._crew import Crew
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._events import Event
from workpool.pytest_plugin._last_words import LastWords
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._relay import Relay
from workpool.pytest_plugin._roster import Problem, Roster
from workpool.pytest_plugin._schedule import HOLD_SECONDS, Due, Schedule
from workpool.pytest_plugin._watch import Watch, make_watch
from workpool.pytest_plugin._worker import NOT_HERE, NOT_OPEN
from workpool.pytest_plugin._worker_settings import WorkerSettings
from workpool.pytest_plugin._xdist_nodes import Nodes

LATE_SECONDS = 2.0
"""Time a worker may need to collect beyond twice what it took others, when all tests have been run."""

NAP_SECONDS = 0.005
"""How long nothing need be looked at while workers have plenty to do: some ten to twenty trivial tests."""

FEW_FAILURES = 10
"""A run that ends with so many failures at most is to stop where a serial one does, even if that costs time. Some
projects allow hundreds in their configuration: there, what has run in vain by then matters little."""

_OVERDUE_SECONDS = 3.0
"""Time after which nothing more is expected of a test whose time was up: the pool's grace is one second."""


class Run:
    """Has the tests run, and tells pytest's hooks of it."""

    def __init__(self, config: pytest.Config, options: Options, crew: Crew) -> None:
        self._config = config
        self._options = options
        self._nodes = Nodes(config, options.workers, uuid.uuid4().hex)
        self._relay = Relay(config, self._nodes.report_fields)
        self._durations = Durations(config)
        self._roster = Roster(options.workers)
        self._last_words = LastWords()
        self._schedule: Schedule | None = None
        self._crew: Crew | None = crew
        self._problems: list[Problem] = []
        """Not reported yet: pytest would run no test if it had heard of them before the first."""
        self._begun_at = self._collecting_took = 0.0
        self._overdue: dict[str, tuple[Event, float]] = {}
        self._deselected = 0
        self._session: pytest.Session
        self._watch: Watch | None = None
        self._console: Console
        self._handlers = {
            events.OPENED: self._on_opened,
            events.COLLECTED: self._on_collected,
            events.DESCRIBED: self._on_described,
            events.ENDED: self._on_ended,
            events.FAILED: self._on_failed,
            events.LATE: self._on_late,
            events.LOST: self._on_lost,
            events.GONE: self._on_gone,
            events.PRINTED: self._on_printed,
            events.WITHDRAWN: self._on_withdrawn,
            events.WARNINGS: self._on_warnings,
            events.FINISHED: self._on_finished,
        }

    def start(self, session: pytest.Session, console: Console) -> None:
        """Have the workers collect."""
        self._session = session
        self._console = console
        assert self._crew is not None
        self._begun_at = time.monotonic()
        self._nodes.set_up()
        self._watch = make_watch(self._config, self._options.workers)
        self._crew.open(self._worker_settings(), self._options.timeout, self._nodes.input_of)

    def wait_for_collection(self) -> None:
        """Wait until it is known which tests there are, or that nobody will know."""
        while self._schedule is None and not self._roster.is_hopeless:
            self._turn()
        if self._schedule is None:
            self._report_problems()
        self._console.show_collected(self._session.testscollected, self._deselected)

    def run_tests(self) -> None:
        """Have all tests run."""
        session = self._session
        while self._schedule is not None and not self._schedule.is_over():
            self._turn()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        self._wait_for_late_collections()
        self._report_problems()

    def _wait_for_late_collections(self) -> None:
        """Let workers that are collecting tell how that went; those that have not begun are not needed."""
        assert self._crew is not None
        if not self._crew.is_collecting:
            return
        self._crew.begin_no_more()
        patience = LATE_SECONDS + 2 * self._collecting_took
        give_up = time.monotonic() + patience
        while self._crew.is_collecting and time.monotonic() < give_up:
            self._turn(patience)

    def finish(self, seconds: float) -> None:
        """Have the workers end, within so many seconds."""
        crew, self._crew = self._crew, None
        if crew is None:
            return
        if self._watch is not None:
            self._watch.close()
        finals = (events.WARNINGS, events.LATE, events.FINISHED, events.PRINTED)
        try:
            self._hear_out(crew)
            self._report_problems()
            for event in crew.finish(self._roster.ready, seconds):
                if event.kind in finals:
                    self._handlers[event.kind](event)
            self._report_problems()
            self._nodes.all_are_down()
        finally:
            crew.kill()
            self._last_words.close()

    def _hear_out(self, crew: Crew) -> None:
        """Report what has ended before an interruption."""
        if self._session.shouldfail or self._session.shouldstop or self._schedule is None:
            return
        crew.turn([], 0.0)
        for event in crew.events(sys.maxsize):
            if event.kind in (events.ENDED, events.FAILED) and event.value.__class__ is tuple:
                self._handlers[event.kind](event)

    def kill(self) -> None:
        """End the workers at once, if they are still there."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.kill()
        self._last_words.close()

    def save_durations(self) -> None:
        """Remember how long the tests took."""
        self._durations.save()

    def note_warning(self, message: Any, when: str) -> None:
        """Remember what was warned of here, lest it be reported once more for each worker."""
        line = None if message.line is None else str(message.line)
        self._relay.is_new_warning(
            (str(message.message), str(message.filename), message.lineno, line, when)
        )

    def _turn(self, patience: float | None = None) -> None:
        assert self._crew is not None
        due = self._due()
        self._crew.turn(due, patience or self._patience(), self._nap())
        with self._console.held():
            for event in self._crew.events():
                self._handlers[event.kind](event)
                if self._session.shouldfail or self._session.shouldstop:
                    return
        if self._watch is not None:
            self._watch.look(self._schedule)
        now = time.monotonic()
        for event, until in list(self._overdue.values()):
            if now > until:
                self._end_lost(event)

    def _due(self) -> list[Due]:
        """Return what to send now; ask for tests back that are better run elsewhere."""
        schedule, ready = self._schedule, self._roster.ready
        if schedule is None:
            return []
        due = schedule.due(ready)
        assert self._crew is not None
        wanted = schedule.wanted_back(ready)
        if wanted:
            self._crew.withdraw(wanted)
        broken = schedule.broken_promises()
        if broken:
            self._crew.break_promises(broken)
        return due

    def _nap(self) -> float:
        """Return how long nothing need be looked at: workers have something to do for much longer."""
        schedule = self._schedule
        if schedule is None or schedule.spare_seconds(self._roster.ready) < NAP_SECONDS * 4:
            return 0.0
        return NAP_SECONDS

    def _patience(self) -> float | None:
        """Return how long to wait for events at most."""
        schedule = self._schedule
        if schedule is not None and (schedule.is_held_back or schedule.has_idle):
            return HOLD_SECONDS
        return 0.5 if self._overdue or self._watch is not None else None

    def _worker_settings(self) -> WorkerSettings:
        config = self._config
        parameters = config.invocation_params
        factory: Any = getattr(config, "_tmp_path_factory", None)
        return WorkerSettings(
            arguments=[str(argument) for argument in parameters.args],
            plugins=[plugin for plugin in parameters.plugins or () if isinstance(plugin, str)],
            directory=str(parameters.dir),
            argv=list(sys.argv),
            worker_count=self._options.workers,
            run_id=self._nodes.testrunuid,
            base_temp=os.fspath(factory.getbasetemp()) if factory is not None else "",
            color=self._console.color,
            timeout=self._options.timeout,
            environment=self._crew.environment_changes() if self._crew is not None else ({}, []),
            worker_input={},
        )

    # Events of workers

    def _on_opened(self, event: Event) -> None:
        self._last_words.listen(event.worker, *event.value)

    def _on_collected(self, event: Event) -> None:
        opening = event.value
        problem = self._roster.note_opening(event.worker, opening)
        if problem is not None:
            self._report_problem(problem)
            return
        self._collecting_took = time.monotonic() - self._begun_at
        self._nodes.is_ready(event.worker)
        self._deselected = opening["deselected"]
        self._relay.collect_reports(opening["reports"])
        if opening["stop"] and not self._session.shouldfail:
            self._session.shouldstop = opening["stop"]
        if self._roster.needs_list(event.worker):
            assert self._crew is not None
            self._crew.describe(event.worker)
        else:
            self._nodes.has_collected(event.worker, self._roster.collected.nodeids)

    def _on_described(self, event: Event) -> None:
        if isinstance(event.value, BaseException):
            raise event.value
        difference = self._roster.note_list(event.worker, event.value)
        for worker in self._roster.ready:
            self._nodes.has_collected(worker, event.value[0])
        if self._schedule is None:
            self._schedule = Schedule(
                self._roster.collected,
                self._options,
                self._durations,
                keeps_order=_is_ordered(self._config),
                begins_in_order=_begins_with_some(self._config),
                stops_early=0 < (self._config.getoption("maxfail") or 0) <= FEW_FAILURES,
            )
            self._session.testscollected = len(self._roster.collected.nodeids)
        elif difference is not None:
            self._schedule.leave_out(difference.missing)
            self._report_problem(Problem(event.worker, difference.describe(self._roster.first)))

    def _on_finished(self, event: Event) -> None:
        if isinstance(event.value, BaseException):
            self._console.show_line(event.worker, f"the session did not end well: {event.value}")
            self._nodes.went_down(event.worker, None, event.value)
            return
        self._nodes.went_down(event.worker, event.value.get("workeroutput"), None)
        self._relay.warnings(event.value.get("warnings", ()))
        if text := event.value.get("error"):
            lines = f"The session of the worker did not end well: {text}".splitlines()
            self._report_problem(self._roster.note_failure(event.worker, lines))

    def _on_gone(self, event: Event) -> None:
        self._replace(event.worker)
        for lost, _ in list(self._overdue.values()):
            if lost.worker == event.worker:
                self._end_lost(lost)

    def _on_printed(self, event: Event) -> None:
        self._last_words.note_line(event.worker, event.value)
        self._console.show_line(event.worker, event.value)

    def _on_warnings(self, event: Event) -> None:
        self._relay.warnings(event.value)

    # Events of tests

    def _on_ended(self, event: Event) -> None:
        assert self._schedule is not None
        frame, extras = event.value, None
        if frame.__class__ is not tuple:
            self._on_refused(event)
            return
        if len(frame) > 3:
            *parts, extras = frame
            frame = tuple(parts)
            self._relay.warnings(extras.get("warnings", ()))
        reports = self._relay.reports(event.name, frame, event.worker, is_over=True)
        self._schedule.ended(event.worker, event.name, reports)
        if extras is not None:
            self._act_on(extras)

    def _on_refused(self, event: Event) -> None:
        """Deal with a test that a worker has not run."""
        assert self._schedule is not None
        if event.value == NOT_OPEN:
            self._schedule.give_back(event.worker, event.name)
            self._replace(event.worker)
            return
        self._schedule.give_up(event.worker, event.name)
        if event.value == NOT_HERE:
            text = (
                f"{event.name} is not among the tests that worker gw{event.worker} has collected."
            )
            self._report_problem(Problem(event.worker, [text]))

    def _replace(self, worker: int) -> None:
        """Have the worker that takes a dead one's place open its session."""
        if self._roster.note_loss(worker):
            assert self._crew is not None
            self._crew.collect(worker)

    def _on_withdrawn(self, event: Event) -> None:
        assert self._schedule is not None
        self._schedule.was_asked_back(event.worker, event.name, is_withdrawn=event.value)

    def _on_failed(self, event: Event) -> None:
        reports = self._relay.reports(event.name, event.value, event.worker, is_over=False)
        if self._overdue.pop(event.name, None) is not None:  # it has been interrupted, and ended
            assert self._schedule is not None
            self._relay.end(event.name, [])
            self._schedule.ended(event.worker, event.name, reports)

    def _on_late(self, event: Event) -> None:
        self._relay.late(event.value, event.name, event.worker)

    def _on_lost(self, event: Event) -> None:
        if isinstance(event.value, TaskTimeout):
            # The pool gives such a test up at once, but it may yet tell where it was.
            self._overdue[event.name] = event, time.monotonic() + _OVERDUE_SECONDS
        else:
            self._end_lost(event)

    def _end_lost(self, event: Event) -> None:
        assert self._schedule is not None
        self._overdue.pop(event.name, None)
        self._durations.note_lost(event.name)
        report = crash_report(
            event.name,
            event.value,
            event.worker,
            has_failed=self._relay.has_begun(event.name),
            timeout=self._options.timeout,
            sections=self._last_words.of(event.worker),
        )
        runs_again = self._nodes.handle_crash(event.worker, event.name, report)
        self._relay.end(event.name, [report])
        if runs_again:
            self._schedule.give_back(event.worker, event.name)
        else:
            self._schedule.ended(event.worker, event.name, [report])

    def _act_on(self, extras: dict[str, Any]) -> None:
        """Do what a test had the worker's session do: end the run."""
        if "exit" in extras:
            message, code = extras["exit"]
            pytest.exit(message, code)
        if "interrupted" in extras:
            raise KeyboardInterrupt(extras["interrupted"])
        if "fail" in extras and not self._session.shouldfail:
            self._session.shouldfail = extras["fail"]
        if "stop" in extras:
            self._session.shouldstop = extras["stop"]

    def _report_problem(self, problem: Problem) -> None:
        """Report, in due time, that a worker could not be set up or differs from the others."""
        if problem.is_usage:
            raise pytest.UsageError(*problem.lines)
        if problem.exit is not None:
            pytest.exit(*problem.exit)
        if problem.is_new:
            self._problems.append(problem)

    def _report_problems(self) -> None:
        problems, self._problems = self._problems, []
        for problem in problems:
            report = pytest.CollectReport(problem.nodeid, "failed", "\n".join(problem.lines), [])
            self._config.hook.pytest_collectreport(report=report)


def _is_ordered(config: pytest.Config) -> bool:
    """Whether a plugin has put the tests into an order that is to be the same again."""
    plugins = ("randomly", "random_order", "random-order", "reverse", "pytest_order", "ordering")
    return any(config.pluginmanager.hasplugin(name) for name in plugins)


def _begins_with_some(config: pytest.Config) -> bool:
    """Whether some tests are to be run before all others."""
    options = ("failedfirst", "newfirst", "stepwise", "stepwise_skip")
    return any(config.getoption(name, None) for name in options)
