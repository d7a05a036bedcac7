"""The real program as part of a pipeline, on a terminal, and when it is interrupted."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

pytestmark = pytest.mark.once

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
# Opening a named pipe waits for its other end: a task under way is an event, not a guess.
TASKS = """\
import time

def echo(text):
    return text

def gated(text):
    if text.startswith("gate:"):
        with open(text[5:]) as gate:
            gate.read()
    if text.startswith("stuck:"):
        with open(text[6:], "w"):
            pass
        while True:
            time.sleep(60)
    return text

def busy(text):
    if text.startswith("stuck:"):
        with open(text[6:], "w"):
            pass
        sum(range(10**12))  # one C call that never releases the GIL
    return text
"""
PEAK_MEGABYTES = 150


class Program:
    """A `workpool map` under way."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def send(self, *lines: str) -> None:
        self.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.stdin.flush()

    def read_lines(self, count: int) -> list[str]:
        return [self.stdout.readline().decode().strip('"\n') for _ in range(count)]

    def interrupt(self, number: int = signal.SIGINT) -> tuple[list[str], str, float]:
        """Signal the whole group, as a terminal does; return what is left to read, and seconds."""
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        rest, error = self.process.communicate(timeout=15)
        took = time.monotonic() - began
        return [line.strip('"') for line in rest.decode().splitlines()], error.decode(), took

    def peak_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert peak is not None
        return int(peak[1]) / 1024


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `workpool map`; what it started is ended after the test."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with ExitStack() as stack:

        def begin(
            *arguments: str,
            before: tuple[str, ...] = (),
            stdin: int | IO[bytes] = subprocess.PIPE,
            stdout: int = subprocess.PIPE,
            stderr: int = subprocess.PIPE,
        ) -> Program:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", "workpool", "map", *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=tmp_path,
                env={**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "100"},
                start_new_session=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Program(process)

        yield begin


@contextmanager
def endless() -> Iterator[IO[bytes]]:
    """Give the output of `yes`."""
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as yes:
        assert yes.stdout is not None
        try:
            yield yes.stdout
        finally:
            yes.kill()


def wait_for(pipe: Path) -> None:
    """Return when a task has opened the named pipe."""
    with pipe.open():
        pass


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Return a named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("options", [[], ["--unordered"]])
def test_an_endless_input_takes_bounded_memory_and_ends_with_its_reader(
    start: Start, options: list[str]
) -> None:
    """As in `yes | workpool map ... | head`: no message, the status of a closed pipe."""
    with endless() as yes:
        program = start(*options, "tasks:echo", stdin=yes)
        assert set(program.read_lines(30_000)) == {"y"}
        assert program.peak_megabytes() < PEAK_MEGABYTES
        program.stdout.close()
        assert program.process.wait(timeout=10) == 128 + signal.SIGPIPE
        assert program.process.stderr is not None
        assert program.process.stderr.read() == b""


def test_an_early_slow_task_holds_back_an_endless_input(start: Start, pipe: Path) -> None:
    """Results wait for it, the reading waits for room, and both go on when it ends."""
    program = start("-j", "2", "--buffer", "50", "tasks:gated")
    program.send(f"gate:{pipe}", *(str(number) for number in range(500)))
    with pipe.open("w"):
        pass
    assert program.read_lines(501) == [f"gate:{pipe}", *(str(number) for number in range(500))]
    program.stdin.close()
    assert program.process.wait(timeout=10) == 0


def test_a_result_appears_before_the_next_input_is_there(start: Start) -> None:
    """An interactive producer is answered line by line."""
    program = start("tasks:echo")
    for word in ("one", "two", "three"):
        program.send(word)
        assert program.read_lines(1) == [word]
    program.stdin.close()
    assert program.process.wait(timeout=10) == 0


@pytest.mark.parametrize("task", ["gated", "busy"])
def test_an_interrupt_ends_the_job_with_what_is_done_in_order(
    start: Start, pipe: Path, task: str
) -> None:
    """Within 2 s, also when a task holds its worker's GIL; no traceback from anybody."""
    program = start("-j", "2", f"tasks:{task}")
    program.send("a")
    assert program.read_lines(1) == ["a"]
    program.send(f"stuck:{pipe}", "c", "b")
    wait_for(pipe)
    rest, error, seconds = program.interrupt()
    assert rest in ([], ["c"], ["c", "b"])
    assert error.startswith("workpool: interrupted: ")
    assert error.count("\n") == 1
    assert program.process.returncode == 130
    assert seconds < 2


def test_an_interrupt_while_waiting_for_input(start: Start) -> None:
    """Nothing has to arrive first."""
    program = start("tasks:echo")
    program.send("a")
    assert program.read_lines(1) == ["a"]
    rest, error, seconds = program.interrupt()
    assert (rest, error) == ([], "workpool: interrupted: 1 input done\n")
    assert program.process.returncode == 130
    assert seconds < 2


def test_an_interrupt_while_nobody_reads_the_results(start: Start) -> None:
    """A reader that has stopped reading does not keep the program."""
    with endless() as yes:
        program = start("tasks:echo", stdin=yes)
        program.read_lines(1)
        began = time.monotonic()
        os.killpg(program.process.pid, signal.SIGINT)
        assert program.process.wait(timeout=10) == 130
        assert time.monotonic() - began < 2


def test_a_termination_is_as_orderly(start: Start, pipe: Path) -> None:
    """SIGTERM differs in the exit status only."""
    program = start("tasks:gated")
    program.send(f"stuck:{pipe}")
    wait_for(pipe)
    _, error, seconds = program.interrupt(signal.SIGTERM)
    assert error == "workpool: interrupted: 0 inputs done, 1 under way given up\n"
    assert program.process.returncode == 128 + signal.SIGTERM
    assert seconds < 2


def test_a_signal_that_was_ignored_stays_ignored(start: Start) -> None:
    """As `nohup` and a shell's `&` want it."""
    program = start("tasks:echo", before=("sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    program.send("a")
    assert program.read_lines(1) == ["a"]
    os.killpg(program.process.pid, signal.SIGINT)
    program.send("b")
    assert program.read_lines(1) == ["b"]
    program.stdin.close()
    assert program.process.wait(timeout=10) == 0


def read_terminal(leader: int) -> str:
    """Return all that a program writes to a terminal until it ends."""
    text = b""
    while True:
        try:
            text += os.read(leader, 4096)
        except OSError:  # how a terminal says that nobody has it open any more
            return text.decode()


def test_a_terminal_sees_the_progress(start: Start) -> None:
    """Count, rate and time left on standard error; standard output has the results alone."""
    leader, follower = pty.openpty()
    program = start("tasks:echo", "a", "b", "c", stderr=follower)
    os.close(follower)
    seen = read_terminal(leader)
    os.close(leader)
    assert program.read_lines(4) == ["a", "b", "c", ""]
    assert "3/3" in seen
    assert "/s" in seen
    assert "left" in seen


def test_on_one_terminal_results_and_bar_do_not_mix(start: Start) -> None:
    """Every result stands on a line of its own, from its beginning."""
    leader, follower = pty.openpty()
    program = start("tasks:echo", "a", "b", "c", stdout=follower, stderr=follower)
    os.close(follower)
    seen = read_terminal(leader)
    os.close(leader)
    assert program.process.wait(timeout=10) == 0
    erase = "\x1b[2K"
    lines = [line.rpartition(erase)[2].rpartition("\r")[2] for line in seen.split("\r\n")]
    assert [line for line in lines if line.startswith('"')] == ['"a"', '"b"', '"c"']


def test_no_terminal_no_progress(start: Start) -> None:
    """A log file gets no bar."""
    program = start("tasks:echo", "a")
    _, error = program.process.communicate(timeout=15)
    assert error == b""
