"""From a worker's death to the failed task in the parent, and to the first result of its successor.

A pool of one worker; a second task waits behind the one whose worker dies, so the successor runs it.
Each death is followed by a bare interpreter's start, so that what slows the machine slows both.
"""

import asyncio
import os
import signal
import subprocess
import sys
from time import perf_counter
from typing import NamedTuple

from benchmarks.figures import median, percentile
from benchmarks.reliability.finding import Finding, told
from benchmarks.reliability.messages import Inbox
from benchmarks.reliability.settings import Settings
from benchmarks.reliability.tasks import EXIT, HOLD, NOOP, perform
from workpool import WorkerCrashed, WorkerPool

WARM_UP = 5
"""Deaths before the first that counts: modules are compiled and read from the disk meanwhile."""

P99_MS = 50
TIMES_BARE = 3


class Death(NamedTuple):
    """What one death took, in seconds."""

    failed: float
    replaced: float
    bare: float
    """The start and end of an interpreter that does nothing."""


def measure(settings: Settings) -> list[Finding]:
    """Kill workers, and let others end themselves."""
    findings: list[Finding] = []
    for title, order in (("SIGKILL", HOLD), ("os._exit", EXIT)):
        deaths = asyncio.run(_deaths(order, settings))
        findings += _judge(title, deaths, settings)
    return findings


def _judge(title: str, deaths: list[Death], settings: Settings) -> list[Finding]:
    """Hold the figures of one way to die against the goals, which mean an idle machine."""
    failed = [1000 * death.failed for death in deaths]
    ratio = median(death.replaced / death.bare for death in deaths)
    replaced = 1000 * median(death.replaced for death in deaths)
    bare = 1000 * median(death.bare for death in deaths)
    p99, times = (P99_MS, TIMES_BARE) if settings.checks_times else (None, None)
    return [
        told(f"{title}: to the failed task, p50", percentile(failed, 50), "ms"),
        Finding(f"{title}: to the failed task, p99", percentile(failed, 99), p99, "ms"),
        Finding(
            f"{title}: to the first result of the replacement",
            ratio,
            times,
            "x a bare start",
            f"medians: {replaced:.1f} ms, `python -c pass` {bare:.1f} ms",
        ),
    ]


async def _deaths(order: str, settings: Settings) -> list[Death]:
    deaths = []
    async with WorkerPool(perform, max_workers=1) as pool:
        inbox = Inbox(pool, "runs", "ends")
        await pool.add_task(NOOP)
        for _ in range(WARM_UP + settings.deaths):
            death = asyncio.wait_for(_die(pool, inbox, order), settings.patience)
            failed, replaced = await death
            deaths.append(Death(failed, replaced, _bare_start()))
    return deaths[WARM_UP:]


async def _die(pool: WorkerPool[str, int], inbox: Inbox, order: str) -> tuple[float, float]:
    """Have the worker die under a task; return the seconds to the failure and the replacement."""
    victim, follower = pool.add_task(order), pool.add_task(NOOP)
    died: float = await inbox.next()
    if order == HOLD:
        died = perf_counter()
        os.kill(pool.workers[0].pid, signal.SIGKILL)
    await asyncio.wait([victim])
    failed = perf_counter()
    assert isinstance(victim.exception(), WorkerCrashed), f"the victim ended as {victim!r}"
    await follower
    return failed - died, perf_counter() - died


def _bare_start() -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return perf_counter() - start
