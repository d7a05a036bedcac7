"""How a pool ends: closed, disposed of, killed, forgotten; and how workers go with their parent."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, end_of, is_alive, once
from tests.contract.programs import has_ended_within
from workpool import Entrypoint, PoolClosed, WorkerPool

Pool = WorkerPool[Any, Any]
ROOT = Path(__file__).parents[2]

GONE_WITHIN = 1.0
"""Seconds after its parent's end in which every worker has to be gone."""


# Closing


async def test_closing_finishes_what_was_added(gate: Gate) -> None:
    """`aclose` waits for running and waiting tasks, runs the exit hooks and reaps the workers."""
    said: list[str] = []
    form = Entrypoint("tests.children", "call", on_worker_exit=children.note_exit)
    pool = Pool(form, max_workers=2)
    pool.on_message("hook", lambda content, _origin: said.append(content))
    running = pool.add_task((gate.pass_through,))
    waiting = [pool.add_task((children.double, number)) for number in range(500)]
    await gate.arrived()
    closing = asyncio.ensure_future(pool.aclose())
    await asyncio.sleep(0)
    with pytest.raises(PoolClosed):
        pool.add_task((os.getpid,))
    gate.open()
    await closing
    assert await running > 0
    assert [task.result() for task in waiting] == [2 * number for number in range(500)]
    assert said == ["exit", "exit"]
    assert pool.workers == ()


async def test_a_closed_pool_says_so() -> None:
    """Every use of a closed pool raises `PoolClosed`; looking at it does not."""
    pool = Pool(children.double, max_workers=1)
    async with pool:
        await pool.add_task(1)
    for use in (
        lambda: pool.add_task(1),
        lambda: pool.resize_up_to(1),
        lambda: pool.post_message_to_workers("note"),
    ):
        with pytest.raises(PoolClosed, match="closed"):
            use()
    with pytest.raises(PoolClosed):
        async for _ in pool.map([1]):
            pass
    with pytest.raises(PoolClosed):
        async with pool:
            pass
    await pool.when_idle()
    assert pool.is_idle
    assert pool.statistics().completed == 1


async def test_closing_twice_does_no_harm() -> None:
    """Closing a closed, a closing or a never used pool returns when it is closed."""
    pool = Pool(children.double, max_workers=1)
    await pool.add_task(1)
    await asyncio.gather(pool.aclose(), pool.aclose())
    await pool.aclose()
    pool.dispose()
    pool.kill()
    unused = Pool(children.double)
    await unused.aclose()
    with pytest.raises(PoolClosed):
        unused.add_task(1)


async def test_an_empty_pool_closes() -> None:
    """A pool that was entered and not used closes, with and without workers."""
    async with Pool(children.double):
        pass
    async with Pool(children.double, max_workers=2, min_workers=2):
        pass


async def test_closing_waits_for_starting_workers(gate: Gate) -> None:
    """A worker that is still starting when the pool closes ends gracefully."""
    said: list[str] = []

    def start(client: Any) -> None:
        gate.pass_through()

    form = children.with_start_hook(call, start)
    form.on_worker_exit = children.note_exit  # type: ignore[attr-defined]
    pool = Pool(form, max_workers=1, min_workers=1)
    pool.on_message("hook", lambda content, _origin: said.append(content))
    async with pool:
        await gate.arrived()
        gate.open()
    assert said == ["exit"]


async def test_leaving_on_an_exception_cancels(gate: Gate, tmp_path: Path) -> None:
    """An exception that leaves the block passes; running tasks are interrupted, none is begun."""
    ran, note = tmp_path / "ran", tmp_path / "note"
    with pytest.raises(LookupError, match="from the block"):
        async with Pool(call, max_workers=1) as pool:
            running = pool.add_task((children.pass_or_note, gate, str(note)))
            waiting = [pool.add_task((children.first_time, str(ran))) for _ in range(100)]
            await gate.arrived()
            raise LookupError("from the block")
    assert running.cancelled()
    assert all(task.cancelled() for task in waiting)
    assert note.read_text() == "TaskCancelled"
    assert not ran.exists()
    assert pool.workers == ()


async def test_leaving_on_an_exception_kills_what_will_not_end(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that cannot be interrupted is killed after its grace; the block is left."""
    monkeypatch.setattr("workpool._interrupts.CANCEL_GRACE", 0.1)
    with pytest.raises(LookupError):
        async with Pool(call, max_workers=1) as pool:
            pool.add_task((gate.pass_holding_gil,))
            [pid] = await gate.arrived()
            raise LookupError
    await end_of(pid)


async def test_a_cancelled_close_ends_everything(gate: Gate) -> None:
    """When the wait of `aclose` is cancelled, the workers are killed."""
    pool = Pool(call, max_workers=1)
    task = pool.add_task((gate.pass_through,))
    [pid] = await gate.arrived()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.aclose(), 0.01)
    await end_of(pid)
    with pytest.raises(PoolClosed):
        await task


async def test_an_exit_hook_that_hangs_is_ended(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose exit hook does not return is killed after the grace for it."""
    monkeypatch.setattr("workpool._fleet.EXIT_GRACE", 0.2)
    form = Entrypoint("tests.children", "call", on_worker_exit=gate_hook(gate))
    async with Pool(form, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        exited = once(pool, "worker-exited")
    assert (await exited)[0].pid == pid


def gate_hook(gate: Gate) -> Any:
    return lambda _client: gate.pass_through()


async def test_dispose_returns_at_once_and_closes(gate: Gate) -> None:
    """`dispose` takes no more tasks, finishes what there is, and then ends the workers."""
    pool = Pool(call, max_workers=1)
    task = pool.add_task((gate.pass_through,))
    [pid] = await gate.arrived()
    exited = once(pool, "worker-exited")
    pool.dispose()
    with pytest.raises(PoolClosed):
        pool.add_task((os.getpid,))
    gate.open()
    assert await task == pid
    await exited
    await pool.aclose()


async def test_kill_ends_all_at_once(gate: Gate) -> None:
    """When `kill` returns the processes are gone; every pending task fails with `PoolClosed`."""
    pool = Pool(call, max_workers=2)
    stuck = [pool.add_task((gate.pass_holding_gil,)) for _ in range(2)]
    waiting = [pool.add_task((children.double, number)) for number in range(100)]
    pids = await gate.arrived(2)
    pool.kill()
    assert not any(map(is_alive, pids))
    for task in (*stuck, *waiting):
        with pytest.raises(PoolClosed):
            await task
    with pytest.raises(PoolClosed):
        pool.add_task((os.getpid,))
    assert pool.workers == ()


async def test_kill_inside_the_block_and_from_a_listener(gate: Gate) -> None:
    """A pool may be killed by what it calls, and its block is left without an error."""
    async with Pool(call, max_workers=2) as pool:
        pool.on("task-complete", lambda *_: pool.kill())
        tasks = [pool.add_task((children.double, number)) for number in range(50)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(outcome, PoolClosed) for outcome in outcomes)


def test_a_pool_belongs_to_one_loop() -> None:
    """A pool made before any loop runs serves the first one, and refuses another."""
    pool = Pool(children.double, max_workers=1)
    with pytest.raises(RuntimeError, match="running event loop"):
        pool.add_task(1)

    async def use() -> int:
        result = await pool.add_task(1)
        assert isinstance(result, int)
        return result

    assert asyncio.run(use()) == 2
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use())
    pool.kill()


def test_a_pool_whose_loop_was_stopped_amid_a_burst() -> None:
    """It takes no task until the loop runs again; then all come to their end."""
    pool = WorkerPool[int, int](children.double, max_workers=1)
    added: list[asyncio.Future[int]] = []

    async def first() -> None:
        await pool.add_task(1)

    def burst() -> None:
        added.extend(pool.add_task(number) for number in range(5))
        loop.stop()

    async def rest() -> list[int]:
        async with pool:
            return await asyncio.gather(*added)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(first())
        loop.call_soon(burst)
        loop.run_forever()
        with pytest.raises(RuntimeError, match="running event loop"):
            pool.add_task(7)
        assert runner.run(rest()) == [0, 2, 4, 6, 8]


# Forgetting


def forget(pools: list[Pool]) -> None:
    """Drop the last reference to a pool."""
    pools.clear()
    gc.collect()


def run_and_collect(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)
    gc.collect()


async def test_an_unclosed_pool_that_is_collected(tmp_path: Path) -> None:
    """It warns, its workers run their exit hooks and go, and nothing is left behind."""
    note = tmp_path / "note"
    form = Entrypoint(
        "tests.children", "call", on_worker_exit=lambda _: note.write_text("exit hook")
    )
    pools = [Pool(form, max_workers=1)]
    pid = await pools[0].add_task((os.getpid,))
    while pools[0].workers[0].state != "idle":
        await asyncio.sleep(0.002)
    await asyncio.sleep(0)  # the loop lets go of the task that woke this coroutine
    with pytest.warns(ResourceWarning, match="never closed"):
        forget(pools)
    await end_of(pid)
    assert note.read_text() == "exit hook"


async def test_an_unused_pool_that_is_collected_does_not_warn() -> None:
    """There is nothing to close."""
    pool = Pool(children.double)
    del pool
    gc.collect()


def test_a_pool_whose_loop_ended(gate: Gate) -> None:
    """A pool left open by `asyncio.run` warns when it is collected, and leaves no process."""
    pids: list[int] = []

    async def use() -> None:
        pool = Pool(call, max_workers=2)
        pool.add_task((gate.pass_holding_gil,))
        pids.extend(await gate.arrived())
        pids.append(await pool.add_task((os.getpid,)))

    with pytest.warns(ResourceWarning, match="never closed"):
        run_and_collect(use())
    assert has_ended_within(pids, GONE_WITHIN)


# The parent's end

PROGRAM = """
import asyncio, os, signal, sys, threading
from tests import children
from tests.children import Gate, call
from workpool import Entrypoint, WorkerPool

directory, state, end = sys.argv[1:]
pools = []

async def main():
    form = Entrypoint("tests.children", "call", on_worker_exit=children.ExitNote(directory))
    pool = WorkerPool(form, max_workers=2, min_workers=2)
    pools.append(pool)
    first = [pool.add_task((Gate(directory, "start").pass_through,)) for _ in range(2)]
    await asyncio.gather(*first)
    if state != "idle":
        busy = [pool.add_task((getattr(Gate(directory), state),)) for _ in range(2)]
    sys.stdin.readline()
    return pool

def finish():
    if end == "raise":
        raise LookupError("the end")
    if end == "os._exit":
        os._exit(0)
    if end == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "SIGTERM":
        os.kill(os.getpid(), signal.SIGTERM)

async def main_and_finish():
    await main()
    finish()

if end == "thread":
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    print("the thread has ended", flush=True)
    sys.stdin.readline()
    os._exit(0)
elif end == "at exit":
    asyncio.run(main())
else:
    asyncio.run(main_and_finish())
"""


def start_parent(directory: Path, state: str, end: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory), state, end],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("state", ["idle", "pass_through", "pass_holding_gil"])
@pytest.mark.parametrize("end", ["at exit", "raise", "os._exit", "SIGKILL", "SIGTERM", "thread"])
def test_workers_go_with_their_parent(tmp_path: Path, gate: Gate, state: str, end: str) -> None:
    """However the parent ends and whatever they do, all workers are gone within a second."""
    with Gate(tmp_path, "start") as start, start_parent(tmp_path, state, end) as parent:
        try:
            pids = start.arrived_blocking(2)
            start.open(2)
            if state != "idle":
                assert sorted(gate.arrived_blocking(2)) == sorted(pids)
            assert parent.stdin is not None
            parent.stdin.write("\n")
            parent.stdin.flush()
            if end == "thread":
                assert parent.stdout is not None
                assert parent.stdout.readline() == "the thread has ended\n"
                assert all(map(is_alive, pids))
                parent.stdin.write("\n")
                parent.stdin.flush()
            parent.wait(5)
            assert has_ended_within(pids, GONE_WITHIN)
        finally:
            parent.kill()
        notes = sorted(path.name for path in tmp_path.glob("exit-*"))
        expected = sorted(f"exit-{pid}" for pid in pids)
        # A worker in the middle of a task has no time for its hook; an idle one always has.
        assert notes == (expected if state == "idle" else [])


def test_a_signal_of_the_parent_is_not_blocked_in_workers() -> None:
    """Workers start with no signal blocked that the parent has not blocked itself."""

    async def use() -> set[int]:
        async with Pool(call, max_workers=1) as pool:
            result = await pool.add_task((children.blocked_signals,))
            assert isinstance(result, set)
            return result

    assert asyncio.run(use()) == set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


async def test_the_parent_forks(gate: Gate) -> None:
    """A forked child may end as it likes: the pool, its tasks and workers are not affected."""
    async with Pool(call, max_workers=2) as pool:
        task = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        child = os.fork()
        if not child:
            status = 1
            try:
                gc.collect()
                pool.add_task((os.getpid,))
            except PoolClosed:
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert await pool.add_task((children.double, 2)) == 4
        gate.open()
        assert await task == pid
        assert pool.statistics().restarts == 0


def test_a_forked_child_does_not_keep_workers_alive(tmp_path: Path) -> None:
    """When the parent ends, workers go although a child it forked lives on."""
    program = PROGRAM.replace(
        "    sys.stdin.readline()\n    return", "    fork()\n    return"
    ).replace("def finish", FORK + "def finish")
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    with Gate(tmp_path, "start") as start, Gate(tmp_path, "child") as child:
        parent = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, str(tmp_path), "idle", "SIGKILL"],
            env={**os.environ, "PYTHONPATH": path},
        )
        pids = start.arrived_blocking(2)
        start.open(2)
        [child_pid] = child.arrived_blocking()
        try:
            parent.wait(5)
            assert has_ended_within(pids, GONE_WITHIN)
            assert is_alive(child_pid)
        finally:
            child.open()
            assert has_ended_within([child_pid], 5)


FORK = """
def fork():
    if not os.fork():
        Gate(directory, "child").pass_through()
        os._exit(0)


"""


async def test_a_coroutine_that_is_thrown_away_takes_its_pool_with_it(gate: Gate) -> None:
    """Closed in the middle of the block, it waits for nothing, raises nothing and leaves nothing."""

    async def use() -> None:
        async with Pool(call, max_workers=1) as pool:
            pools.append(pool)
            await pool.add_task((gate.pass_through,))

    pools: list[Pool] = []
    using = use()
    using.send(None)
    [pid] = await gate.arrived()
    using.close()
    assert not children.is_alive(pid)
    assert pools[0].workers == ()


async def test_leaving_on_an_error_does_not_wait_for_slow_starts(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """A worker that is still in its start hook has nothing to finish, and is soon killed."""
    monkeypatch.setattr("workpool._fleet.START_GRACE", 0.05)
    form = children.with_start_hook(call, lambda client: gate.pass_through())
    with pytest.raises(LookupError):
        async with Pool(form, max_workers=1) as pool:
            exited = once(pool, "worker-exited")
            pool.add_task((os.getpid,))
            await gate.arrived()
            raise LookupError
    _, reason = exited.result()
    assert "SIGKILL" in reason


async def test_a_keyboard_interrupt_in_the_block_ends_everything_at_once(gate: Gate) -> None:
    """Pending tasks are cancelled, and the workers are gone when the block is left."""
    with pytest.raises(KeyboardInterrupt):
        async with Pool(call, max_workers=1) as pool:
            task = pool.add_task((gate.pass_through,))
            [pid] = await gate.arrived()
            raise KeyboardInterrupt
    assert task.cancelled()
    assert not is_alive(pid)


async def test_closing_ends_a_worker_that_hangs_once_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, gate: Gate, tmp_path: Path
) -> None:
    """Its limit begins with the close, and getting ready does not lift it."""
    monkeypatch.setattr("workpool._fleet.EXIT_GRACE", 0.2)
    with Gate(tmp_path, "never") as never:

        def start(client: Any) -> None:
            client.on_message("hang", lambda *_: never.pass_through())
            gate.pass_through()

        pool = Pool(children.with_start_hook(call, start), max_workers=1)
        pool.resize_up_to(1)
        await gate.arrived()
        pool.post_message_to_workers("hang")
        closing = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        gate.open()
        await closing
        assert pool.workers == ()
