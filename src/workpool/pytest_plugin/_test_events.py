"""What follows from what happens to tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from workpool import TaskTimeout
from workpool.pytest_plugin import _events as events
from workpool.pytest_plugin._crashes import crash_report
from workpool.pytest_plugin._events import Event
from workpool.pytest_plugin._roster import Problem
from workpool.pytest_plugin._run_parts import RunParts
from workpool.pytest_plugin._schedule import Schedule
from workpool.pytest_plugin._worker import NOT_HERE, NOT_OPEN

_OVERDUE_SECONDS = 3.0
"""Time after which nothing more is expected of a test whose time was up: the pool's grace is one second."""


class TestEvents:
    """Handles the events that are about tests, and the end of a worker, which ends the test it runs."""

    __test__ = False

    def __init__(self, parts: RunParts, show_held: Callable[[int], None]) -> None:
        """Have `show_held` told of each worker that is gone, before its last words are asked for."""
        self._parts = parts
        self._show_held = show_held
        self._overdue: dict[str, tuple[Event, float]] = {}
        """Tests whose time is up, and when they are given up."""
        self.handlers: dict[str, Callable[[Event], None]] = {
            events.ENDED: self._on_ended,
            events.FAILED: self._on_failed,
            events.LATE: self._on_late,
            events.LOST: self._on_lost,
            events.GONE: self._on_gone,
            events.WITHDRAWN: self._on_withdrawn,
        }

    @property
    def waits_for_overdue(self) -> bool:
        """Whether tests may have to be given up soon."""
        return bool(self._overdue)

    def give_up_overdue(self) -> None:
        """Report tests whose time was up long ago, and that do not end."""
        now = time.monotonic()
        for event, until in list(self._overdue.values()):
            if now > until:
                self._end_lost(event)

    @property
    def _schedule(self) -> Schedule:
        schedule = self._parts.schedule
        assert schedule is not None  # for there are tests
        return schedule

    def _on_ended(self, event: Event) -> None:
        frame, extras = event.value, None
        if frame.__class__ is not tuple:
            self._on_refused(event)
            return
        relay = self._parts.relay
        if len(frame) > 3:
            *parts, extras = frame
            frame = tuple(parts)
            relay.warnings(extras.get("warnings", ()))
        reports = relay.reports(event.name, frame, event.worker, is_over=True)
        self._schedule.ended(event.worker, event.name, reports)
        if extras is not None:
            _act_on(extras, self._parts.session)

    def _on_refused(self, event: Event) -> None:
        """Deal with a test that a worker has not run."""
        if event.value == NOT_OPEN:
            self._schedule.give_back(event.worker, event.name)
            self._parts.replace(event.worker)
            return
        self._schedule.give_up(event.worker, event.name)
        if event.value == NOT_HERE:
            text = (
                f"{event.name} is not among the tests that worker gw{event.worker} has collected."
            )
            self._parts.problems.note(Problem(event.worker, [text]))

    def _on_withdrawn(self, event: Event) -> None:
        self._schedule.was_asked_back(event.worker, event.name, is_withdrawn=event.value)

    def _on_failed(self, event: Event) -> None:
        relay = self._parts.relay
        reports = relay.reports(event.name, event.value, event.worker, is_over=False)
        if self._overdue.pop(event.name, None) is not None:  # it has been interrupted, and ended
            relay.end(event.name, [])
            self._schedule.ended(event.worker, event.name, reports)

    def _on_late(self, event: Event) -> None:
        self._parts.relay.late(event.value, event.name, event.worker)

    def _on_lost(self, event: Event) -> None:
        if isinstance(event.value, TaskTimeout):
            # The pool gives such a test up at once, but it may yet tell where it was.
            self._overdue[event.name] = event, time.monotonic() + _OVERDUE_SECONDS
        else:
            self._end_lost(event)

    def _on_gone(self, event: Event) -> None:
        self._show_held(event.worker)
        self._parts.replace(event.worker)
        for lost, _ in list(self._overdue.values()):
            if lost.worker == event.worker:
                self._end_lost(lost)

    def _end_lost(self, event: Event) -> None:
        parts = self._parts
        self._overdue.pop(event.name, None)
        self._show_held(event.worker)
        parts.durations.note_lost(event.name)
        report = crash_report(
            event.name,
            event.value,
            event.worker,
            has_failed=parts.relay.has_begun(event.name),
            timeout=parts.options.timeout,
            sections=parts.last_words.of(event.worker),
        )
        runs_again = parts.nodes.handle_crash(event.worker, event.name, report)
        parts.relay.end(event.name, [report])
        if runs_again:
            self._schedule.give_back(event.worker, event.name)
        else:
            self._schedule.ended(event.worker, event.name, [report])


def _act_on(extras: dict[str, Any], session: pytest.Session) -> None:
    """Do what a test had the worker's session do: end the run."""
    if "exit" in extras:
        message, code = extras["exit"]
        pytest.exit(message, code)
    if "interrupted" in extras:
        raise KeyboardInterrupt(extras["interrupted"])
    if "fail" in extras and not session.shouldfail:
        session.shouldfail = extras["fail"]
    if "stop" in extras:
        session.shouldstop = extras["stop"]
