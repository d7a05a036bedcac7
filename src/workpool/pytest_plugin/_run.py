"""A run, from the workers' start to their end."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any

import pytest

from workpool.pytest_plugin import _events as events
from workpool.pytest_plugin._console import Console
from workpool.pytest_plugin._crew import Crew
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._run_parts import RunParts
from workpool.pytest_plugin._schedule import LOOK_SECONDS
from workpool.pytest_plugin._test_events import TestEvents
from workpool.pytest_plugin._watch import Watch, make_watch
from workpool.pytest_plugin._worker_events import WorkerEvents
from workpool.pytest_plugin._worker_settings import WorkerSettings

LATE_SECONDS = 2.0
"""Time a worker may need to collect beyond twice what it took others, when all tests have been run."""

NAP_SECONDS = 0.005
"""How long nothing need be looked at while workers have plenty to do: some ten to twenty trivial tests."""


class Run:
    """Has the tests run, and pytest's hooks told of it."""

    def __init__(self, config: pytest.Config, options: Options, crew: Crew) -> None:
        self._parts = parts = RunParts(config, options, crew)
        self._workers = WorkerEvents(parts)
        self._tests = TestEvents(parts, self._workers.show_held)
        self._handlers = {**self._workers.handlers, **self._tests.handlers}
        self._watch: Watch | None = None
        self._is_over = False
        """Whether the workers have been ended."""

    @property
    def tests(self) -> list[str]:
        """The tests in their order, as far as it is known which there are."""
        return self._parts.roster.collected.nodeids

    def start(self, session: pytest.Session, console: Console) -> None:
        """Have the workers collect."""
        parts = self._parts
        parts.begin(session, console)
        parts.nodes.set_up()
        self._watch = make_watch(parts.config, parts.options.workers)
        parts.crew.open(_worker_settings(parts), parts.options.timeout, parts.nodes.input_of)

    def wait_for_collection(self) -> None:
        """Wait until it is known which tests there are, or that nobody will know."""
        parts = self._parts
        while parts.schedule is None and not parts.roster.is_hopeless:
            self._turn()
        if parts.schedule is None:
            parts.problems.report()
        parts.console.show_collected(parts.session.testscollected, self._workers.deselected)
        parts.console.show_lines_of_hooks(self._workers.collection_lines)

    def run_tests(self) -> None:
        """Have all tests run."""
        parts, session = self._parts, self._parts.session
        while parts.schedule is not None and not parts.schedule.is_over():
            self._turn()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        self._wait_for_late_collections()
        parts.problems.report()

    def _wait_for_late_collections(self) -> None:
        """Let workers that are collecting tell how that went; those that have not begun are not needed."""
        crew = self._parts.crew
        if not crew.is_collecting:
            return
        crew.begin_no_more()
        patience = LATE_SECONDS + 2 * self._workers.collecting_took
        give_up = time.monotonic() + patience
        while crew.is_collecting and time.monotonic() < give_up:
            self._turn(patience)

    def finish(self, seconds: float) -> None:
        """Have the workers end, within so many seconds."""
        if self._is_over:
            return
        self._is_over = True
        parts = self._parts
        if self._watch is not None:
            self._watch.close()
        finals = (events.WARNINGS, events.LATE, events.FINISHED, events.PRINTED)
        try:
            self._hear_out()
            parts.problems.report()
            for event in parts.crew.finish(parts.roster.ready, seconds):
                if event.kind in finals:
                    self._handlers[event.kind](event)
            parts.problems.report()
            parts.nodes.all_are_down()
        finally:
            parts.crew.kill()
            parts.last_words.close()

    def _hear_out(self) -> None:
        """Report what has ended before an interruption."""
        parts = self._parts
        if parts.session.shouldfail or parts.session.shouldstop or parts.schedule is None:
            return
        parts.crew.turn(0.0)
        for event in parts.crew.events(sys.maxsize):
            if event.kind in (events.ENDED, events.FAILED) and event.value.__class__ is tuple:
                # A test that wants the run ended has its way: it ends already.
                with suppress(KeyboardInterrupt, pytest.exit.Exception):
                    self._handlers[event.kind](event)

    def kill(self) -> None:
        """End the workers at once, if they are still there."""
        if not self._is_over:
            self._is_over = True
            self._parts.crew.kill()
        self._parts.last_words.close()

    def save_durations(self) -> None:
        """Remember how long the tests took."""
        self._parts.durations.save()

    def note_warning(self, message: Any, when: str) -> None:
        """Remember what was warned of here, lest it be reported once more for each worker."""
        line = None if message.line is None else str(message.line)
        self._parts.relay.is_new_warning(
            (str(message.message), str(message.filename), message.lineno, line, when)
        )

    def _turn(self, patience: float | None = None) -> None:
        parts = self._parts
        self._send_out()
        parts.crew.turn(patience or self._patience(), self._nap())
        with parts.console.held():
            for event in parts.crew.events():
                self._handlers[event.kind](event)
                if parts.session.shouldfail or parts.session.shouldstop:
                    return
        if self._watch is not None:
            self._watch.look(parts.schedule)
        self._tests.give_up_overdue()

    def _send_out(self) -> None:
        """Send what is due, then ask for tests back that are better run elsewhere, and tell whom that concerns."""
        schedule, crew, ready = self._parts.schedule, self._parts.crew, self._parts.roster.ready
        if schedule is None:
            return
        if due := schedule.due(ready):
            crew.send(due)
        if wanted := schedule.wanted_back(ready):
            crew.withdraw(wanted)
        if broken := schedule.broken_promises():
            crew.break_promises(broken)

    def _nap(self) -> float:
        """Return how long nothing need be looked at: workers have something to do for much longer."""
        schedule, ready = self._parts.schedule, self._parts.roster.ready
        if schedule is None or schedule.spare_seconds(ready) < NAP_SECONDS * 4:
            return 0.0
        return NAP_SECONDS

    def _patience(self) -> float | None:
        """Return how long to wait for events at most."""
        schedule = self._parts.schedule
        if schedule is not None and schedule.has_idle:
            return LOOK_SECONDS
        return 0.5 if self._tests.waits_for_overdue or self._watch is not None else None


def _worker_settings(parts: RunParts) -> WorkerSettings:
    parameters = parts.config.invocation_params
    factory: Any = getattr(parts.config, "_tmp_path_factory", None)
    return WorkerSettings(
        arguments=[str(argument) for argument in parameters.args],
        plugins=[plugin for plugin in parameters.plugins or () if isinstance(plugin, str)],
        directory=str(parameters.dir),
        argv=list(sys.argv),
        worker_count=parts.options.workers,
        run_id=parts.nodes.testrunuid,
        base_temp=os.fspath(factory.getbasetemp()) if factory is not None else "",
        color=parts.console.color,
        timeout=parts.options.timeout,
        environment=parts.crew.environment_changes(),
        worker_input={},
    )
