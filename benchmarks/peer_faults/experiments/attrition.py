"""Many kills, one after the other: what the parent has left of them."""

import gc
import os
import signal
import time
from concurrent.futures import wait
from contextlib import suppress
from pathlib import Path

from benchmarks.peer_faults.experiments.observing import (
    PATIENCE,
    Observation,
    await_begin,
    descriptors,
    release,
    tally,
    until,
)
from benchmarks.peer_faults.processes import descendants, is_running
from benchmarks.peer_faults.subjects.base import WORKERS, Outcome, Subject
from benchmarks.peer_faults.tasks import Order

KILLS = 200
BEFORE = 5
"""Kills before the first census, so that what is set up once is not counted."""
SETTLE = 1.0
NOTICE = 0.3
"""Seconds in which a pool may notice a death before it gets the next task."""


def attrition(subject: Subject, folder: Path) -> Observation:
    """Kill workers under a task each; make the pool anew whenever it is broken."""
    war = War(subject, folder)
    try:
        war.kill(BEFORE)
        before, war.renewed = war.census(), 0
        war.kill(KILLS)
        after = war.census()
    except Hang as error:
        return {"hangs": str(error)}
    return {
        "kills": war.kills - BEFORE,
        "renewed": war.renewed,
        "grown": {name: after[name] - before[name] for name in after},
    }


class Hang(Exception):
    """The pool does nothing any more."""


class War:
    """The kills of one pool's workers."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self._subject = subject
        self._folder = folder
        self._tasks = 0
        self.kills = 0
        self.renewed = 0

    def kill(self, count: int) -> None:
        """Kill so many workers."""
        end = self.kills + count
        while self.kills < end:
            path = self._path()
            (outcome,) = self._subject.submit(("hold", str(path)))
            if self._has_begun(path, outcome):
                _kill(await_begin(path))
                self.kills += 1
                wait([outcome], NOTICE)
                if self._subject.is_useless_after_crash:
                    self._renew()
            else:
                self._renew()

    def census(self) -> dict[str, int]:
        """Count what this process has while all workers are there and idle."""
        while not self._all_work():
            self._renew()
        time.sleep(SETTLE)
        gc.collect()
        family = descendants(os.getpid())
        return {
            "descriptors": descriptors(),
            "processes": len(family),
            "threads": len(os.listdir("/proc/self/task")),
        }

    def _has_begun(self, path: Path, outcome: Outcome) -> bool:
        """Wait until a task runs; tell whether it does, or has failed before."""
        is_known = until(lambda: path.exists() or outcome.done(), PATIENCE)
        if not is_known:
            raise Hang(f"after {self.kills} kills a task does not begin")
        return path.exists()

    def _all_work(self) -> bool:
        """Let all workers run a task; tell whether the pool was still able to."""
        paths = [self._path() for _ in range(WORKERS)]
        orders: list[Order] = [("hold", str(path)) for path in paths]
        held = self._subject.submit(*orders)
        for path, outcome in zip(paths, held, strict=True):
            self._has_begun(path, outcome)
        for path in paths:
            release(path)
        counted = tally(held, orders, PATIENCE)
        if counted["never"]:
            raise Hang(f"after {self.kills} kills a task does not end")
        return not counted["errors"]

    def _renew(self) -> None:
        self._subject.renew()
        self.renewed += 1

    def _path(self) -> Path:
        self._tasks += 1
        return self._folder / f"task-{self._tasks}"


def _kill(pid: int) -> None:
    """Kill a worker and wait for its end; a pool that breaks may be quicker."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not is_running(pid), PATIENCE), "a killed worker lives"
