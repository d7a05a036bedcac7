"""The report of a test that ended its worker, or that the worker could not bring to an end."""

from __future__ import annotations

import time

import pytest

from workpool import TaskTimeout, WorkerCrashed
from workpool.pytest_plugin._collection import nodeid_of


def crash_report(
    name: str,
    error: BaseException,
    worker: int,
    *,
    has_failed: bool,
    timeout: float | None,
    sections: list[tuple[str, str]],
) -> pytest.TestReport:
    """Return the report of a test that was lost with its worker.

    One that has failed before is not counted as failed again: it has an error in its tear-down.
    """
    nodeid = nodeid_of(name)
    path, _, rest = nodeid.partition("::")
    now = time.time()
    return pytest.TestReport(
        nodeid,
        (path, None, rest.replace("::", ".")),
        {},
        "failed",
        _text(nodeid, error, worker, timeout),
        "teardown" if has_failed else "call",
        sections,
        start=now,
        stop=now,
    )


def how_it_ended(error: WorkerCrashed) -> str:
    """Return what became of a worker, as the end of a sentence about it."""
    if error.signal_name:
        return f"was ended by {error.signal_name}"
    return f"exited with code {error.exit_code}"


def _text(nodeid: str, error: BaseException, worker: int, timeout: float | None) -> str:
    if isinstance(error, TaskTimeout):
        return (
            f"{nodeid} took longer than the {timeout:g} s of --workpool-timeout, and did not end when it "
            f"was interrupted: worker gw{worker} was ended."
        )
    if isinstance(error, WorkerCrashed):
        return (
            f"worker gw{worker} (process {error.pid}) {how_it_ended(error)} while it ran {nodeid}. The tests "
            "that waited behind it run elsewhere."
        )
    return f"worker gw{worker} could not run {nodeid}: {type(error).__name__}: {error}"
