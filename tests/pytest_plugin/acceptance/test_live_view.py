"""What is shown on a terminal while tests run, and where it is not."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from typing import cast

import pytest

from tests.pytest_plugin.acceptance.inner import Inner
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._live_view import Canvas, LiveView

SUITE = """
    import pytest
    from noting import wait_for
    def test_long(): wait_for("seen")
    @pytest.mark.parametrize("n", range(3))
    def test_short(n): pass
"""


def on_a_terminal(inner: Inner, *arguments: str, term: str = "xterm") -> str:
    """Run the suite on a terminal, the long test until it was seen there or all others are done."""
    inner.write("test_it.py", SUITE)
    inner.notes_file.write_text("")
    ours, theirs = pty.openpty()
    places = os.pathsep.join([str(inner.path), *filter(None, sys.path)])
    environ = {**os.environ, "TERM": term, "PYTHONPATH": places}
    command = inner.command("--workpool=2", "--workpool-scope=test", *arguments)
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=inner.path
    )
    os.close(theirs)
    text = b""
    with process:
        while b"test_long" not in text and b"75%" not in text:
            text += os.read(ours, 4096)
        if not arguments and term != "dumb":
            while b"1 test left" not in text:
                text += os.read(ours, 4096)
        with inner.notes_file.open("a") as notes:
            notes.write("0 seen\n")
        try:
            while more := os.read(ours, 4096):
                text += more
        except OSError:
            pass  # that is how a terminal ends
        finally:
            os.close(ours)
    assert process.returncode == 0, text.decode()
    return text.decode()


def test_the_workers_are_shown(inner: Inner) -> None:
    """On a terminal it is shown who runs what, for how long, and what is left; at the end nothing of it is."""
    text = on_a_terminal(inner)
    assert re.search(r"gw\d +[\d.]+ s  test_it.py::test_long", text)
    assert re.search(r"1 test left, about \d", text)
    last = text.rindex("left, about")
    assert "\x1b[J" in text[last:]
    assert "4 passed" in text[last:]


def test_where_nobody_looks(inner: Inner) -> None:
    """No cursor is moved in output that goes to a file."""
    inner.write("test_it.py", SUITE.replace('wait_for("seen")', "pass"))
    assert "\x1b[" not in inner.workpool().text


@pytest.mark.parametrize(
    ("argument", "term"), [("-q", "xterm"), ("--workpool-view=no", "xterm"), ("-v", "dumb")]
)
def test_where_it_is_off(inner: Inner, argument: str, term: str) -> None:
    """With -q, on a dumb terminal, and when switched off, there is none."""
    assert "left, about" not in on_a_terminal(inner, argument, "--workpool-slow=0.1", term=term)


def test_the_time_to_go() -> None:
    """What runs has to run for the rest of its time only, and for none if it is over it."""
    durations = Durations(cast(pytest.Config, None))
    durations.known.update(a=10.0, b=4.0, c=1.0, d=9.0)
    durations.note("d", 9.0)
    assert durations.left("abcd", {}) == (3, 15.0)
    assert durations.left("abcd", {"a": 8.0, "b": 5.0}) == (3, 3.0)


class Screen(io.StringIO):
    """A terminal as far as the view uses it: lines, a cursor, and erasing below it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.row = self.column = 0

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|[^\x1b]", text):
            self._do(part)
        return len(text)

    def _do(self, part: str) -> None:
        number = int(part[2:-1] or 0) if len(part) > 2 else 0
        if part == "\n":
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif part == "\r":
            self.column = 0
        elif part[-1] == "A" and number:
            self.row -= number
        elif part[-1] == "C" and number:
            self.column += number
        elif part == "\x1b[J":
            self.lines[self.row + 1 :] = []
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif len(part) == 1:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + part + line[self.column + 1 :]
            self.column += 1


class Writer:
    """What pytest writes through."""

    def __init__(self, file: Screen) -> None:
        self._file: Screen | Canvas = file

    @property
    def width_of_current_line(self) -> int:
        return self._file.column


def test_output_goes_on_where_it_was() -> None:
    """The view stands below the output, and what is written next continues the line before it."""
    screen = Screen()
    writer = Writer(screen)
    view = LiveView(writer, workers=2)
    writer._file.write("title\n...")
    view.show([(1, "b.py::test", 65.0), (0, "a.py::test", 1.25)], 30, 20.0)
    assert screen.lines[:2] == ["title", "..."]
    assert screen.lines[2].split() == ["gw0", "1.2", "s", "a.py::test"]
    assert screen.lines[3].split() == ["gw1", "1", "min", "05", "s", "b.py::test"]
    assert screen.lines[4:] == ["30 tests left, about 10 s to go"]
    writer._file.write("..F")
    assert screen.lines == ["title", ".....F"]
    view.show([], 1, 0.0)
    view.close()
    assert screen.lines == ["title", ".....F"]
    assert writer._file is screen
