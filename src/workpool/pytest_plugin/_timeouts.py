"""What a test that was interrupted because its time was up fails with, in the worker."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import pytest

from workpool import TaskCancelled

_OWN = "workpool._worker"


class TimeoutReporter:
    """Puts "took too long" in the place of the exception that interrupts a test."""

    def __init__(self, seconds: float) -> None:
        self._text = f"the test took longer than the {seconds:g} s of --workpool-timeout"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> None:
        """Show where the test was, and not how it was interrupted."""
        if call.excinfo is None or not isinstance(call.excinfo.value, TaskCancelled):
            return
        failure = pytest.fail.Exception(self._text)
        traceback = _without_own_frames(call.excinfo.value.__traceback__)
        call.excinfo = pytest.ExceptionInfo.from_exc_info((type(failure), failure, traceback))


def _without_own_frames(traceback: TracebackType | None) -> TracebackType:
    """Return a traceback that ends where the signal handler was called."""
    frames = []
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__", "")).startswith(_OWN):
            break
        frames.append(traceback)
        traceback = traceback.tb_next
    shortened: TracebackType | None = None
    for entry in reversed(frames):
        shortened = TracebackType(shortened, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    assert shortened is not None
    return shortened
