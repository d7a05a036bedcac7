"""One running task is cancelled or reaches its time limit; others run and wait beside it."""

import time
from functools import partial
from pathlib import Path

from benchmarks.peer_faults.experiments.observing import (
    PATIENCE,
    Observation,
    afterwards,
    await_begin,
    employ_all,
    end_of,
    release,
    seconds_until_stopped,
    tally,
)
from benchmarks.peer_faults.subjects.base import NoWay, Outcome, Subject
from benchmarks.peer_faults.tasks import Order

LOOP, CALL = "loop", "stick"
LIMIT = 1.0
BRIEF = 2.0
"""More seconds for the task when its process has stopped, or has not."""


def cancelled(subject: Subject, folder: Path, *, task: str) -> Observation:
    """Cancel a running task."""
    running, held = folder / "running", folder / "held"
    victim, *others = subject.submit((task, str(running)), *_orders(held))
    pid = await_begin(running)
    await_begin(held)
    try:
        subject.cancel(victim)
    except NoWay as reason:
        return {"no_way": str(reason)}
    stopped = seconds_until_stopped(running, pid, shows_life=task == LOOP)
    return _conclude(subject, held, victim, others, stopped)


def limited(subject: Subject, folder: Path, *, task: str) -> Observation:
    """Let a running task reach its time limit; some pools count from when it is added."""
    employ_all(subject, folder)
    running, held = folder / "running", folder / "held"
    (victim,) = subject.submit((task, str(running)), seconds=LIMIT)
    end = time.monotonic() + LIMIT
    others = subject.submit(*_orders(held))
    pid = await_begin(running)
    if not subject.limits_tasks:
        return {"no_way": "only the wait ends"}
    begun = time.monotonic()
    stopped = seconds_until_stopped(running, pid, shows_life=task == LOOP)
    late = None if stopped is None else max(0.0, begun + stopped - end)
    return _conclude(subject, held, victim, others, late)


def _orders(held: Path) -> list[Order]:
    """Return the other tasks: one runs beside the victim, four wait."""
    return [("hold", str(held)), *(("echo", number) for number in range(4))]


def _conclude(
    subject: Subject, held: Path, victim: Outcome, others: list[Outcome], stopped: float | None
) -> Observation:
    """See what has become of the task, then of the others and of the pool."""
    ended = end_of(victim, BRIEF)
    release(held)
    rest = tally(others, _orders(held), PATIENCE)
    return {"victim": ended, "stopped": stopped, "others": rest, "afterwards": afterwards(subject)}


cancelled_loop = partial(cancelled, task=LOOP)
cancelled_call = partial(cancelled, task=CALL)
limited_loop = partial(limited, task=LOOP)
limited_call = partial(limited, task=CALL)
