"""What cannot be pickled or unpickled, on either side; four other tasks beside it."""

import os
import threading
from functools import partial
from pathlib import Path

from benchmarks.peer_faults.experiments.observing import (
    PATIENCE,
    Observation,
    afterwards,
    end_of,
    tally,
)
from benchmarks.peer_faults.subjects.base import Subject
from benchmarks.peer_faults.tasks import Bomb, Order

OTHERS = 4


def _observe(subject: Subject, bad: Order) -> Observation:
    """Add the bad task and the others at once."""
    others: list[Order] = [("echo", number) for number in range(OTHERS)]
    victim, *outcomes = subject.submit(bad, *others)
    rest = tally(outcomes, others, PATIENCE)
    return {
        "victim": end_of(victim, BRIEF),
        "others": rest,
        "afterwards": afterwards(subject),
    }


BRIEF = 2.0
"""More seconds for the bad task when the others have ended."""


def argument_not_picklable(subject: Subject, folder: Path) -> Observation:
    """Pass a lock."""
    return _observe(subject, ("echo", threading.Lock()))


def argument_not_unpicklable(subject: Subject, folder: Path) -> Observation:
    """Pass what raises in every process but this one."""
    return _observe(subject, ("echo", Bomb(os.getpid(), True, ValueError)))


def result_not_picklable(subject: Subject, folder: Path) -> Observation:
    """Let a task return a lock."""
    return _observe(subject, ("give lock", None))


def result_not_unpicklable(
    subject: Subject, folder: Path, *, error: type[BaseException]
) -> Observation:
    """Let a task return what raises in this process."""
    return _observe(subject, ("give bomb", (os.getpid(), False, error)))


def exception_not_unpicklable(subject: Subject, folder: Path) -> Observation:
    """Let a task raise an exception that cannot be unpickled."""
    return _observe(subject, ("raise awkward", None))


result_raises = partial(result_not_unpicklable, error=ValueError)
result_exits = partial(result_not_unpicklable, error=SystemExit)
