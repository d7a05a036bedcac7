"""What follows from what happens to workers and their sessions."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from workpool import WorkerCrashed
from workpool.pytest_plugin import _events as events
from workpool.pytest_plugin._crashes import how_it_ended
from workpool.pytest_plugin._early_output import EarlyOutput
from workpool.pytest_plugin._events import Event
from workpool.pytest_plugin._roster import Problem
from workpool.pytest_plugin._run_parts import RunParts
from workpool.pytest_plugin._schedule import Schedule

FEW_FAILURES = 10
"""A run that ends with so many failures at most is to stop where a serial one does, even if that costs time. Some
projects allow hundreds in their configuration: there, what has run in vain by then matters little."""


class WorkerEvents:
    """Handles the events that are about no test."""

    def __init__(self, parts: RunParts) -> None:
        self._parts = parts
        self.collecting_took = 0.0
        """Seconds until the last worker that has collected had."""
        self.deselected = 0
        self.collection_lines: list[str | list[str]] = []
        """What hooks have to say of the collection, the last one first."""
        self._early_output = EarlyOutput()
        self._described_early: list[Event] = []
        """What others have collected than the first worker, whose list is still to come."""
        self.handlers: dict[str, Callable[[Event], None]] = {
            events.OPENED: self._on_opened,
            events.COLLECTED: self._on_collected,
            events.DESCRIBED: self._on_described,
            events.PRINTED: self._on_printed,
            events.WARNINGS: self._on_warnings,
            events.FINISHED: self._on_finished,
        }

    def _on_opened(self, event: Event) -> None:
        self._parts.last_words.listen(event.worker, *event.value)

    def _on_collected(self, event: Event) -> None:
        parts, opening = self._parts, event.value
        problem = parts.roster.note_opening(event.worker, opening)
        if problem is not None:
            self._show(event.worker, self._early_output.release(event.worker))
            parts.problems.note(problem)
            return
        self._early_output.has_collected(event.worker)
        self.collecting_took = time.monotonic() - parts.begun_at
        parts.nodes.is_ready(event.worker)
        self.deselected = opening["deselected"]
        self.collection_lines = opening["lines"]
        parts.relay.collect_reports(opening["reports"])
        if opening["stop"] and not parts.session.shouldfail:
            parts.session.shouldstop = opening["stop"]
        if parts.roster.needs_list(event.worker):
            parts.crew.describe(event.worker)
        else:
            parts.nodes.has_collected(event.worker, parts.roster.collected.nodeids)

    def _on_described(self, event: Event) -> None:
        parts = self._parts
        if isinstance(event.value, BaseException):
            raise event.value
        if not parts.roster.can_compare(event.worker):
            self._described_early.append(event)
            return
        difference = parts.roster.note_list(event.worker, event.value)
        for worker in parts.roster.ready:
            parts.nodes.has_collected(worker, event.value[0])
        if parts.schedule is None:
            parts.schedule = self._make_schedule()
            parts.session.testscollected = len(parts.roster.collected.nodeids)
            for early in self._described_early:
                self._on_described(early)
        elif difference is not None:
            parts.schedule.leave_out(difference.missing)
            parts.problems.note(Problem(event.worker, difference.describe(parts.roster.first)))

    def _make_schedule(self) -> Schedule:
        parts, config = self._parts, self._parts.config
        return Schedule(
            parts.roster.collected,
            parts.options,
            parts.durations,
            keeps_order=_is_ordered(config),
            begins_in_order=_begins_with_some(config),
            stops_early=_stops_early(config),
        )

    def _on_finished(self, event: Event) -> None:
        parts = self._parts
        self._show(event.worker, self._early_output.release(event.worker))
        if isinstance(event.value, BaseException):
            self._on_not_finished(event.worker, event.value)
            return
        parts.nodes.went_down(event.worker, event.value.get("workeroutput"), None)
        parts.relay.warnings(event.value.get("warnings", ()))
        parts.relay.suite_properties(event.value.get("suite", ()))
        if text := event.value.get("error"):
            lines = f"The session of the worker did not end well: {text}".splitlines()
            parts.problems.note(parts.roster.note_failure(event.worker, lines))

    def _on_not_finished(self, worker: int, error: BaseException) -> None:
        parts = self._parts
        parts.nodes.went_down(worker, None, error)
        if parts.session.exitstatus == pytest.ExitCode.INTERRUPTED:  # there is little time then
            parts.console.show_line(worker, f"the session did not end well: {error}")
            return
        if isinstance(error, WorkerCrashed):
            lines = [
                f"Worker gw{worker} {how_it_ended(error)} while its session ended.",
                "The tests it had run are reported. Probably the last tear-downs or pytest_sessionfinish end it.",
            ]
        else:
            lines = [f"The session of worker gw{worker} has not ended in time: {error}"]
        for title, text in parts.last_words.of(worker):
            lines += [f"{title}:", *text.splitlines()]
        parts.problems.note(parts.roster.note_failure(worker, lines))

    def show_held(self, worker: int) -> None:
        """Show what a worker had printed when it died, and was kept until its session would have begun."""
        self._show(worker, self._early_output.forget(worker))

    def _on_printed(self, event: Event) -> None:
        self._show(
            event.worker, self._early_output.take(event.worker, stream=event.name, line=event.value)
        )

    def _show(self, worker: int, lines: list[str]) -> None:
        for line in lines:
            self._parts.last_words.note_line(worker, line)
            self._parts.console.show_line(worker, line)

    def _on_warnings(self, event: Event) -> None:
        self._parts.relay.warnings(event.value)


def _is_ordered(config: pytest.Config) -> bool:
    """Whether a plugin has put the tests into an order that is to be the same again."""
    plugins = ("randomly", "random_order", "random-order", "reverse", "pytest_order", "ordering")
    return any(config.pluginmanager.hasplugin(name) for name in plugins)


def _begins_with_some(config: pytest.Config) -> bool:
    """Whether some tests are to be run before all others."""
    return any(config.getoption(name, None) for name in ("failedfirst", "newfirst"))


def _stops_early(config: pytest.Config) -> bool:
    """Whether a failure, or one of the next few, ends the run."""
    if any(config.getoption(name, None) for name in ("stepwise", "stepwise_skip")):
        return True
    return 0 < (config.getoption("maxfail") or 0) <= FEW_FAILURES
