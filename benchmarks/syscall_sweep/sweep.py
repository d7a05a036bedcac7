"""One run of the workload with one disturbed worker, and what was wrong with it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from benchmarks.syscall_sweep.account import Account, Pool
from benchmarks.syscall_sweep.tasks import ENTRYPOINTS
from benchmarks.syscall_sweep.tracing import Disturbance, Trace
from benchmarks.syscall_sweep.workload import STAGES, TINY_STAGES, quick_and_quiet, small_tasks

_PATIENCE = 20.0
"""Seconds after which a run hangs; it takes a few tenths of one."""


class Run(NamedTuple):
    """What came of one run."""

    was_reached: bool
    """Whether the worker came to the call."""
    violations: list[str]


def count_calls(kind: str) -> Counter[str]:
    """Return how often a worker makes each system call; `kind` is ``sync``, ``async`` or ``tiny``."""
    with tempfile.TemporaryDirectory(prefix="workpool-sweep-") as directory:
        trace = Trace(Path(directory), None)
        _, violations = _run(kind, Path(directory), trace, None)
        if violations:
            raise RuntimeError(f"even undisturbed: {'; '.join(violations)}")
        return trace.counts()


def disturb(kind: str, disturbance: Disturbance) -> Run:
    """Run the workload with one worker disturbed at one call."""
    before = _held()
    with tempfile.TemporaryDirectory(prefix="workpool-sweep-") as directory:
        run = _run(kind, Path(directory), Trace(Path(directory), disturbance), disturbance)
    after = _held()
    if after != before:
        run.violations.append(f"left behind: {after} descriptors and children, before {before}")
    return run


def _run(kind: str, directory: Path, trace: Trace, disturbance: Disturbance | None) -> Run:
    try:
        # Whatever a task costs under a tracer, it is to be taken for a tiny one.
        batch_seconds = 1e9 if kind == "tiny" else 0.0
        with (
            trace.around_workers(),
            quick_and_quiet(settle=0.02),
            patch("workpool._scheduler.BATCH_SECONDS", batch_seconds),
        ):
            return asyncio.run(
                asyncio.wait_for(_work(kind, directory, trace, disturbance), _PATIENCE)
            )
    except TimeoutError:
        return Run(True, [f"not done within {_PATIENCE:g} seconds"])


async def _work(kind: str, directory: Path, trace: Trace, disturbance: Disturbance | None) -> Run:
    entrypoint = ENTRYPOINTS[kind]
    pool = Pool(entrypoint, max_workers=2, worker_concurrency=2, worker_output=lambda *_: None)
    try:
        account = Account(pool, directory / "record", slots=2, is_async=kind == "async")
        if disturbance is not None and not disturbance.what.startswith("signal"):
            account.allowed = (Exception,)
        for stage in TINY_STAGES if kind == "tiny" else (*STAGES, small_tasks):
            await stage(account)
        account.killed.add(trace.pid)
        violations = account.violations()
        await pool.aclose()
    finally:
        pool.kill()
    return Run(trace.was_disturbed(), violations)


def _held() -> tuple[int, bool]:
    """Return how many descriptors this process has, and whether it has children."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        has_children = False
    else:
        has_children = True
    return len(os.listdir("/proc/self/fd")), has_children
