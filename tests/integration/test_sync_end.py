"""How a blocking pool ends: closed, killed, forgotten, interrupted, forked, with its interpreter."""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, is_alive
from workpool import Entrypoint, PoolClosed, WorkerStartError
from workpool.sync import WorkerPool

Pool = WorkerPool[Any, Any]
ROOT = Path(__file__).parents[2]


def run(program: str, *, tail: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program with the tests' modules at hand."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program + tail],
        env=environment,
        capture_output=True,
        text=True,
        timeout=25,
        **options,
    )


def wait_for_end(pid: int) -> None:
    """Wait until a process, anybody's, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([descriptor], [], [], 20)
    os.close(descriptor)
    assert ready


def test_closing_finishes_what_was_added() -> None:
    """Waiting tasks are done, exit hooks run, the workers reaped and the thread ended."""
    said: list[Any] = []
    form = Entrypoint("tests.children", "call", on_worker_exit=children.note_exit)
    pool = Pool(form, max_workers=2)
    pool.on_message("hook", lambda content, _origin: said.append(content))
    pool.resize_up_to(2)
    tasks = [pool.add_task((children.double, number)) for number in range(500)]
    pool.close()
    assert [task.result() for task in tasks] == [2 * number for number in range(500)]
    assert said == ["exit", "exit"]
    assert not any(thread.name.startswith("workpool") for thread in threading.enumerate())


def test_an_exception_in_the_block_cancels_what_is_pending(gate: Gate) -> None:
    """What runs is interrupted, so the block is left soon."""
    with pytest.raises(KeyError), Pool(call, max_workers=1) as pool:
        running = pool.add_task((children.pass_or_note, gate, os.devnull))
        waiting = pool.add_task((children.double, 1))
        gate.arrived_blocking()
        raise KeyError
    assert running.cancelled()
    assert waiting.cancelled()


def test_killing_ends_everything_at_once(gate: Gate) -> None:
    """Whoever waits for a task is told; the processes are gone when `kill` returns."""
    pool = Pool(call, max_workers=1)
    task = pool.add_task((gate.pass_through,))
    (pid,) = gate.arrived_blocking()
    errors: list[BaseException | None] = []
    waiter = threading.Thread(target=lambda: errors.append(task.exception()))
    waiter.start()
    pool.kill()
    assert not is_alive(pid)
    waiter.join()
    assert isinstance(errors[0], PoolClosed)
    pool.kill()


def test_disposing_does_not_wait(gate: Gate) -> None:
    """It returns while a task runs, which is finished; nothing new is taken."""
    pool = Pool(call, max_workers=1)
    task = pool.add_task((gate.pass_through,))
    gate.arrived_blocking()
    pool.dispose()
    with pytest.raises(PoolClosed):
        pool.add_task((children.double, 1))
    gate.open()
    assert task.result() > 0
    pool.close()


@pytest.mark.parametrize("how", ["dispose", "kill"])
def test_ending_from_a_callback(how: str) -> None:
    """A callback may end its own pool."""
    pool = Pool(call, max_workers=1)
    task = pool.add_task((children.double, 1))
    task.add_done_callback(lambda _: getattr(pool, how)())
    assert task.result() == 2
    pool.close()
    assert pool.workers == ()


def test_tasks_added_while_the_pool_ends_end_too() -> None:
    """Whatever the order in which several threads add tasks and close: each task ends or is refused."""
    for _ in range(10):
        pool = Pool(call, max_workers=1)
        pool.add_task((children.double, 1)).result()
        tasks: list[Any] = []

        def add(pool: Pool = pool, tasks: list[Any] = tasks) -> None:
            try:
                while True:
                    tasks.extend([pool.add_task((children.double, 1)) for _ in range(10)])
                    tasks[-1].exception(20)
            except PoolClosed:
                return

        threads = [threading.Thread(target=add) for _ in range(3)]
        for thread in threads:
            thread.start()
        pool.close()
        for thread in threads:
            thread.join()
        outcomes = [task.exception(20) for task in tasks]
        assert all(error is None or isinstance(error, PoolClosed) for error in outcomes)


@pytest.mark.filterwarnings("default")
def test_a_forgotten_pool_warns_and_leaves_nothing() -> None:
    """Thread and worker end; a pool with a pending task is not forgotten."""
    with pytest.warns(ResourceWarning, match="never closed"):
        use_and_forget()


def use_and_forget() -> None:
    assert Pool(call, max_workers=1).add_task((children.double, 2)).result() == 4
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("workpool") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        gc.collect()


def test_a_pool_that_cannot_start_says_why() -> None:
    """Without descriptors for its thread: `WorkerStartError` at once, and it can be tried again."""
    pool = Pool(call, max_workers=1)
    for spare in (0, 1, 2, 4, 6, 8):
        with all_descriptors_used_but(spare), pytest.raises(WorkerStartError):
            pool.add_task((children.double, 1))
    assert not any(thread.name.startswith("workpool") for thread in threading.enumerate())
    assert pool.add_task((children.double, 1)).result() == 2
    pool.close()


@contextmanager
def all_descriptors_used_but(spare: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    fillers = []
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        for _ in range(spare):
            os.close(fillers.pop())
        yield
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# The interpreter's end


UNCLOSED = """
from tests.children import call, Gate, say_ready
from workpool.sync import WorkerPool
import os, sys, threading, time
pool = WorkerPool(call, max_workers=1)
print(pool.add_task((os.getpid,)).result(), flush=True)
"""


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "del pool, call\n",
        "task = pool.add_task((time.sleep, 60))\n",
        "threading.Thread(target=pool.add_task((time.sleep, 60)).exception).start()\n",
        "pool.on('worker-exited', print); sys.exit(0)\n",
        "pool.dispose()\n",
    ],
    ids=["idle", "deleted", "busy", "awaited by a thread", "listening", "disposed"],
)
def test_an_unclosed_pool_does_not_keep_the_interpreter(tail: str) -> None:
    """It exits cleanly and at once, its workers with it."""
    began = time.monotonic()
    finished = run("import warnings; warnings.simplefilter('ignore')\n" + UNCLOSED, tail=tail)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert time.monotonic() - began < 20
    wait_for_end(int(finished.stdout.split()[0]))


INTERRUPTED = """
import os, signal, sys, threading, time
from tests.children import call
from workpool.sync import WorkerPool

def interrupt_main():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

with WorkerPool(call, max_workers=1) as pool:
    pool.add_task((os.getpid,)).result()
    threading.Thread(target=interrupt_main).start()
    try:
        WAIT
    except KeyboardInterrupt:
        print("interrupted", pool.add_task((len, "goes on")).result() if LIVES else "")
"""


@pytest.mark.parametrize(
    "wait",
    [
        "pool.add_task((time.sleep, 60), timeout=1).result()",
        "(pool.add_task((time.sleep, 60), timeout=1), pool.when_idle())",
        "list(pool.map([(time.sleep, 60)] * 3, buffer=2))",
        "(pool.add_task((time.sleep, 60)), pool.close())",
        "pool.process([(time.sleep, 60)])",
        "pool.process((time.sleep(60), number) for number in range(9))",
        "pool.process([(len, '')], on_complete=lambda event: time.sleep(60))",
    ],
)
def test_a_keyboard_interrupt_ends_every_wait(wait: str) -> None:
    """At once, in the main thread, and the pool can be used afterwards; but `close` kills it."""
    lives = "close" not in wait
    program = INTERRUPTED.replace("WAIT", wait).replace("LIVES", str(lives))
    finished = run(program)
    assert finished.stderr == ""
    assert finished.stdout.split() == (["interrupted", "7"] if lives else ["interrupted"])


def test_ctrl_c_leaves_the_block() -> None:
    """The interrupt passes through, what runs is interrupted, and nothing else is printed."""
    program = INTERRUPTED.replace("except KeyboardInterrupt", "except OSError")
    finished = run(program.replace("WAIT", "pool.add_task((time.sleep, 60)).result()"))
    assert finished.returncode == -signal.SIGINT
    assert finished.stderr.rstrip().endswith("KeyboardInterrupt")


# Forks


def test_a_forked_child_leaves_the_pool_alone() -> None:
    """There the pool is closed, waits raise, and the child exits; the parent's pool goes on."""
    program = """
import os
from tests.children import call, double
from workpool import PoolClosed
from workpool.sync import WorkerPool

with WorkerPool(call, max_workers=1) as pool:
    pool.add_task((double, 1)).result()
    waiting = pool.add_task((double, 4))
    pid = os.fork()
    if not pid:
        try:
            pool.add_task((double, 1))
        except PoolClosed:
            print("closed", flush=True)
        try:
            waiting.done() or waiting.result()
        except RuntimeError:
            pass
        print(pool.workers, flush=True)
        with WorkerPool(call, max_workers=1) as own:
            print(own.add_task((double, 2)).result(), flush=True)
        raise SystemExit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    print(waiting.result(), pool.add_task((double, 3)).result())
"""
    finished = run("import warnings; warnings.simplefilter('ignore')\n" + program)
    assert finished.stderr == ""
    assert finished.stdout.split() == ["closed", "()", "4", "8", "6"]
