"""Errors, interrupts and ends of calls through the joblib backend, and of the workers behind it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import joblib
import pytest
from joblib import delayed

import workpool.joblib
from tests import joblib_children as children
from tests.children import Gate
from tests.contract.programs import PATIENCE, has_ended_within
from workpool import PoolClosed, WorkerCrashed
from workpool.joblib import _pools

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]

Parallel = partial(joblib.Parallel, n_jobs=2, backend="workpool", batch_size=1)


@pytest.fixture(autouse=True)
def nothing_kept(leaves_nothing_behind: None) -> Iterator[None]:
    """End the workers of each test."""
    yield
    workpool.joblib.close()


def run(program: str, folder: Path) -> str:
    """Run a script, as a user does; return what it and its workers print, when all have ended."""
    script = folder / "script.py"
    script.write_text(program)
    path = os.pathsep.join(filter(None, sys.path))
    finished = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


# Calls that end early


def test_an_error_interrupts_the_calls_that_run(gate: Gate) -> None:
    """Nobody waits for them, and their worker is free for the next call."""
    stopped = set()

    def source() -> Iterator[object]:
        yield delayed(gate.pass_through)()
        yield delayed(abs)(-1)
        stopped.update(gate.arrived_blocking())
        yield delayed(children.refuse)(1, 1)

    with pytest.raises(children.Refusal):
        Parallel(pre_dispatch=2)(source())
    assert stopped <= children.workers_of(Parallel, gate)


@pytest.mark.usefixtures("keyboard_interrupts")
def test_ctrl_c_interrupts_the_calls_that_run(gate: Gate) -> None:
    """The caller gets its `KeyboardInterrupt`; what waits is never begun."""
    stopped = set()

    def press() -> None:
        stopped.update(gate.arrived_blocking(2))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Parallel(pre_dispatch="all")(delayed(gate.pass_through)() for _ in range(8))
    thread.join()
    assert children.workers_of(Parallel, gate) == stopped


def test_a_call_that_takes_too_long(gate: Gate) -> None:
    """`timeout` ends the wait and what runs."""
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.2)(delayed(time.sleep)(600) for _ in range(2))
    assert len(children.workers_of(Parallel, gate)) == 2


def test_a_crash_fails_the_call_and_the_next_one_works() -> None:
    """The error says what ended the worker."""
    calls = [delayed(abs)(-1), delayed(os.kill)(0, 0), delayed(signal.raise_signal)(signal.SIGKILL)]
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        Parallel()(calls)
    assert Parallel()(delayed(abs)(-n) for n in range(20)) == list(range(20))


def test_a_pool_that_has_ended_fails_the_call() -> None:
    """It does not hang, and the next call gets another pool."""
    with Parallel() as parallel:
        parallel._backend._pool.kill()
        with pytest.raises(PoolClosed):
            parallel(delayed(abs)(n) for n in range(9))
    assert Parallel()(delayed(abs)(-n) for n in range(9)) == list(range(9))


# What workers are like, and how long they stay


def test_workers_are_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an initializer, variables of their own, and the number of threads they may use."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with joblib.parallel_config(
        backend="workpool",
        n_jobs=2,
        inner_max_num_threads=3,
        initializer=children.initialize,
        initargs=("once",),
        env={"OF_WORKERS": "yes"},
    ):
        names = ["OMP_NUM_THREADS", "OF_WORKERS"]
        assert joblib.Parallel()(delayed(children.variable)(name) for name in names) == ["3", "yes"]
        assert joblib.Parallel()([delayed(children.initialized)()]) == [["once"]]
    assert Parallel()([delayed(children.variable)("OMP_NUM_THREADS")]) == ["7"]


def test_workers_that_stay_idle_end() -> None:
    """After a time that may be given in loky's word too."""
    with joblib.parallel_config(backend="workpool", n_jobs=2, idle_worker_timeout=0.05):
        pids = set(joblib.Parallel()(delayed(os.getpid)() for _ in range(4)))
        assert has_ended_within(pids, PATIENCE)


def test_a_few_unused_pools_are_kept() -> None:
    """One for each of two ways to call; the one that was used longest ago goes first."""
    two, three, four = (_pools.Wanted(n, {}, {}) for n in (2, 3, 4))
    pool = _pools.acquire(two)
    assert _pools.acquire(two) is pool
    for other in (three, four, three):
        _pools.release(_pools.acquire(other))
    _pools.release(pool)
    assert _pools.acquire(two) is pool  # it was in use all the time
    _pools.release(pool)
    _pools.release(pool)
    assert {kept.wanted.n_jobs for kept in _pools._pools} == {3, 2}


def test_closing_ends_the_workers(gate: Gate) -> None:
    """Those of a call that is not over end with it."""
    pids = children.workers_of(Parallel, gate)
    results = Parallel(return_as="generator")(delayed(gate.pass_through)() for _ in range(2))
    gate.arrived_blocking(2)
    workpool.joblib.close()
    gate.open(2)
    assert set(results) == pids
    assert has_ended_within(pids, PATIENCE)


def test_the_programs_end_takes_the_workers_along(tmp_path: Path) -> None:
    """Nothing keeps it from exiting, not even calls that run; what it defines went by value."""
    program = """
import joblib, os, time, warnings, workpool.joblib

warnings.simplefilter("ignore")  # joblib's: the last call is not over

class Point:
    def __init__(self, x):
        self.x = x

def moved(point):
    return Point(point.x + step)

step = 2
with joblib.parallel_config(backend="workpool", n_jobs=2):
    points = joblib.Parallel()(joblib.delayed(moved)(Point(x)) for x in range(3))
    print([type(point) is Point and point.x for point in points])
    running = joblib.Parallel(return_as="generator", batch_size=1)(
        joblib.delayed(time.sleep)(seconds) for seconds in (0, 600)
    )
    next(running)
"""
    assert run(program, tmp_path) == "[2, 3, 4]\n"
