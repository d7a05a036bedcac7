"""One foreign child of a spawned worker: started, given arguments, ended, started anew."""

from __future__ import annotations

import asyncio
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import channel_children as children
from tests.contract.programs import has_ended_within
from workpool import (
    ChannelTimeout,
    CommandFailed,
    RequestFailed,
    WorkerCrashed,
    WorkerStartError,
)
from workpool.channels import CommandRunner, ParentChannel, SpawnedWorker, spawned_worker
from workpool.channels._spawned_child import SpawnedChild

SERVE = children.command(children.serve)


async def ready(channel: ParentChannel) -> None:
    await channel.listen_once("ready", timeout=20)


async def execute(channel: ParentChannel, argument: tuple[str, Any]) -> Any:
    return await channel.request(*argument)


def quiet(_stream: str, _line: str) -> None:
    """Take output that only matters as evidence."""


def child_of(worker: SpawnedWorker[Any, Any]) -> SpawnedChild:
    return SpawnedChild(worker, quiet)


async def test_a_child_is_started_set_up_used_and_ended() -> None:
    """Each handler gets the channel; what `execute` returns is the result."""
    calls: list[str] = []

    async def init(channel: ParentChannel) -> None:
        await ready(channel)
        calls.append("init")

    async def destroy(channel: ParentChannel) -> None:
        assert channel.active
        calls.append("destroy")

    child = child_of(spawned_worker(SERVE, init=init, execute=execute, destroy=destroy))
    assert not child.alive
    await child.start()
    await child.start()
    assert child.alive
    assert child.starts == 1
    assert await child.execute(("double", 21)) == 42
    assert await child.execute(("double", 4)) == 8
    await child.destroy()
    assert calls == ["init", "destroy"]
    assert not child.alive
    assert child.id is None
    await child.destroy()


async def test_plain_functions_do_as_handlers() -> None:
    """Handlers may be sync; what they return is the result."""
    child = child_of(spawned_worker(None, execute=lambda _, argument: argument + 1))
    assert await child.execute(1) == 2
    await child.destroy()


async def test_starts_at_the_same_time_are_one() -> None:
    """Several who find no child wait for the same one."""
    child = child_of(spawned_worker(SERVE, init=ready, execute=execute))
    answers = await asyncio.gather(*(child.execute(("double", n)) for n in range(5)))
    assert answers == [0, 2, 4, 6, 8]
    assert child.starts == 1
    await child.destroy()


@pytest.mark.parametrize("death", [("exit", 3), ("kill", int(signal.SIGKILL))])
async def test_a_crash_fails_its_argument_and_the_next_has_a_new_child(
    death: tuple[str, int],
) -> None:
    """The error is `WorkerCrashed`, with process, code or signal, and the channel's as its cause."""
    child = child_of(spawned_worker(SERVE, init=ready, execute=execute))
    await child.start()
    pid = child.id
    with pytest.raises(WorkerCrashed, match=r"(?s)the task .*exited|ended.*retries=") as crashed:
        await child.execute(death)
    assert crashed.value.pid == pid
    assert crashed.value.exit_code == (3 if death[0] == "exit" else None)
    assert crashed.value.signal_name == (None if death[0] == "exit" else "SIGKILL")
    assert not child.alive
    assert await child.execute(("double", 1)) == 2
    assert (child.starts, child.id) != (1, pid)
    await child.destroy()


async def test_a_handler_that_does_not_wait_for_the_child_is_ended_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing hangs when the child dies while its handler waits for something else."""
    monkeypatch.setattr("workpool.channels._spawned_child._LAST_WORDS", 0.02)

    async def wait_for_something_else(channel: ParentChannel, _: int) -> None:
        channel.send("exit", 3)
        await asyncio.sleep(1000)

    child = child_of(spawned_worker(SERVE, init=ready, execute=wait_for_something_else))
    with pytest.raises(WorkerCrashed, match="exited with code 3"):
        await child.execute(1)


async def test_an_error_of_the_handler_keeps_the_child() -> None:
    """The argument fails with it; the child is as good as before."""
    child = child_of(spawned_worker(SERVE, init=ready, execute=execute))
    with pytest.raises(RequestFailed, match="no ValueError"):
        await child.execute(("raise", "ValueError"))
    assert child.alive
    assert await child.execute(("double", 1)) == 2
    assert child.starts == 1
    await child.destroy()


async def test_a_child_that_may_still_be_busy_is_not_used_again() -> None:
    """After a cancellation, a timeout or a broken channel the next argument has a new child."""
    child = child_of(spawned_worker(SERVE, init=ready, execute=execute, timeout=0.3))
    await child.start()
    running = asyncio.ensure_future(child.execute(("never", None)))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not child.alive
    with pytest.raises(ChannelTimeout):
        await child.execute(("never", None))
    assert not child.alive
    child.kill()
    await child.destroy()
    command = children.command(children.answer, "nonsense")
    child = child_of(spawned_worker(command, execute=execute))
    with pytest.raises(Exception, match="is not JSON"):
        await child.execute(("x", None))
    assert not child.alive


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_what_a_child_works_on_beside_one_that_is_given_up_is_done(how: str) -> None:
    """It gets nothing new, what comes next has a new child, and it ends with its last argument."""
    asked, answer = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def init(channel: ParentChannel) -> None:
        async def question(_: Any) -> Any:
            asked.set()
            return await answer

        channel.listen_for("question", question)
        await ready(channel)

    async def ask(channel: ParentChannel, argument: tuple[str, float]) -> Any:
        return await channel.request(argument[0], argument[1], timeout=argument[1])

    child = child_of(spawned_worker(SERVE, init=init, execute=ask))
    beside = asyncio.ensure_future(child.execute(("ask", 20)))
    await asked.wait()
    pid = child.id
    assert pid is not None
    late = asyncio.ensure_future(child.execute(("never", 0.3)))
    stuck = asyncio.ensure_future(child.execute(("never", 20 if how == "cancelled" else 0.05)))
    await asyncio.sleep(0)
    if how == "cancelled":
        stuck.cancel()
    with pytest.raises((asyncio.CancelledError, ChannelTimeout)):
        await stuck
    assert await child.execute(("double", 2)) == 4
    with pytest.raises(ChannelTimeout, match="had been given up before"):
        await late
    assert (child.starts, child.id != pid) == (2, True)
    answer.set_result("done")
    assert await beside == "done"
    assert has_ended_within([pid], 5.0)
    assert await child.execute(("double", 3)) == 6
    assert child.starts == 2
    await child.destroy()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"command": "no-such-program"}, "could not be started.*PATH"),
        ({"command": "true", "init": ready}, "init raised ChannelClosed.*code 0"),
        (
            {"command": "sleep 9", "init": ready, "start_timeout": 0.1},
            r"not done within 0\.1 seconds.*'sleep 9'.*has written no line.*start_timeout=",
        ),
        ({"command": "sleep 9", "init": len}, "init raised TypeError"),
    ],
)
async def test_a_start_that_fails_says_why(options: dict[str, Any], why: str) -> None:
    """No command, a child that ends, one that never says it is ready, a wrong `init`; none is left."""
    child = child_of(spawned_worker(**{"execute": execute, **options}))
    with pytest.raises(WorkerStartError, match=why):
        await child.start()
    assert not child.alive
    with pytest.raises(WorkerStartError, match=why):
        await child.execute(1)


async def test_a_destroy_handler_that_raises_does_not_save_the_child() -> None:
    """The error is passed on when the child is gone."""

    async def refuse(channel: ParentChannel) -> None:
        raise ValueError(channel.id)

    child = child_of(spawned_worker(SERVE, init=ready, execute=execute, destroy=refuse))
    await child.start()
    with pytest.raises(ValueError, match=str(child.id)):
        await child.destroy()
    assert not child.alive


async def test_environment_folder_and_format_are_the_users(tmp_path: Path) -> None:
    """All that `ParentChannel` takes can be told to a spawned worker."""
    worker = spawned_worker(
        SERVE, init=ready, execute=execute, cwd=tmp_path, env={"A": "b"}, pickled=True
    )
    child = child_of(worker)
    assert await child.execute(("environment", "A")) == "b"
    assert await child.execute(("where", None)) == str(tmp_path.resolve())
    assert await child.execute(("echo", {1, 2})) == {1, 2}
    await child.destroy()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"execute": 5}, TypeError),
        ({"execute": None}, TypeError),
        ({"init": "ready"}, TypeError),
        ({"command": 5}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"start_timeout": -1}, ValueError),
        ({"env": {"A": 1}}, TypeError),
        ({"env": 5}, TypeError),
        ({"pickled": "no"}, TypeError),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    """Where the worker is described, not where it is started."""
    with pytest.raises(error):
        spawned_worker(**{"command": "true", "execute": execute, **options})


def test_a_spawned_worker_is_a_value_that_travels() -> None:
    """It can be pickled, for the worker processes that will run it."""
    worker = spawned_worker("node worker.mjs", init=ready, execute=execute, env={"A": "b"})
    assert worker.command == ("node", "worker.mjs")
    assert pickle.loads(pickle.dumps(worker)) == worker


# A command per argument


async def test_a_command_per_argument_needs_no_channel() -> None:
    """What it wrote is the result; what it read was given."""

    async def count(runner: CommandRunner, text: str) -> int:
        result = await runner.run(["wc", "-c"], input=text)
        return int(result.stdout)

    child = child_of(spawned_worker(None, execute=count))
    assert [await child.execute("x" * n) for n in (0, 5, 1_000_000)] == [0, 5, 1_000_000]
    await child.destroy()


async def test_a_command_that_fails_says_how() -> None:
    """Code or signal, and what it wrote to its standard error; unless that is expected."""
    runner = CommandRunner(env={"CODE": "3"})
    command = ["sh", "-c", "echo out; echo why >&2; exit $CODE"]
    with pytest.raises(CommandFailed, match=r"(?s)exited with code 3.*why") as failed:
        await runner.run(command)
    assert (failed.value.exit_code, failed.value.stderr) == (3, "why")
    result = await runner.run(command, check=False)
    assert result == (b"out\n", b"why\n", 3, None)
    assert (await runner.run(command, env={"CODE": "0"})).exit_code == 0
    with pytest.raises(CommandFailed, match="SIGSEGV") as killed:
        await runner.run(["sh", "-c", "kill -SEGV $$"])
    assert killed.value.signal_name == "SIGSEGV"
    with pytest.raises(WorkerStartError, match="PATH"):
        await runner.run("no-such-program")


async def test_a_cancelled_command_is_killed_with_all_it_has_started(tmp_path: Path) -> None:
    """Nothing of it is left when the cancellation is over, and no output is waited for."""
    runner = CommandRunner(cwd=tmp_path)
    running = asyncio.ensure_future(
        runner.run(["sh", "-c", "sleep 1000 & echo $! > pid; sleep 1000"])
    )
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert has_ended_within([int((tmp_path / "pid").read_text())], 1.0)


async def test_what_the_program_prints_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Plainly, as the worker that hosts the child prints; its pool says which worker it was."""
    child = SpawnedChild(spawned_worker(SERVE, init=ready, execute=execute))
    await child.execute(("print", "hello"))
    await child.destroy()
    printed = capsys.readouterr()
    assert printed.err == "hello\n"
    assert printed.out == "served\n"
