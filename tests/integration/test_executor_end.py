"""How an executor ends: shut down, broken by its initializer, forgotten, with its interpreter."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate
from workpool import Executor, PoolClosed, WorkerStartError
from workpool.executor import ExecutorStartError

ROOT = Path(__file__).parents[2]


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script, as a user does."""
    script = folder / "script.py"
    script.write_text(program)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=25,
    )


# Shutting down


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, ValueError])
def test_a_map_that_was_not_read_to_its_end_holds_nothing_up(error: type[BaseException]) -> None:
    """Whatever ends the reading of its source, calls go on, and a shutdown that waits has an end."""

    def source() -> Iterator[int]:
        yield -1
        raise error

    with Executor(1) as executor:
        with pytest.raises(error):
            list(executor.map(abs, source()))
        assert executor.submit(abs, -2).result(20) == 2


def test_shutting_down_waits_for_all_calls() -> None:
    """Also when it is done twice; the worker is gone and nothing more is taken."""
    executor = Executor(1)
    calls = [executor.submit(pow, 2, n) for n in range(300)]
    executor.shutdown()
    assert [future.result(0) for future in calls] == [2**n for n in range(300)]
    executor.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, 1)


def test_shutting_down_without_waiting(gate: Gate) -> None:
    """What was submitted is done meanwhile; `shutdown(wait=True)` may still follow."""
    executor = Executor(1)
    running = executor.submit(gate.pass_through)
    waiting = executor.submit(abs, -1)
    gate.arrived_blocking()
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)
    gate.open()
    executor.shutdown()
    assert running.done()
    assert waiting.result() == 1


def test_shutting_down_can_cancel_what_waits(gate: Gate) -> None:
    """What runs is finished, what waits is cancelled, wherever it waits."""
    executor = Executor(1)
    running = executor.submit(gate.pass_through)
    gate.arrived_blocking()
    waiting = [executor.submit(gate.pass_through) for _ in range(100)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert futures.wait(waiting, timeout=20).not_done == set()
    assert all(future.cancelled() for future in waiting)
    gate.open()
    executor.shutdown()
    assert running.result() > 0
    assert gate.look() == []


@pytest.mark.parametrize("how", ["shutdown", "cancel"])
def test_what_has_ended_unnoticed_is_not_cancelled(tmp_path: Path, how: str) -> None:
    """A call whose result is there, but not read because the pool's thread is busy, keeps its result."""
    with Gate(tmp_path, "first") as first, Gate(tmp_path, "second") as second:
        executor = Executor(1)
        ended = executor.submit(first.pass_through)
        first.arrived_blocking()
        running = executor.submit(second.pass_through)
        waiting = executor.submit(abs, -1)
        with ThreadPoolExecutor(1) as other, pool_thread_held_up(executor):
            first.open()
            second.arrived_blocking()  # so the first has been reported
            if how == "shutdown":
                executor.shutdown(wait=False, cancel_futures=True)
                cancelled = None
            else:
                cancelled = other.submit(
                    lambda: [future.cancel() for future in (ended, running, waiting)]
                )
        assert cancelled is None or cancelled.result(20) == [False, False, True]
        with pytest.raises(futures.CancelledError):
            waiting.result(20)
        second.open()
        assert ended.result(20) == running.result(20)
        executor.shutdown()


@contextmanager
def pool_thread_held_up(executor: Executor) -> Iterator[None]:
    """Keep the pool's thread in a done callback, so that it reads nothing."""
    held, let_go = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        held.set()
        let_go.wait(20)

    cancelled = executor.submit(abs, 1)
    cancelled.add_done_callback(hold)
    canceller = threading.Thread(target=cancelled.cancel)  # waits for the thread that is held up
    canceller.start()
    assert held.wait(20)
    try:
        yield
    finally:
        let_go.set()
        canceller.join(20)


def test_killing_the_workers(gate: Gate) -> None:
    """What is pending fails at once, and no worker is left when this returns."""
    executor = Executor(1)
    calls = [executor.submit(gate.pass_holding_gil), executor.submit(abs, -1)]
    [worker] = gate.arrived_blocking()
    executor.kill_workers()
    assert not Path(f"/proc/{worker}").exists()
    for call in calls:
        with pytest.raises(PoolClosed):
            call.result(20)
    with pytest.raises(PoolClosed):
        executor.submit(abs, -1)


def test_shutting_down_in_a_callback() -> None:
    """Without waiting it works; with it, it says that it would wait for itself."""
    executor = Executor(1)
    caught: list[BaseException] = []
    told = threading.Event()

    def callback(_: Any) -> None:
        try:
            executor.shutdown()
        except RuntimeError as error:
            caught.append(error)
        executor.shutdown(wait=False)
        told.set()

    executor.submit(abs, 1).add_done_callback(callback)
    assert told.wait(20)
    assert "would wait for itself" in str(caught[0])
    executor.shutdown()


def test_an_unused_executor_starts_nothing() -> None:
    """Neither a thread nor a process."""
    before = threading.active_count()
    with Executor() as executor:
        assert threading.active_count() == before
    executor.shutdown()


def test_a_forgotten_executor_finishes_what_it_has(gate: Gate) -> None:
    """Without a warning; then its thread and its workers end."""
    executor = Executor(1)
    future = executor.submit(gate.pass_through)
    gate.arrived_blocking()
    del executor
    gc.collect()
    gate.open()
    assert future.result() > 0
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("workpool") for thread in threading.enumerate()):
        assert time.monotonic() < deadline


def test_a_keyboard_interrupt_in_the_block(gate: Gate) -> None:
    """What waits is cancelled and what runs interrupted, so that the block is left."""
    with pytest.raises(KeyboardInterrupt), Executor(1) as executor:
        running = executor.submit(children.pass_or_note, gate, os.devnull)
        gate.arrived_blocking()
        waiting = executor.submit(abs, 1)
        raise KeyboardInterrupt
    assert running.cancelled()
    assert waiting.cancelled()


# Initializers


def test_an_initializer_runs_in_each_worker_first() -> None:
    """With its arguments."""
    with Executor(1, initializer=os.chdir, initargs=("/",)) as executor:
        assert executor.submit(os.getcwd).result() == "/"


def test_a_failing_initializer_breaks_the_executor() -> None:
    """What waits and what comes fails with an error that is also a BrokenProcessPool."""
    with Executor(2, initializer=children.raise_value_error, initargs=("no",)) as executor:
        waiting = [executor.submit(abs, 1) for _ in range(5)]
        for future in waiting:
            error = future.exception()
            assert isinstance(error, BrokenProcessPool)
            assert isinstance(error, WorkerStartError)
            assert "ValueError: no" in str(error)
        with pytest.raises(ExecutorStartError, match="no"):
            executor.submit(abs, 1)


def test_an_initializer_that_cannot_be_sent() -> None:
    """The same, and the message says what could not be pickled."""
    with Executor(1, initializer=print, initargs=(threading.Lock(),)) as executor:
        assert "lock" in str(executor.submit(abs, 1).exception())
        with pytest.raises(BrokenProcessPool):
            executor.submit(abs, 1)


# The interpreter's end


def test_the_interpreter_waits_for_what_was_submitted(tmp_path: Path) -> None:
    """Of an executor that nobody closed, of one that nobody holds, of one that is shutting down."""
    program = """
import os, time
from workpool import Executor

def work(text):
    time.sleep(0.1)
    os.write(1, text.encode() + b" ")  # in one piece: there are three at a time

open_one = Executor(1)
open_one.submit(work, "open")
Executor(1).submit(work, "forgotten")
shut = Executor(1)
shut.submit(work, "shut")
shut.shutdown(wait=False)
"""
    finished = run(program, tmp_path)
    assert finished.stderr == ""
    assert finished.returncode == 0
    assert sorted(finished.stdout.split()) == ["forgotten", "open", "shut"]


def test_submitting_after_that_is_an_error(tmp_path: Path) -> None:
    """As with every executor, in `atexit` functions and in callbacks of the last calls."""
    program = """
import atexit
from workpool import Executor

def late(executor):
    try:
        executor.submit(abs, 1)
    except RuntimeError as error:
        print(error, flush=True)

used, unused = Executor(1), Executor(1)
used.submit(abs, 1).result()
atexit.register(late, used)
atexit.register(late, unused)
"""
    finished = run(program, tmp_path)
    assert finished.stderr == ""
    assert finished.stdout.count("cannot schedule new futures after interpreter shutdown") == 2


def test_ctrl_c_ends_a_program_that_waits_for_its_executor(tmp_path: Path) -> None:
    """In `shutdown` and in the block: with a KeyboardInterrupt, soon, and without other noise."""
    program = """
import os, signal, threading, time
from workpool import Executor

def interrupt_main():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

with Executor(1) as executor:
    executor.submit(abs, 1).result()
    executor.submit(time.sleep, 60)
    executor.submit(time.sleep, 60)
    threading.Thread(target=interrupt_main).start()
"""
    for tail in ("", "    time.sleep(60)\n"):
        finished = run(program + tail, tmp_path)
        assert finished.returncode == -signal.SIGINT
        assert finished.stderr.rstrip().endswith("KeyboardInterrupt")
        assert finished.stderr.count("Traceback") == 1


# What `__main__` defines


def test_scripts_need_no_guard_and_share_their_globals(tmp_path: Path) -> None:
    """An initializer of `__main__` sets what the functions of `__main__` read, in every worker."""
    program = """
import functools
from dataclasses import dataclass
from workpool import Executor

MODEL = None
CACHE = {}
FACTOR = 10

@dataclass
class Point:
    x: int

def set_up(model):
    global MODEL
    MODEL = model
    CACHE["ready"] = True

def helper(x):
    return FACTOR * x

def work(x):
    return MODEL, CACHE["ready"], helper(x)

def count(_=None):
    CACHE["calls"] = CACHE.get("calls", 0) + 1
    return CACHE["calls"]

@functools.lru_cache
def cached(x):
    return count(x)

with Executor(1, initializer=set_up, initargs=("m",)) as executor:
    print(executor.submit(work, 1).result())
    print(executor.submit(functools.partial(work, 2)).result())
    print(executor.submit(Point, 3).result() == Point(3))
    print([executor.submit(count).result() for _ in range(3)])
    print([executor.submit(cached, 0).result() for _ in range(3)])
    FACTOR = 20
    print(executor.submit(lambda: helper(1)).result())
    print([executor.submit(lambda: n).result() for n in range(3)])
    for n in range(2):
        def closure():
            return n + offset
        offset = n
        print(list(executor.map(lambda x: x + n, [1, 2], chunksize=2)))
"""
    finished = run(program, tmp_path)
    assert finished.stderr == ""
    assert finished.stdout.splitlines() == [
        "('m', True, 10)",
        "('m', True, 20)",
        "True",
        "[1, 2, 3]",
        "[4, 4, 4]",
        "20",
        "[0, 1, 2]",
        "[1, 2]",
        "[2, 3]",
    ]


def test_what_cannot_be_sent_of_a_script(tmp_path: Path) -> None:
    """A function of `__main__` that uses something unpicklable fails its own call alone."""
    program = """
import threading
from workpool import Executor

LOCK = threading.Lock()

def work():
    with LOCK:
        return 1

with Executor(1) as executor:
    print(type(executor.submit(work).exception()).__name__)
    print(executor.submit(abs, -1).result())
"""
    finished = run(program, tmp_path)
    assert finished.stderr == ""
    assert finished.stdout.split() == ["SerializationError", "1"]


def test_managers_may_be_used(tmp_path: Path) -> None:
    """A worker, though multiprocessing did not start it, may talk to the parent's manager."""
    program = """
import multiprocessing
from concurrent.futures import wait
from workpool import Executor

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Manager() as manager, Executor(2) as executor:
        shared = manager.dict()
        wait([executor.submit(shared.update, {n: n}) for n in range(3)])
        print(sorted(shared.items()))
"""
    finished = run(program, tmp_path)
    assert finished.stderr == ""
    assert finished.stdout.strip() == "[(0, 0), (1, 1), (2, 2)]"
