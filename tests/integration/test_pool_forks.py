"""A parent that forks, and has other children: they keep nothing of the pool, nor it of theirs."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import children, fork_children
from tests.children import Gate, call, end_of
from tests.fork_children import pools_own
from tests.signal_children import command
from workpool import PoolClosed, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]

# Children of the pool's own process


def tell_descriptors(pipe: int) -> None:
    """In a child: write which descriptors it has."""
    found = children.open_descriptors()
    found.pop(pipe)
    os.write(pipe, json.dumps(found).encode())


def by_fork(pipe: int) -> None:
    child = os.fork()
    if not child:
        try:
            tell_descriptors(pipe)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def by_multiprocessing(pipe: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=tell_descriptors, args=[pipe])
    process.start()
    process.join()
    assert process.exitcode == 0
    process.close()


def by_preexec(pipe: int) -> None:
    subprocess.run(
        [sys.executable, "-c", ""],
        check=True,
        close_fds=False,
        preexec_fn=lambda: tell_descriptors(pipe),
    )


@pytest.mark.parametrize("fork", [by_fork, by_multiprocessing, by_preexec])
async def test_a_child_of_the_parent_holds_nothing_of_the_pool(
    gate: Gate, fork: Callable[[int], None]
) -> None:
    """However it was forked, and whatever the pool was doing; the pool does not notice."""
    read_end, write_end = os.pipe()
    before = pools_own(children.open_descriptors())
    async with Pool(call, max_workers=2, worker_output=lambda *_: None) as pool:
        task = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        large = pool.add_task((len, b"x" * 1_000_000))
        of_the_pool = pools_own(children.open_descriptors()) - before
        fork(write_end)
        gate.open()
        assert await task == pid
        assert await large == 1_000_000
        assert pool.statistics().restarts == 0
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        found = json.loads(pipe.read())
    assert len(of_the_pool) > 5
    assert pools_own(found) & of_the_pool == set()


async def test_a_pool_is_of_no_use_in_a_forked_child(gate: Gate) -> None:
    """It says so, with the process it belongs to, and whatever is asked of it does not reach the workers."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        [worker] = pool.workers

        def use_it() -> None:
            for use in (
                lambda: pool.add_task((os.getpid,)),
                lambda: pool.post_message_to_workers("note"),
                lambda: pool.resize_up_to(1),
            ):
                with pytest.raises(PoolClosed, match="fork"):
                    use()
            assert pool.workers == ()
            worker.post_message("note")
            worker.retire()
            worker.kill()
            task.cancel()
            pool.dispose()
            pool.kill()
            asyncio.run(pool.aclose())

        assert await exit_code_of(use_it) == 0
        gate.open()
        await asyncio.wait([task])
        assert task.result() == pid
        assert await pool.add_task((os.getpid,)) == pid


async def test_a_forked_child_has_pools_of_its_own() -> None:
    """A pool made in a child works as any other, beside that of its parent."""

    async def main() -> int:
        async with Pool(children.double, max_workers=2) as pool:
            return sum(await asyncio.gather(*map(pool.add_task, range(20))))

    async with Pool(children.double, max_workers=2) as pool:
        assert await pool.add_task(1) == 2
        assert await exit_code_of(lambda: sys.exit(asyncio.run(main()) % 200)) == 380 % 200
        assert await pool.add_task(2) == 4


async def exit_code_of(function: Callable[[], None]) -> int | None:
    """Run a function in a forked child, while the event loop here goes on."""
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    try:
        await end_of(process.pid or 0)
        process.join()
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def test_a_script_that_forks_in_a_coroutine() -> None:
    """The child may leave through the event loop and the pool's block; its parent goes on."""
    program = command(fork_children.fork_in_a_coroutine)
    output = subprocess.run(program, capture_output=True, text=True, timeout=20)
    total = sum(2 * number for number in [*range(100), 100])
    assert output.stdout == f"child 7, sum {total}, 0 restarts\n"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_fork_by_another_thread_waits_for_a_worker_to_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the child would have the worker's lifeline, and nobody there who knew of it."""
    read_end, write_end = os.pipe()
    before = pools_own(children.open_descriptors())
    of_the_pool: set[str] = set()
    forking = threading.Thread(target=by_fork, args=[write_end])
    popen = subprocess.Popen

    def start_while_forking(*arguments: Any, **options: Any) -> Any:
        of_the_pool.update(pools_own(children.open_descriptors()) - before)
        forking.start()
        forking.join(0.05)  # it would be over by then if it did not have to wait
        return popen(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", start_while_forking)
        async with Pool(children.double, max_workers=1) as pool:
            task = pool.add_task(1)
            patch.undo()
            assert await task == 2
            forking.join()
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pools_own(json.loads(pipe.read())) & of_the_pool == set()


# Exit statuses


async def test_other_children_keep_their_status(gate: Gate) -> None:
    """A process of another library, or of asyncio, is reaped by whom it belongs to."""
    other = subprocess.Popen([sys.executable, "-c", "raise SystemExit(5)"])
    through_asyncio = await asyncio.create_subprocess_exec(sys.executable, "-c", "exit(6)")
    async with Pool(call, max_workers=2) as pool:
        crashes = [pool.add_task((os._exit, 3)) for _ in range(4)]
        await asyncio.wait(crashes)
        assert all(isinstance(crash.exception(), WorkerCrashed) for crash in crashes)
        assert await through_asyncio.wait() == 6
    assert other.wait() == 5


async def test_somebody_takes_the_status_of_a_worker(gate: Gate) -> None:
    """When another ``waitpid(-1)`` was faster, the task fails all the same, and says so."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(-1, 0)[0] == pid
        with pytest.raises(WorkerCrashed, match="somebody else's wait") as caught:
            await task
        assert (caught.value.exit_code, caught.value.signal_name) == (None, None)
        assert await pool.add_task((children.double, 2)) == 4


@contextmanager
def on_sigchld(handler: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def reap_everything(_number: int, _frame: Any) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


@pytest.mark.parametrize("handler", [signal.SIG_IGN, reap_everything])
async def test_a_parent_that_reaps_everything(handler: Any) -> None:
    """Programs that ignore SIGCHLD, or reap whatever ends, have a pool that works."""
    with on_sigchld(handler):
        async with Pool(call, max_workers=2) as pool:
            for _ in range(3):
                with pytest.raises(WorkerCrashed):
                    await pool.add_task((os._exit, 3))
                assert await pool.add_task((children.double, 2)) == 4
