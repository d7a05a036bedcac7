"""Runs single tests in a worker's session."""

from __future__ import annotations

import os
from typing import Any

import pytest
from _pytest.runner import CallInfo

from workpool import WorkerClient
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


class TestRunner:
    """Runs one test after another, each torn down only as far as the next one does not need it."""

    __test__ = False

    def __init__(self, client: WorkerClient, settings: WorkerSettings) -> None:
        self._client = client
        self._session = WorkerSession(settings, client.worker_id)
        self._recorder = self._session.recorder
        self._recorder.on_failure = self._post_failure
        self._running = ""
        self._is_over = False
        """Whether a test has ended the run."""
        self._last: pytest.Item | None = None
        self._expected: pytest.Item | None = None
        """What was left up at the last tear-down is for this test."""
        self._promised = ""
        """The test that follows by the plan."""
        self._is_idle = True
        client.on_message(NOT_COMING, self._on_not_coming)

    def open(self) -> dict[str, Any]:
        """Open the session."""
        opening = self._session.open()
        self._post_warnings()
        captures = self._session.capture_descriptors()
        self._client.post_message_to_pool(OPENED, (os.getpid(), captures))
        return opening

    def describe(self) -> tuple[Any, ...]:
        """Return the collection."""
        return self._session.describe()

    def close(self) -> dict[str, Any]:
        """Close the session."""
        self._recorder.on_failure = None
        return self._session.close()

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
        self._promised = following
        self._is_idle = False
        next_item = NextItem(self._claim)
        extras: dict[str, Any] = {}
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            self._expected = next_item.item
        except pytest.exit.Exception as error:
            self._is_over = True
            extras["exit"] = (error.msg, error.returncode)
        except KeyboardInterrupt:
            self._is_over = True
            extras["interrupted"] = f"{item.nodeid} raised KeyboardInterrupt"
        finally:
            self._is_idle = True
        return self._result(extras)

    def _result(self, extras: dict[str, Any]) -> Any:
        frame = self._recorder.packer.pack(self._recorder.take_reports()) or ((), (), ())
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

    def _on_not_coming(self, name: str, _client: WorkerClient) -> None:
        """Count on a test no more; tear down what was left up for it."""
        if name != self._promised:
            return
        self._promised = ""
        if self._is_idle:
            self._expected = None
            self._tear_down_to(None)

    def _tear_down_to(self, item: pytest.Item | None) -> None:
        """Tear down what was left up for a test that does not come, or by one that was cut short."""
        state = self._session.session._setupstate
        last = self._last
        if last is None or not state.stack:
            return
        call = CallInfo.from_call(lambda: state.teardown_exact(item), when="teardown")
        if call.excinfo is not None:
            self._running = last.nodeid
            self._recorder.reports.append(pytest.TestReport.from_item_and_call(last, call))
            self._post(LATE)

    def _post_failure(self) -> None:
        """Tell of a failure at once: what follows in this test may take long, or crash."""
        if self._running:
            self._post(FAILED)

    def _post(self, kind: str) -> None:
        frame = self._recorder.packer.pack(self._recorder.take_reports())
        self._client.post_message_to_pool(kind, (self._running, frame))

    def _post_warnings(self) -> None:
        warnings = self._recorder.take_warnings()
        if warnings:
            self._client.post_message_to_pool(WARNINGS, warnings)
