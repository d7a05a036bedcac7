"""SIGKILL of the parent, whatever its workers are doing: none of them may be left.

The parent is stopped first: so its children can be listed and held by pidfds, with none that is
started between the list and the kill. To the workers a stopped parent looks like a busy one. Any
process that was missed is found by an environment variable that it has inherited.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability import orphan_parent
from benchmarks.reliability.census import children
from benchmarks.reliability.finding import Finding, none_of, told
from benchmarks.reliability.orphan_parent import OCCASIONS, WORKERS
from benchmarks.reliability.settings import Settings

MARK = "WORKPOOL_ORPHANS_OF"
STARTING = "starting"
LONGEST_START = 0.06
"""Seconds: up to three times what a worker takes to be ready."""


class Kill(NamedTuple):
    """One parent and when to kill it: seconds after it is ready."""

    occasion: str
    pause: float


class Ends(NamedTuple):
    """What became of the workers of one parent."""

    occasion: str
    workers: int
    survivors: int
    seconds: float
    """From the kill to the end of the last of them, or until nobody waited any more."""


def measure(settings: Settings) -> list[Finding]:
    """Kill parents at every occasion in turn."""
    dice = random.Random(settings.seed)
    occasions = list(islice(cycle(OCCASIONS), settings.parents))
    kills = [
        Kill(occasion, dice.uniform(0, LONGEST_START if occasion == STARTING else 0.005))
        for occasion in occasions
    ]
    with ThreadPoolExecutor(settings.parents_at_once) as threads:
        ends = list(threads.map(lambda kill: _kill_one(kill, settings), kills))
    what = f"survivors {settings.orphan_seconds:g} s after their parent's end"
    survivors = none_of(what, sum(each.survivors for each in ends))
    return [survivors, *(_describe(name, ends) for name in dict.fromkeys(occasions))]


def _describe(occasion: str, ends: list[Ends]) -> Finding:
    mine = [each for each in ends if each.occasion == occasion]
    workers, survivors = sum(each.workers for each in mine), sum(each.survivors for each in mine)
    remark = f"slowest of {workers} workers of {len(mine)} parents"
    if survivors:
        remark += f"; {survivors} survived"
    slowest = max(each.seconds for each in mine)
    return told(f"{occasion}: to the end", 1000 * slowest, "ms", remark)


def _kill_one(kill: Kill, settings: Settings) -> Ends:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", orphan_parent.__name__, kill.occasion]
    environment = {**os.environ, MARK: mark}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        try:
            _wait_until_ready(parent, kill.occasion, settings.patience)
            time.sleep(kill.pause)
            workers, seconds = _watch_ends(parent.pid, kill.occasion, settings.orphan_seconds)
        finally:
            parent.kill()
            survivors = _end_marked(mark, but=parent.pid)
    return Ends(kill.occasion, workers, survivors, seconds)


def _wait_until_ready(parent: "subprocess.Popen[bytes]", name: str, patience: float) -> None:
    assert parent.stdout is not None
    ready, _, _ = select.select([parent.stdout], [], [], patience)
    assert ready, f"the parent did not get ready: {name}"
    assert parent.stdout.readline() == b"ready\n", f"the parent ended: {name}"


def _watch_ends(parent: int, occasion: str, patience: float) -> tuple[int, float]:
    """Kill a parent; return how many workers it had and the seconds until they had ended."""
    os.kill(parent, signal.SIGSTOP)
    os.waitid(os.P_PID, parent, os.WSTOPPED | os.WNOWAIT)
    with ExitStack() as stack:
        watched = [os.pidfd_open(pid) for pid in children(parent)]
        for descriptor in watched:
            stack.callback(os.close, descriptor)
        assert len(watched) == WORKERS or occasion == STARTING, f"{len(watched)}: {occasion}"
        start = time.monotonic()
        os.kill(parent, signal.SIGKILL)
        _wait_for_ends(watched, start + patience)
        return len(watched), time.monotonic() - start


def _wait_for_ends(watched: list[int], deadline: float) -> None:
    for descriptor in watched:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)


def _end_marked(mark: str, *, but: int) -> int:
    """Kill every process that has the mark in its environment; return how many there were."""
    wanted, found = f"{MARK}={mark}".encode(), 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == but:
            continue
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
                found += 1
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found
