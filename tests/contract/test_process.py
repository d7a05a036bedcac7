"""Processes: started like this one, watched without touching anybody else's, ended for certain."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import children
from workpool._system import oom_kills
from workpool._system.process import ExitStatus, Process, interpreter_command, signal_name

Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start functions of `children`; whatever is left of them is ended and reaped."""
    with ExitStack() as stack:

        def start(function: Callable[..., Any], *arguments: Any, **options: Any) -> Process:
            options = {"descriptors": [], "environment": os.environ, **options}
            process = Process(children.program(function, *arguments), **options)
            stack.callback(process.close)
            stack.callback(process.reap, wait=True)
            stack.callback(process.send_signal, signal.SIGKILL)
            return process

        yield start


def wait_for(process: Process) -> None:
    """Wait until the process has ended, without reaping it."""
    select.select([process.descriptor], [], [])


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_an_exit_code_is_reported(start: Start, code: int) -> None:
    """A process that ends by itself has its code, and no signal."""
    process = start(children.end_with, code)
    assert process.reap(wait=True) == ExitStatus(code, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_a_signal_is_reported_by_name(start: Start, number: int) -> None:
    """A process that a signal ended has that signal's name, and no code."""
    process = start(children.kill_self, int(number))
    status = process.reap(wait=True)
    assert status == ExitStatus(None, number)
    assert str(status) == f"ended by {signal.Signals(number).name}"


def test_signals_without_a_name_are_numbered() -> None:
    """Every number gives a text."""
    assert signal_name(9) == "SIGKILL"
    assert signal_name(int(signal.SIGRTMIN) + 3).startswith("signal ")
    assert signal_name(0) == "signal 0"


def test_a_running_process_has_no_status(start: Start) -> None:
    """Looking does not wait; the pidfd is readable when there is something to see."""
    process = start(children.wait_for_ever)
    assert process.reap() is None
    process.send_signal(signal.SIGKILL)
    wait_for(process)
    assert process.reap() == ExitStatus(None, signal.SIGKILL)


def test_a_status_that_somebody_else_took_is_unknown(start: Start) -> None:
    """When another wait() was faster, that is said instead of guessed or raised."""
    process = start(children.end_with, 3)
    os.waitpid(process.pid, 0)
    status = process.reap()
    assert status == ExitStatus(None, None)
    assert "unknown" in str(status)


def test_only_its_own_child_is_reaped(start: Start) -> None:
    """Other children of this process, of other libraries, keep their status for their owners."""
    other = subprocess.Popen(children.program(children.end_with, 5))
    process = start(children.end_with, 3)
    wait_for(process)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert process.reap() == ExitStatus(3, None)
    assert other.wait() == 5


def test_a_signal_to_an_ended_process_does_nothing(start: Start) -> None:
    """Neither before nor after it was reaped, and never to another one of that id."""
    process = start(children.end_with, 0)
    wait_for(process)
    process.send_signal(signal.SIGKILL)
    assert process.reap() == ExitStatus(0, None)
    process.send_signal(signal.SIGKILL)


def test_a_program_that_is_not_there_leaves_nothing_behind() -> None:
    """The error is the system's, and the signal mask is as before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(FileNotFoundError):
        Process(["/no/such/program"], descriptors=[], environment={})
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_a_process_gets_its_descriptors_and_nothing_else(start: Start) -> None:
    """SIGINT is blocked, standard input is empty, and only what was named is inherited."""
    read_end, write_end = os.pipe()
    secret, other_secret = os.pipe()
    os.set_inheritable(secret, True)
    process = start(
        children.describe_process,
        descriptors=[write_end],
        environment={"ONLY": "this", "PATH": os.environ.get("PATH", "")},
        stdout=write_end,
    )
    os.close(write_end)
    with os.fdopen(read_end, "rb") as output:
        seen = json.loads(output.read())
    assert process.reap(wait=True) == ExitStatus(0, None)
    assert seen["blocked"] == [signal.SIGINT]
    assert seen["stdin"] == os.devnull
    assert list(seen["descriptors"]) == [str(write_end)]
    assert seen["environment"]["ONLY"] == "this"
    assert "HOME" not in seen["environment"]
    for descriptor in (secret, other_secret):
        os.close(descriptor)


FLAGS = [
    [],
    ["-O"],
    ["-OO", "-B"],
    ["-X", "dev"],
    ["-W", "error::DeprecationWarning", "-W", "ignore::UserWarning:some.module"],
    ["-b", "-W", "default"],
    ["-bb"],
    ["-X", "utf8=0", "-X", "int_max_str_digits=5000"],
    ["-X", "frozen_modules=off", "-X", "mine"],
    ["-E", "-s"],
    ["-I"],
    ["-P"],
    ["-X", "tracemalloc=3"],
]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_an_interpreter_is_started_like_this_one(flags: list[str]) -> None:
    """Flags, -X and -W options are handed on, and stay the same from generation to generation."""
    tail = children.program(children.describe_interpreter)[1:]
    parent = described([sys.executable, *flags, *tail])
    child = described([*parent["command"], *tail])
    for what in ("executable", "flags", "xoptions"):
        assert child[what] == parent[what]
    assert set(child["warnoptions"]) == set(parent["warnoptions"])
    assert child["command"] == parent["command"]


def test_environment_and_flags_do_not_add_up() -> None:
    """What came from PYTHONWARNINGS or PYTHONOPTIMIZE is not doubled by the worker's flags."""
    environment = {**os.environ, "PYTHONWARNINGS": "error::BytesWarning", "PYTHONOPTIMIZE": "1"}
    tail = children.program(children.describe_interpreter)[1:]
    parent = described([sys.executable, *tail], environment)
    child = described([*parent["command"], *tail], environment)
    assert child["flags"] == parent["flags"]
    assert set(child["warnoptions"]) == set(parent["warnoptions"])


def test_this_interpreter_is_named_by_its_path() -> None:
    """The worker is the same program, whatever is on the PATH."""
    assert interpreter_command()[0] == sys.executable
    assert Path(sys.executable).is_absolute()


def described(command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    output = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    seen: dict[str, Any] = json.loads(output.stdout)
    return seen


def test_kills_for_lack_of_memory_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new since the last look is returned; None where the kernel does not tell."""
    counts = iter([3, 3, 5, None, 6])
    monkeypatch.setattr(oom_kills, "_count", lambda: next(counts))
    kills = oom_kills.OomKills()
    assert [kills.since_last_look() for _ in range(4)] == [0, 2, None, None]
    monkeypatch.undo()
    assert oom_kills.OomKills().since_last_look() is not None
