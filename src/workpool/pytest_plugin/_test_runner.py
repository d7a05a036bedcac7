"""Runs single tests in a worker's session."""

from __future__ import annotations

import os
from typing import Any

import pytest

from workpool import TaskCancelled, WorkerClient
from workpool.pytest_plugin._keyboard import Keyboard
from workpool.pytest_plugin._next_item import NextItem
from workpool.pytest_plugin._plain import plain
from workpool.pytest_plugin._worker import (
    FAILED,
    LATE,
    NOT_COMING,
    NOT_HERE,
    OPENED,
    WARNINGS,
    unpack_test,
)
from workpool.pytest_plugin._worker_session import WorkerSession
from workpool.pytest_plugin._worker_settings import WorkerSettings

_INTERRUPTED = int(pytest.ExitCode.INTERRUPTED)


class TestRunner:
    """Runs one test after another, each torn down only as far as the next one does not need it."""

    __test__ = False

    def __init__(self, client: WorkerClient, settings: WorkerSettings) -> None:
        self._client = client
        self._session = WorkerSession(settings, client.worker_id)
        self._recorder = self._session.recorder
        self._recorder.on_failure = self._post_failure
        self._running = ""
        self._has_failed = False
        """Whether the test that runs has."""
        self._is_over = False
        """Whether a test has ended the run."""
        self._last: pytest.Item | None = None
        self._expected: pytest.Item | None = None
        """What was left up at the last tear-down is for this test."""
        self._promised = ""
        """The test that follows by the plan."""
        self._broken: dict[str, str] = {}
        """Tests that have not begun here, and what they will come with though it does not follow them."""
        self._is_idle = True
        self._keyboard = Keyboard()
        client.on_message(NOT_COMING, self._on_not_coming)

    def open(self) -> dict[str, Any]:
        """Open the session."""
        opening = self._open_session()
        self._post_warnings()
        captures = self._session.capture_descriptors()
        self._client.post_message_to_pool(OPENED, (os.getpid(), captures))
        return opening

    def _open_session(self) -> dict[str, Any]:
        try:
            self._keyboard.attend()
            return self._session.open()
        except KeyboardInterrupt:
            return {"exit": ("KeyboardInterrupt while tests were collected", _INTERRUPTED)}
        finally:
            self._keyboard.ignore()

    def describe(self) -> tuple[Any, ...]:
        """Return the collection."""
        return self._session.describe()

    def close(self) -> dict[str, Any]:
        """Close the session."""
        failure = self._session.step(self._tear_down_to, None)
        self._recorder.on_failure = None
        left = self._session.close()
        return {**left, "error": left.get("error") or failure}

    def run(self, name: str, following: str) -> Any:
        """Run a test, which by the plan another one follows; return its reports, packed."""
        item = self._session.items.get(name)
        session = self._session
        if item is None:
            return NOT_HERE
        if session.session.shouldstop or session.session.shouldfail or self._is_over:
            return None
        if item is not self._expected:
            self._tear_down_to(item)
        self._running = name
        self._last = item
        self._expected = None
        self._promised = following if self._broken.pop(name, "") != following else ""
        self._is_idle = self._has_failed = False
        self._recorder.last_when = ""
        next_item = NextItem(self._claim)
        extras: dict[str, Any] = {}
        try:
            self._keyboard.attend()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            self._expected = next_item.item
        except pytest.exit.Exception as error:
            self._is_over = True
            extras["exit"] = (error.msg, error.returncode)
        except KeyboardInterrupt:
            self._is_over = True
            extras["interrupted"] = f"{item.nodeid} raised KeyboardInterrupt"
        except TaskCancelled:
            raise
        except Exception as error:  # noqa: BLE001 - a hook's: it is shown where the user looks
            self._report_broken_hook(item, error)
        finally:
            self._keyboard.ignore()
            self._is_idle = True
        return self._result(extras)

    def _report_broken_hook(self, item: pytest.Item, error: Exception) -> None:
        """Report what no part of the test has raised, as a failure of the phase that was cut short."""
        from workpool.pytest_plugin._broken_hooks import broken_hook_report

        is_in_call = self._recorder.last_when in ("", "setup") and not self._has_failed
        report = broken_hook_report(item, error, "call" if is_in_call else "teardown")
        self._session.session.pytest_runtest_logreport(report)
        self._recorder.pytest_runtest_logreport(report)

    def _result(self, extras: dict[str, Any]) -> Any:
        frame = self._recorder.packer.take() or ((), (), ())
        warnings = self._recorder.take_warnings()
        if warnings:
            extras["warnings"] = warnings
        session = self._session.session
        if session.shouldstop:
            extras["stop"] = plain(session.shouldstop)
        if session.shouldfail:
            extras["fail"] = plain(session.shouldfail)
        return (*frame, extras) if extras else frame

    def _claim(self) -> pytest.Item | None:
        """Claim the next test; if it is not here yet, trust that the promised one comes."""
        session = self._session.session
        if session.shouldfail or session.shouldstop:
            return None
        claimed = self._client.claim_next()
        if claimed is None:
            return self._session.items.get(self._promised)
        if claimed.argument.__class__ is not str:
            return None
        return self._session.items.get(unpack_test(claimed.argument)[0])

    def _on_not_coming(self, broken: tuple[str, str], _client: WorkerClient) -> None:
        """Count on a test no more; tear down what was left up for it.

        The test it was to follow may still be in front of this worker: the news overtakes it.
        """
        name, following = broken
        if name != self._running:
            self._broken[name] = following
        elif following == self._promised:
            self._promised = ""
            if self._is_idle:
                self._expected = None
                self._tear_down_to(None)

    def _tear_down_to(self, item: pytest.Item | None) -> None:
        """Tear down what was left up for a test that does not come, or by one that was cut short."""
        last = self._last
        if last is None or not self._session.session._setupstate.stack:
            return
        from workpool.pytest_plugin._late_teardown import tear_down_late

        running, self._running = self._running, ""
        report = tear_down_late(last, item)
        if report is not None and report.failed:
            last.ihook.pytest_runtest_logreport(report=report)
        elif report is not None:
            self._recorder.packer.add(report)
        self._running = running
        self._post(LATE, last.nodeid)
        self._post_warnings()

    def _post_failure(self) -> None:
        """Tell of a failure at once: what follows in this test may take long, or crash."""
        self._has_failed = True
        if self._running:
            self._post(FAILED, self._running)

    def _post(self, kind: str, name: str) -> None:
        frame = self._recorder.packer.take()
        if frame is not None:
            self._client.post_message_to_pool(kind, (name, frame))

    def _post_warnings(self) -> None:
        warnings = self._recorder.take_warnings()
        if warnings:
            self._client.post_message_to_pool(WARNINGS, warnings)
