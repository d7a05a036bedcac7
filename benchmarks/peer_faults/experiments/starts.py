"""Workers that die at their start."""

import os
import time
from concurrent.futures import wait
from pathlib import Path

from benchmarks.peer_faults.experiments.observing import (
    PATIENCE,
    Observation,
    end_of,
)
from benchmarks.peer_faults.subjects.base import Subject
from benchmarks.peer_faults.tasks import STARTS

MORE = 2.0
"""Seconds in which the starts must come to an end, and in which there must be no more then."""


def die_at_start(subject: Subject, folder: Path) -> Observation:
    """Add two tasks to a pool whose workers' start hook ends them; count the starts."""
    outcomes = subject.submit(("echo", 1), ("echo", 2))
    wait(outcomes, PATIENCE)
    ends = [end_of(outcome, 0) for outcome in outcomes]
    time.sleep(MORE)
    starts = _starts()
    time.sleep(MORE)
    return {"endings": ends, "starts": starts, "goes_on": _starts() > starts}


def _starts() -> int:
    journal = Path(os.environ[STARTS])
    return len(journal.read_text().split()) if journal.exists() else 0
