"""What the workers' side of a run tells the pytest side."""

from __future__ import annotations

from typing import Any, NamedTuple

COLLECTED, DESCRIBED, FINISHED = "collected", "described", "finished"
"""A worker has opened its session; has told its collection; has closed its session."""

ENDED, LOST, FAILED, LATE, WARNINGS = "ended", "lost", "failed", "late", "warnings"
"""A test has ended; has ended its worker, or the pool's attempt; has failed and is not over; has been torn
down after its end. There were warnings outside of tests."""

WITHDRAWN = "withdrawn"
"""A test was asked back: the value says whether it had not begun, and will not."""

OPENED, PRINTED, GONE = "opened", "printed", "gone"
"""A worker has begun to capture; has printed a line; has ended."""


class Event(NamedTuple):
    """Something happened in a worker."""

    kind: str
    worker: int
    name: str
    """Of the test it is about; empty if it is about none."""
    value: Any
    """What the worker reports, or the exception."""
