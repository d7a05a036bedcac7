"""Workers that die: with a task, twenty others waiting, or with nothing to do."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from benchmarks.peer_faults.experiments.observing import (
    BRIEF_PATIENCE,
    PATIENCE,
    Observation,
    afterwards,
    await_begin,
    employ_all,
    end_of,
    release,
    tally,
    until,
)
from benchmarks.peer_faults.processes import is_running
from benchmarks.peer_faults.subjects.base import Subject
from benchmarks.peer_faults.tasks import Order

WAITING = 20
NOTICE = 0.5
"""Seconds in which a pool may notice a death before anything else happens."""


def crash(subject: Subject, folder: Path, *, task: str) -> Observation:
    """Let one worker die under a task while the other has one as well and more are waiting.

    A task that is held does not die by itself: its worker is killed.
    """
    dying, held = folder / "dying", folder / "held"
    orders: list[Order] = [("hold", str(held)), *(("echo", n) for n in range(WAITING))]
    victim, *others = subject.submit((task, str(dying)), *orders)
    pid = await_begin(dying)
    await_begin(held)
    if task == "hold":
        os.kill(pid, signal.SIGKILL)
    else:
        release(dying)
    assert until(lambda: not is_running(pid), PATIENCE), "the worker lives"
    time.sleep(NOTICE)
    release(held)
    rest = tally(others, orders, PATIENCE)
    ended = end_of(victim, 0.0 if rest["never"] else BRIEF_PATIENCE)
    return {"victim": ended, "others": rest, "afterwards": afterwards(subject)}


def crash_idle(subject: Subject, folder: Path) -> Observation:
    """Kill all workers while they are idle, then add tasks."""
    pids = employ_all(subject, folder)
    time.sleep(0.3)  # to be idle, a worker that has reported must get back to its queue
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    time.sleep(NOTICE)
    echoes: list[Order] = [("echo", number) for number in range(4)]
    others = subject.submit(*echoes)
    return {"others": tally(others, echoes, PATIENCE), "afterwards": afterwards(subject)}


killed = partial(crash, task="hold")
segfault = partial(crash, task="segfault")
left = partial(crash, task="leave")
