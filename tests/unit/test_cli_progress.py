"""What standard error shows."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from workpool.cli import _report
from workpool.cli._evidence import users_part
from workpool.cli._job import Failure
from workpool.cli._progress import Bar, Figures, format_left, format_rate
from workpool.cli._records import Record
from workpool.cli._screen import Screen
from workpool.errors import EntrypointError, WorkerTraceback


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "-/s"), (0.25, "0.25/s"), (2.345, "2.3/s"), (250.4, "250/s"), (123456, "123k/s")],
)
def test_a_rate_is_short(rate: float | None, text: str) -> None:
    """Few digits, so that the bar does not jump."""
    assert format_rate(rate) == text


def test_the_time_left_is_told_in_hours_minutes_seconds() -> None:
    """Also while it is not known."""
    assert format_left(3723.2) == "1:02:03 left"
    assert format_left(None) == "-:--:-- left"


@pytest.mark.parametrize(
    ("figures", "parts"),
    [
        (Figures(3, 0, 10), ["3/10", "/s", "left"]),
        (Figures(3, 2, None), ["3 done", "/s", "2 failed"]),
    ],
)
def test_the_bar_is_one_line_that_fits(figures: Figures, parts: list[str]) -> None:
    """Count, rate and time left when the total is known; count and rate when it is not."""
    bar = Bar(Console(file=io.StringIO(), width=100))
    line = bar.render(figures)
    assert all(part in line for part in parts)
    narrow = Bar(Console(file=io.StringIO(), width=20)).render(figures)
    assert len(narrow) <= 20
    assert "\n" not in narrow


def test_messages_stand_above_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar is taken away before a message and drawn again after it."""
    screen = Screen()
    screen.draw("[bar]")
    screen.message("hello\n")
    screen.leave_bar()
    screen.message("bye")
    erase = "\r\x1b[2K"
    assert capsys.readouterr().err == f"{erase}[bar]{erase}hello\n[bar]\nbye\n"


def test_a_closed_standard_error_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results matter more than messages nobody can read."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        Screen().message("lost")


def failure(error: BaseException, value: object = "a.txt") -> Failure:
    return Failure(Record("line 3", value, 5), error)


def test_a_failure_is_told_with_its_input_and_the_workers_traceback() -> None:
    """The first line says it all; the evidence follows."""
    error = ValueError("bad")
    error.__cause__ = WorkerTraceback("Traceback ...\n  in task\nValueError: bad\n")
    first, *evidence = _report.describe_failure(failure(error)).splitlines()
    assert first == "line 3 ('a.txt') failed: ValueError: bad"
    assert [line.strip() for line in evidence] == ["Traceback ...", "in task", "ValueError: bad"]


def test_a_failure_shows_the_beginning_of_a_long_input() -> None:
    """A megabyte of input is not an error message."""
    text = _report.describe_failure(failure(ValueError("bad"), "x" * 1000))
    assert len(text) < 150


def test_an_unusable_entrypoint_is_no_inputs_fault() -> None:
    """Its own sentence is enough."""
    assert _report.describe_failure(failure(EntrypointError("no module"))) == "no module"


def traceback_of(*files: str) -> str:
    frames = "".join(f'  File "{file}", line 1, in f\n    g()\n    ^^^\n' for file in files)
    chained = "\n\nThe above exception was the direct cause of the following exception:\n\n"
    return f"Traceback (most recent call last):\n{frames}ValueError: bad{chained}Traceback ..."


def test_the_users_part_of_a_traceback_has_no_frames_of_the_library() -> None:
    """Nor of the import system, nor what was raised in consequence."""
    library = str(Path(_report.__file__).parents[1] / "_worker" / "boot.py")
    text = traceback_of(library, "<frozen importlib._bootstrap>", "/home/me/mod.py")
    assert users_part(text) == [
        "Traceback (most recent call last):",
        '  File "/home/me/mod.py", line 1, in f',
        "    g()",
        "    ^^^",
        "ValueError: bad",
    ]
    assert users_part(traceback_of(library)) == []
