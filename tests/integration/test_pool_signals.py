"""Signals to a whole program: Ctrl-C, a closed terminal, SIGTERM, Ctrl-Z."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests import signal_children
from tests.integration.terminals import (
    CTRL_BACKSLASH,
    CTRL_C,
    CTRL_Z,
    PATIENCE,
    Terminal,
    on_terminal,
)
from tests.signal_children import command

GONE_WITHIN = 4.0
"""Seconds in which no process of an interrupted program may be left: two, and as much for a machine that
is busy otherwise. What is wrong takes ten, the time of a hook, or for ever."""

OCCUPATIONS = ["computing", "holding_the_gil", "waiting", "printing", "idle", "never_started"]


def tracebacks(text: str) -> int:
    """Count the exceptions that were printed; one with its causes and contexts is one."""
    chained = re.findall(r"^(During handling of|The above exception was)", text, re.MULTILINE)
    return text.count("Traceback (most recent call last)") - len(chained)


def check_interrupted(terminal: Terminal) -> None:
    """Check that nobody is left, and that at most the parent said that it was interrupted."""
    assert terminal.is_empty_within(GONE_WITHIN), terminal.processes()
    text = terminal.text.replace("\r\n", "\n")
    assert terminal.program.wait(PATIENCE) == -signal.SIGINT, text
    assert tracebacks(text) <= 1, text
    assert len(re.findall(r"^KeyboardInterrupt", text, re.MULTILINE)) <= 1, text
    for complaint in ("Exception ignored", "never retrieved", "was never", "never awaited"):
        assert complaint not in text, text


@pytest.mark.parametrize(
    ("occupation", "block"),
    [("computing", False), *((occupation, True) for occupation in OCCUPATIONS)],
)
def test_ctrl_c(occupation: str, block: bool) -> None:
    """Whatever the workers do: one traceback, the parent's, and all are gone soon."""
    with on_terminal(command(signal_children.run_a_pool, occupation, block)) as terminal:
        terminal.wait_for("busy", 2)
        terminal.type(CTRL_C)
        check_interrupted(terminal)


def test_ctrl_c_while_workers_are_not_yet_themselves(tmp_path: Path) -> None:
    """One that comes before a worker has its handler is not for it either."""
    hook = f"import sys; sys.path[:0] = {sys.path!r}; from tests import signal_children; "
    (tmp_path / "sitecustomize.py").write_text(hook + "signal_children.wait_for_interruption()")
    program = command(signal_children.run_a_pool, "idle", True, str(tmp_path))
    with on_terminal(program) as terminal:
        terminal.wait_for("busy", 2)
        terminal.type(CTRL_C)
        check_interrupted(terminal)


@pytest.mark.parametrize("occupation", ["never_started", "ending"])
def test_a_second_ctrl_c_ends_what_takes_long(occupation: str) -> None:
    """The first one waits for hooks; who cannot wait presses it again, and all are gone."""
    with on_terminal(command(signal_children.run_a_pool, occupation, True)) as terminal:
        terminal.wait_for("busy", 2)
        terminal.type(CTRL_C)
        terminal.wait_for("interrupted")
        terminal.type(CTRL_C)
        check_interrupted(terminal)


@pytest.mark.parametrize(
    ("number", "occupation"),
    [
        (signal.SIGTERM, "holding_the_gil"),
        (signal.SIGTERM, "idle"),
        (signal.SIGQUIT, "computing"),
    ],
)
def test_a_signal_to_the_whole_group(number: signal.Signals, occupation: str) -> None:
    """Service managers and shells end the group: nobody is left, nobody complains."""
    with on_terminal(command(signal_children.run_a_pool, occupation, True)) as terminal:
        terminal.wait_for("busy", 2)
        os.killpg(terminal.program.pid, number)
        assert terminal.is_empty_within(GONE_WITHIN), terminal.processes()
        assert terminal.program.wait(PATIENCE) == -number
        assert "Traceback" not in terminal.text


def test_the_terminal_is_closed() -> None:
    """The program goes with its window, and its workers with it."""
    with on_terminal(command(signal_children.run_a_pool, "computing", True)) as terminal:
        terminal.wait_for("busy", 2)
        terminal.hang_up()
        assert terminal.is_empty_within(GONE_WITHIN), terminal.processes()
        assert terminal.program.wait(PATIENCE) == -signal.SIGHUP


def test_the_terminal_of_a_program_that_ignores_it_is_closed(tmp_path: Path) -> None:
    """What was started with `nohup` goes on, and its workers with it."""
    note = tmp_path / "note"
    program = command(signal_children.ignore_hangups_and_run_a_pool, str(note))
    with on_terminal(program) as terminal:
        terminal.wait_for("busy")
        terminal.hang_up()
        assert terminal.program.wait(PATIENCE) == 0
        assert note.read_text() == "went on"
        assert terminal.is_empty_within(GONE_WITHIN), terminal.processes()


def test_ctrl_z_and_on() -> None:
    """A stopped program goes on where it was: no worker is replaced, no task is lost."""
    tasks = 300
    job = command(signal_children.count_with_a_pool, tasks)
    with on_terminal(command(signal_children.be_a_shell, job)) as terminal:
        for stop, progress in enumerate(("done 30", "done 120"), 1):
            terminal.wait_for(progress)
            terminal.type(CTRL_Z)
            terminal.wait_for("stopped", stop)
            assert terminal.all_are("T")
            group = os.getpgid(terminal.processes("T")[0])
            os.killpg(group, signal.SIGCONT)
        terminal.wait_for("sum")
        total = sum(number * number for number in range(tasks))
        assert f"sum {total}, 0 restarts" in terminal.text
        assert terminal.program.wait(PATIENCE) == 0
        assert terminal.is_empty_within(GONE_WITHIN), terminal.processes()


def test_a_stopped_program_can_be_quit() -> None:
    """Workers that were stopped with their parent end with it."""
    job = command(signal_children.run_a_pool, "computing", True)
    with on_terminal(command(signal_children.be_a_shell, job)) as terminal:
        terminal.wait_for("busy", 2)
        terminal.type(CTRL_Z)
        terminal.wait_for("stopped")
        assert terminal.all_are("T")
        workers = terminal.processes("T")
        os.killpg(os.getpgid(workers[0]), signal.SIGCONT)
        terminal.type(CTRL_BACKSLASH)
        assert terminal.is_empty_within(GONE_WITHIN), terminal.processes()
