"""Looking at tasks and workers from the parent, with deadlines."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from benchmarks.peer_faults.processes import is_running
from benchmarks.peer_faults.subjects.base import WORKERS, Outcome, Subject
from benchmarks.peer_faults.tasks import RELEASE, Order

Observation = dict[str, Any]

PATIENCE = 10.0
"""Seconds after which a task that has not ended never ends, and a worker never starts."""
BRIEF_PATIENCE = 5.0
"""Seconds that one more task may take afterwards, and that a task may run on when it is ended."""
STILL = 1.5
"""Seconds without a sign of life after which a loop counts as stopped."""
RESULT, NEVER = "result", "never ends"


def await_begin(path: Path) -> int:
    """Wait until a task has announced itself there; return its worker's pid."""
    assert until(path.exists, PATIENCE), f"the task {path.name} has not begun"
    return int(path.read_text())


def release(path: Path) -> None:
    """Let a held task go on."""
    Path(f"{path}{RELEASE}").touch()


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; tell whether it came in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def end_of(outcome: Outcome, seconds: float) -> str:
    """Return how a task ended: a word above or its exception's name."""
    wait([outcome], seconds)
    if not outcome.done():
        return NEVER
    if outcome.cancelled():
        return "CancelledError"
    error = outcome.exception()
    return RESULT if error is None else type(error).__name__


def tally(outcomes: Sequence[Outcome], orders: Sequence[Order], seconds: float) -> Observation:
    """Count how many tasks complete, with whose result, and never end; name the errors of others."""
    wait(outcomes, seconds)
    ends = [end_of(outcome, 0) for outcome in outcomes]
    errors = [end for end in ends if end not in {RESULT, NEVER}]
    good = sum(
        end == RESULT and _is_own(outcome.result(), order)
        for end, outcome, order in zip(ends, outcomes, orders, strict=True)
    )
    wrong = ends.count(RESULT) - good
    return {"done": good, "wrong": wrong, "never": ends.count(NEVER), "errors": errors}


def _is_own(result: object, order: Order) -> bool:
    """Tell whether a result is that of this task: echoes return their argument."""
    name, argument = order
    return name != "echo" or result == argument


def employ_all(subject: Subject, folder: Path) -> set[int]:
    """Let all workers start and run a task; return their pids."""
    paths = [folder / f"first-{number}" for number in range(WORKERS)]
    orders: list[Order] = [("hold", str(path)) for path in paths]
    outcomes = subject.submit(*orders)
    pids = {await_begin(path) for path in paths}
    for path in paths:
        release(path)
    counted = tally(outcomes, orders, PATIENCE)
    assert counted["done"] == WORKERS, f"the tasks before the fault: {counted}"
    return pids


def afterwards(subject: Subject) -> str:
    """Return how one more task ends."""
    order = ("echo", "afterwards")
    outcomes = subject.submit(order)
    counted = tally(outcomes, [order], BRIEF_PATIENCE)
    return "a wrong result" if counted["wrong"] else end_of(outcomes[0], 0)


def seconds_until_stopped(path: Path, pid: int, shows_life: bool) -> float | None:
    """Wait for the end of a task's process, or of its signs of life; None if there is none."""
    start = time.monotonic()

    def is_over() -> bool:
        return not is_running(pid) or (shows_life and time.time() - path.stat().st_mtime > STILL)

    if not until(is_over, BRIEF_PATIENCE + STILL):
        return None
    still = time.time() - path.stat().st_mtime if is_running(pid) else 0.0
    return max(0.0, time.monotonic() - start - still)


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd")) - 1
