"""A channel's child process: tied to its parent, ended with all it has started, its output read."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.programs import has_ended_within
from workpool._system.leash import Leash
from workpool._system.process import ExitStatus, Process
from workpool.channels._child_process import ChildProcess
from workpool.channels._output import Collected, Lines, Tail
from workpool.errors import WorkerStartError

FAMILY = "sleep 1000 & echo $!; exec sleep 1000"
SECONDS_TO_GO = 1.0


def start(command: list[str], **options: Any) -> ChildProcess:
    return ChildProcess(
        command, asyncio.get_running_loop(), environment=dict(os.environ), **options
    )


async def first_line(lines: list[str]) -> str:
    while not lines:
        await asyncio.sleep(0.01)
    return lines[0]


def test_the_kernel_ends_a_group_with_its_leash() -> None:
    """A program that knows nothing goes, with its own child, when the other end is closed."""
    with ExitStack() as stack:
        leash = Leash()
        stack.callback(leash.close)
        read_end, write_end = os.pipe()
        process = Process(
            ["sh", "-c", FAMILY],
            descriptors=[leash.child_end],
            environment=os.environ,
            stdout=write_end,
            own_group=True,
        )
        os.close(write_end)
        leash.tie(process.pid)
        with os.fdopen(read_end) as output:
            grandchild = int(output.readline())
        assert process.reap() is None
        leash.close()
        assert process.reap(wait=True) == ExitStatus(None, signal.SIGKILL)
        process.close()
        assert has_ended_within([grandchild], SECONDS_TO_GO)


def test_a_group_of_its_own_blocks_nothing_and_hears_no_ctrl_c() -> None:
    """Other programs need SIGINT for their own ends; a terminal's does not come to their group."""
    process = Process(
        ["sh", "-c", "test $$ = $(ps -o pgid= $$) && kill -INT $$; sleep 1000"],
        descriptors=[],
        environment=os.environ,
        own_group=True,
    )
    try:
        assert process.reap(wait=True) == ExitStatus(None, signal.SIGINT)
        process.kill_group()  # it is reaped: nobody is hit
    finally:
        process.close()


async def test_what_a_child_has_started_goes_when_the_child_ends() -> None:
    """Nothing of the group outlives its leader, also not what has inherited no descriptor."""
    lines: list[str] = []
    program = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)"
    child = start(
        [sys.executable, "-S", "-c", program],
        sinks={"stdout": Lines("stdout", lambda _, line: lines.append(line))},
    )
    await child.ended()
    assert child.status == ExitStatus(0, None)
    assert has_ended_within([int(lines[0])], SECONDS_TO_GO)


async def test_a_dropped_child_ends_with_its_group() -> None:
    """No child, no zombie and no descriptor is left of one that nobody holds."""
    lines: list[str] = []
    child = start(
        ["sh", "-c", FAMILY], sinks={"stdout": Lines("stdout", lambda _, line: lines.append(line))}
    )
    pids = [child.pid, int(await first_line(lines))]
    del child
    assert has_ended_within(pids, SECONDS_TO_GO)


async def test_a_child_that_ends_in_time_is_not_killed() -> None:
    """`end` gives it the grace it was told; killed is only what has not ended then."""
    child = start([sys.executable, "-c", "import sys; sys.exit(3)"])
    child.end(grace=20)
    await child.ended()
    assert child.status == ExitStatus(3, None)
    stubborn = start(["sleep", "1000"])
    stubborn.end(grace=0.05)
    await stubborn.ended()
    assert stubborn.status == ExitStatus(None, signal.SIGKILL)
    stubborn.end(grace=0)
    stubborn.send_signal(signal.SIGTERM)


async def test_output_is_complete_when_the_end_is_told() -> None:
    """All lines, also an unfinished one, have come when `ended()` is over; streams are kept apart."""
    seen: list[tuple[str, str]] = []
    tail = Tail()
    child = start(
        ["sh", "-c", "echo a; echo b >&2; printf c; printf 'd\\r\\ne' >&2"],
        sinks={
            stream: Lines(stream, lambda stream, line: seen.append((stream, line)), tail)
            for stream in ("stdout", "stderr")
        },
    )
    await child.ended()
    assert [line for stream, line in seen if stream == "stdout"] == ["a", "c"]
    assert [line for stream, line in seen if stream == "stderr"] == ["b", "d", "e"]
    assert {"b", "e"} <= set(str(tail).splitlines())


async def test_large_output_is_collected() -> None:
    """More than a pipe holds, and every byte of it."""
    everything = Collected()
    child = start(["head", "-c", "3000000", "/dev/zero"], sinks={"stdout": everything})
    await child.ended()
    assert everything.data == bytes(3_000_000)


async def test_output_after_the_end_is_not_waited_for(tmp_path: Path) -> None:
    """What escaped from the group and goes on writing holds nobody up."""
    note = tmp_path / "pid"
    escaped = f"setsid sh -c 'echo $$ > {note}; exec yes' & while [ ! -s {note} ]; do :; done"
    child = start(["sh", "-c", escaped], sinks={"stdout": Collected()})
    await child.ended()
    assert child.status == ExitStatus(0, None)
    assert has_ended_within([int(note.read_text())], SECONDS_TO_GO)  # of SIGPIPE


async def test_an_output_handler_that_raises_stops_nothing() -> None:
    """The event loop's exception handler is told, and the child is read to its end."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def refuse(_stream: str, line: str) -> None:
        raise ValueError(line)

    child = start(["echo", "x"], sinks={"stdout": Lines("stdout", refuse)})
    await child.ended()
    assert [str(context["exception"]) for context in told] == ["x"]
    assert "'echo x'" in told[0]["message"]


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


WRONG: dict[str, tuple[Callable[[Path], list[str]], dict[str, Any], str]] = {
    "no such program": (lambda _: ["no-such-program", "x"], {}, r"'no-such-program x'.*PATH"),
    "no such file": (lambda _: ["./no/such"], {}, "there is no file './no/such'"),
    "not executable": (lambda p: [written(p / "x.py", "")], {}, "chmod"),
    "no interpreter": (
        lambda p: [written(p / "x", "#!/no/such\n")],
        {"mode": 0o755},
        "interpreter its first line names",
    ),
    "no first line": (lambda p: [written(p / "x", "hello\n")], {"mode": 0o755}, "#!"),
    "no folder": (
        lambda _: ["true"],
        {"folder": "/no/such"},
        r"'/no/such', where it should start, is not a folder.*cwd=",
    ),
    "too long": (lambda _: ["true", "x" * 10_000_000], {}, "Argument list too long"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_command_that_cannot_be_started_says_why(case: str, tmp_path: Path) -> None:
    """One clear error at the start, the system's error as its cause, and nothing left behind."""
    make, options, why = WRONG[case]
    command = make(tmp_path)
    if mode := options.pop("mode", None):
        Path(command[0]).chmod(mode)
    with pytest.raises(WorkerStartError, match=why) as raised:
        start(command, sinks={"stdout": Collected()}, **options)
    assert isinstance(raised.value.__cause__, OSError)


async def test_a_forked_child_holds_nobody_alive() -> None:
    """A fork of this process that lives on does not keep the child when this side lets go."""
    child = start(["sleep", "1000"])
    go, stop = os.pipe()
    fork = os.fork()
    if fork == 0:
        os.close(stop)
        os.read(go, 1)
        os._exit(0)
    os.close(go)
    try:
        pid = os.pidfd_open(child.pid)
        child._leash.close()
        assert select.select([pid], [], [], SECONDS_TO_GO)[0]
        os.close(pid)
        await child.ended()
    finally:
        os.close(stop)
        os.waitpid(fork, 0)


async def test_other_children_keep_their_status() -> None:
    """Only the channel's own child is reaped."""
    other = subprocess.Popen(["sh", "-c", "exit 5"])
    child = start(["true"])
    await child.ended()
    assert other.wait() == 5
