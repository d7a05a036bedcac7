"""A worker that dies takes the task it was running with it, and nothing else."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, call_async, once
from workpool import WorkerCrashed, WorkerHandle, WorkerPool, WorkerStartError

Pool = WorkerPool[Any, Any]

DEATHS = [
    pytest.param((children.kill_self, signal.SIGKILL), "SIGKILL", None, id="SIGKILL"),
    pytest.param((children.kill_self, signal.SIGTERM), "SIGTERM", None, id="SIGTERM"),
    pytest.param((children.kill_self, signal.SIGABRT), "SIGABRT", None, id="SIGABRT"),
    pytest.param((children.read_address_zero,), "SIGSEGV", None, id="segfault"),
    pytest.param((os._exit, 0), None, 0, id="exit 0"),
    pytest.param((os._exit, 3), None, 3, id="exit 3"),
]


def outcome_of(task: asyncio.Future[Any]) -> BaseException:
    error = task.exception()
    assert error is not None
    return error


@pytest.mark.parametrize("entrypoint", [call, call_async])
@pytest.mark.parametrize(("work", "signal_name", "exit_code"), DEATHS)
async def test_a_death_fails_its_task_alone(
    entrypoint: Any, work: Any, signal_name: str | None, exit_code: int | None
) -> None:
    """The task fails with `WorkerCrashed` that tells how; what waited behind it runs."""
    async with Pool(entrypoint, max_workers=1, worker_concurrency=1) as pool:
        pid = await pool.add_task((os.getpid,))
        exited = once(pool, "worker-exited")
        task = pool.add_task(work)
        behind = [pool.add_task((children.double, number)) for number in range(50)]
        after = pool.add_task((os.getpid,))
        with pytest.raises(WorkerCrashed) as caught:
            await task
        error = caught.value
        assert isinstance(error, BrokenProcessPool)
        assert (error.pid, error.signal_name, error.exit_code) == (pid, signal_name, exit_code)
        assert (error.task_id, error.attempts) == (task.id, 1)
        for part in (str(pid), signal_name or f"code {exit_code}", f"task {task.id}"):
            assert part in str(error)
        assert (task.state, task.attempts) == ("failed", 1)
        assert await asyncio.gather(*behind) == [2 * number for number in range(50)]
        assert await after != pid
        handle, reason = await exited
        assert (handle.pid, handle.state) == (pid, "exited")
        assert (signal_name or f"code {exit_code}") in reason
        statistics = pool.statistics()
        assert (statistics.failed, statistics.restarts) == (1, 1)
        assert [worker.id for worker in pool.workers] == [handle.id]


def test_the_error_survives_pickling() -> None:
    """Its attributes are there on the other side."""
    error = WorkerCrashed("m", pid=5, exit_code=None, signal_name="SIGKILL", task_id=3, attempts=2)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is WorkerCrashed
    assert str(copy) == "m"
    assert copy.__dict__ == error.__dict__


async def test_a_kill_from_outside_in_the_middle_of_a_task(gate: Gate) -> None:
    """SIGKILL by somebody else: the running task fails, its queue is kept."""
    async with Pool(call, max_workers=1) as pool:
        stuck = pool.add_task((gate.pass_through,))
        behind = [pool.add_task((children.double, number)) for number in range(500)]
        [pid] = await gate.arrived()
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashed, match="SIGKILL"):
            await stuck
        assert await asyncio.gather(*behind) == [2 * number for number in range(500)]


async def test_a_kill_while_it_holds_the_gil(gate: Gate) -> None:
    """A worker stuck in a C call is replaced when it is killed."""
    async with Pool(call, max_workers=1) as pool:
        stuck = pool.add_task((gate.pass_holding_gil,))
        behind = pool.add_task((os.getpid,))
        [pid] = await gate.arrived()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashed):
            await stuck
        assert await behind != pid


async def test_a_kill_of_an_idle_worker_harms_no_task(gate: Gate) -> None:
    """An idle worker that dies is replaced when there is work; no task fails."""
    async with Pool(call, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        exited = once(pool, "worker-exited")
        os.kill(pid, signal.SIGKILL)
        await exited
        assert await pool.add_task((os.getpid,)) != pid
        statistics = pool.statistics()
        assert (statistics.failed, statistics.completed) == (0, 2)


async def test_what_was_reported_before_the_death_counts(gate: Gate) -> None:
    """Results and messages sent before a worker died are not lost, while the loop was blocked."""
    said: list[Any] = []
    async with Pool(children.call_with_client, max_workers=1) as pool:
        pool.on_message("note", lambda content, _origin: said.append(content))
        good = pool.add_task((children.post, "note", 1, 2))
        bad = pool.add_task((children.post_and_die, "note", 3))
        await asyncio.wait([good, bad])
        assert good.result() == 0
        assert isinstance(outcome_of(bad), WorkerCrashed)
        assert said == [1, 2, 3]


async def test_many_crashes_among_many_tasks() -> None:
    """Each crash fails exactly its own task; every other result is right."""
    async with Pool(call, max_workers=2) as pool:
        tasks = {}
        for number in range(1000):
            crash = number % 125 == 60
            work = (os._exit, 5) if crash else (children.double, number)
            tasks[number] = pool.add_task(work)
        await asyncio.wait(tasks.values())
        for number, task in tasks.items():
            if number % 125 == 60:
                error = outcome_of(task)
                assert isinstance(error, WorkerCrashed)
                assert error.task_id == task.id
            else:
                assert task.result() == 2 * number
        statistics = pool.statistics()
        assert (statistics.failed, statistics.completed) == (8, 992)


async def test_an_async_worker_takes_all_it_was_running_with_it(gate: Gate) -> None:
    """Tasks that ran beside the one that crashed fail as well; those not begun run elsewhere."""
    async with Pool(call_async, max_workers=1, worker_concurrency=3) as pool:
        beside = [pool.add_task((gate.pass_async,)) for _ in range(2)]
        [pid, _] = await gate.arrived(2)
        exited = once(pool, "worker-exited")
        bad = pool.add_task((children.kill_self, signal.SIGKILL))
        behind = [pool.add_task((children.double, number)) for number in range(20)]
        handle, _ = await exited
        assert handle.pid == pid
        assert await asyncio.gather(*behind) == [2 * number for number in range(20)]
        for task in (*beside, bad):
            error = outcome_of(task)
            assert isinstance(error, WorkerCrashed)
            assert (error.pid, error.task_id) == (pid, task.id)


@pytest.mark.parametrize("size", [100_000, 2_000_000])
async def test_large_arguments_of_crashed_tasks_are_freed(size: int) -> None:
    """Crashes with large arguments leave room for the next ones."""
    async with Pool(call, max_workers=1) as pool:
        for _ in range(8):
            with pytest.raises(WorkerCrashed):
                await pool.add_task((children.exit_with, b"x" * size))
        assert (
            await asyncio.gather(*(pool.add_task((len, b"x" * size)) for _ in range(8)))
            == [size] * 8
        )


@pytest.mark.parametrize("size", [100_000, 2_000_000])
async def test_a_crash_while_a_large_argument_is_unpickled(size: int) -> None:
    """A worker that dies while it unpickles an argument fails that task alone."""
    async with Pool(children.identity, max_workers=1) as pool:
        with pytest.raises(WorkerCrashed, match="code 9"):
            await pool.add_task([children.Deadly(), b"x" * size])
        with pytest.raises(WorkerCrashed, match="code 9"):
            await pool.add_task(children.Deadly())
        assert await pool.add_task(1) == 1


# Retries


async def test_retries_run_a_crashed_task_again(tmp_path: Path) -> None:
    """A task whose workers die runs again as often as it may."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.die_the_first_times, str(tmp_path), 2), retries=2)
        assert await task > 0
        assert task.attempts == 3
        assert pool.statistics().failed == 0


async def test_retries_of_crashes_come_to_an_end(tmp_path: Path) -> None:
    """When the retries are used up, the last crash is the outcome."""
    async with Pool(call, max_workers=1, retries=1) as pool:
        task = pool.add_task((children.die_the_first_times, str(tmp_path), 10))
        with pytest.raises(WorkerCrashed) as caught:
            await task
        assert caught.value.attempts == task.attempts == 2


async def test_without_retries_a_crashed_task_never_runs_again(tmp_path: Path) -> None:
    """A task that has begun is not begun a second time."""
    async with Pool(call, max_workers=2) as pool:
        tasks = [
            pool.add_task((children.count_and_die, str(tmp_path / f"{number}")))
            for number in range(6)
        ]
        await asyncio.wait(tasks)
        assert all(isinstance(outcome_of(task), WorkerCrashed) for task in tasks)
    assert [(tmp_path / f"{number}").read_text() for number in range(6)] == ["."] * 6


async def test_a_fault_in_native_code_leaves_the_python_stack(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Where the worker's errors go, the function that was running can be read."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(WorkerCrashed, match="segmentation fault"):
            await pool.add_task((children.read_address_zero,))
    assert "in read_address_zero" in capfd.readouterr().err


# Deaths before a worker is ready


@pytest.mark.parametrize("where", ["import", "hook"])
@pytest.mark.parametrize("worker_output", ["inherit", "forward"])
async def test_a_worker_that_never_gets_ready(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], where: str, worker_output: Any
) -> None:
    """After five deaths in a row the waiting tasks fail with `WorkerStartError`; then no more.

    The error has the end of what the last of them wrote, all of which is seen here as well.
    """
    die = "print('no such library', file=sys.stderr, flush=True); os._exit(11)\n"
    (tmp_path / "dies.py").write_text(
        "import os, sys\n"
        + (die if where == "import" else "")
        + f"def start(client): {die}def run(argument): return argument\n"
        + "run.on_worker_start = start\n"
    )
    launched: list[WorkerHandle] = []
    form = f"{tmp_path}/dies.py:run"
    async with Pool(form, max_workers=1, worker_output=worker_output) as pool:
        pool.on("worker-launched", launched.append)
        outcomes = await asyncio.gather(*map(pool.add_task, range(3)), return_exceptions=True)
        for error in outcomes:
            assert isinstance(error, WorkerStartError)
            assert error.exit_code == 11
            assert "code 11" in str(error)
            assert error.output == "no such library"
            assert "no such library" in str(error)
        assert len(launched) == 5
        assert pool.workers == ()
    assert capfd.readouterr().err.count("no such library\n") == 5


async def test_a_signal_before_a_worker_is_ready(tmp_path: Path) -> None:
    """The start error names the signal and has its number, negative, as the exit code."""
    (tmp_path / "dies.py").write_text("import os; os.kill(os.getpid(), 9)\n")
    async with Pool(f"{tmp_path}/dies.py:run", max_workers=1) as pool:
        with pytest.raises(WorkerStartError, match="SIGKILL") as caught:
            await pool.add_task(1)
    assert (caught.value.exit_code, caught.value.output) == (-9, "")


async def test_a_worker_that_gets_ready_at_last(tmp_path: Path) -> None:
    """Fewer deaths in a row than that harm no task."""
    (tmp_path / "dies.py").write_text(
        "from tests.children import die_the_first_times\n"
        f"die_the_first_times({str(tmp_path)!r}, 3)\n"
        "def run(argument): return argument\n"
    )
    async with Pool(f"{tmp_path}/dies.py:run", max_workers=1) as pool:
        assert await asyncio.gather(*map(pool.add_task, range(20))) == list(range(20))
        assert pool.statistics().restarts == 3


async def test_one_slot_that_cannot_start_does_not_stop_the_others() -> None:
    """While one worker works, another that dies at its start fails no task."""

    def start(client: Any) -> None:
        if client.worker_id == 1:
            os._exit(1)

    form = children.with_start_hook(call, start)
    async with Pool(form, max_workers=2) as pool:
        pid = await pool.add_task((os.getpid,))
        tasks = [pool.add_task((os.getpid,)) for _ in range(500)]
        assert set(await asyncio.gather(*tasks)) == {pid}


async def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system refuses to start a process, the tasks say why, and the pool recovers."""

    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async with Pool(call, max_workers=2) as pool:
        with monkeypatch.context() as patch:
            patch.setattr("subprocess.Popen", refuse)
            for _ in range(2):
                with pytest.raises(WorkerStartError, match="temporarily unavailable"):
                    await pool.add_task((children.double, 2))
            assert pool.workers == ()
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_pool_grows_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """A worker that was killed before it had done anything is not replaced for ever, but in the end."""
    monkeypatch.setattr("workpool._growth._RESTART_PAUSE", 0.2)
    async with Pool(call, max_workers=2) as pool:
        pool.resize_up_to(2)
        while {worker.state for worker in pool.workers} != {"idle"}:
            await asyncio.sleep(0)
        exited = once(pool, "worker-exited")
        pool.workers[1].kill()
        await exited
        long = pool.add_task((gate.pass_through,))
        await gate.arrived()
        assert await pool.add_task((children.double, 4)) == 8
        assert not long.done()
        gate.open()
        await long
