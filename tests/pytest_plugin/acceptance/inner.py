"""A suite inside a test: written, run serially and in workers, and what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from tests.pytest_plugin.acceptance.forker import Forker

SECONDS = 60
"""After which a run is taken to hang."""
LOOK_EVERY = 0.02

NOTING = """
import os, time

PLACE = os.environ["INNER_NOTES"]

def note(*words):
    with open(PLACE, "ab", buffering=0) as notes:
        notes.write((" ".join(map(str, (os.getpid(), *words))) + "\\n").encode())

def noted():
    with open(PLACE) as notes:
        return [line.split()[1:] for line in notes]

def wait_for(*words, count=1):
    give_up = time.monotonic() + 15
    while sum(line == list(map(str, words)) for line in noted()) < count:
        assert time.monotonic() < give_up, f"waited in vain for {words}: {noted()}"
        time.sleep(0.01)
"""
"""Tests of the inner suites write into one file what they do, whichever process they are in."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a process of the inner run has noted."""

    pid: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """How a run of pytest ended."""

    status: int
    lines: list[str]
    errors: list[str]
    verdicts: Counter[tuple[str, str]]
    """Tests by name and outcome, from the JUnit file."""
    notes: list[Note]

    @property
    def text(self) -> str:
        """Return all that was printed."""
        return "\n".join([*self.lines, *self.errors])

    @property
    def counts(self) -> dict[str, int]:
        """Return the counts of the summary line, such as `passed` and `failed`; none without it."""
        try:
            return pytest.RunResult.parse_summary_nouns(self.lines)
        except ValueError:
            return {}

    def noted(self, *words: str) -> int:
        """Return how often these words were noted."""
        return sum(note.words == words for note in self.notes)

    def by_process(self) -> dict[int, list[tuple[str, ...]]]:
        """Return the notes of each process in their order."""
        found: dict[int, list[tuple[str, ...]]] = {}
        for note in self.notes:
            found.setdefault(note.pid, []).append(note.words)
        return found


class Inner:
    """A suite in a folder of its own. Plugins that happen to be installed are left out."""

    def __init__(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, forker: Forker
    ) -> None:
        self.pytester = pytester
        self._forker = forker
        self.path = pytester.path
        self.notes_file = self.path.parent / f"{self.path.name}.notes"
        monkeypatch.setenv("INNER_NOTES", str(self.notes_file))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("COLUMNS", "200")  # so that no line is cut off
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
        self.write("noting.py", NOTING)
        self.write("pytest.ini", "[pytest]\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the suite."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def serial(self, *arguments: str) -> Run:
        """Run the suite in one process."""
        return self.run(*arguments)

    def workpool(self, *arguments: str, workers: str | int = 2) -> Run:
        """Run the suite in workers."""
        return self.run(f"--workpool={workers}", *arguments)

    def run(self, *arguments: str) -> Run:
        """Run pytest with the plugin at hand, and only that."""
        junit = self.path.parent / f"{self.path.name}.xml"
        junit.unlink(missing_ok=True)
        self.notes_file.write_text("")
        options = [*self.options(), *arguments, f"--junitxml={junit}"]
        done = self._forker.run(options, str(self.path), SECONDS)
        run = Run(done.status, done.output, done.errors, _verdicts(junit), self.notes())
        print(*options, f"\n{run.text}")  # pytest shows it if the test fails
        return run

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a run."""
        return [sys.executable, "-m", "pytest", *self.options(), *arguments]

    def options(self) -> list[str]:
        """Return what every run is given."""
        return ["-p", "workpool.pytest_plugin", f"--basetemp={self.path}.base"]

    @contextmanager
    def begun(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a run in a session of its own; whatever is left of it is ended."""
        self.notes_file.write_text("")
        process = subprocess.Popen(
            self.command("--workpool=2", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(self.path), *sys.path])},
            start_new_session=True,
        )
        try:
            with process:
                try:
                    yield process
                except BaseException as error:
                    error.add_note(f"The run has printed:\n{self._interrupted(process)}")
                    raise
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)

    def _interrupted(self, process: subprocess.Popen[str]) -> str:
        """End a run that a test gave up; return all it printed, where it was included if it tells."""
        if process.stdout is None or process.stdout.closed:
            return ""
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=SECONDS / 10)[0]
        except subprocess.TimeoutExpired:
            for pid in {process.pid, *self.processes()}:
                os.kill(pid, signal.SIGKILL)
            return process.communicate()[0]

    def notes(self) -> list[Note]:
        """Return what the tests have noted so far."""
        split = [line.split() for line in self.notes_file.read_text().splitlines()]
        return [Note(int(pid), tuple(words)) for pid, *words in split]

    def wait_for(self, *words: str, count: int = 1) -> None:
        """Wait until the tests have noted this."""
        wait_until(lambda: sum(note.words == words for note in self.notes()) >= count)

    def processes(self) -> list[int]:
        """Return the processes that run any of this suite."""
        mark = f"INNER_NOTES={self.notes_file}\0".encode()
        me = os.getpid()
        return [
            pid
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if pid != me and mark in _environ(pid)
        ]


def wait_until(is_true: Callable[[], bool]) -> None:
    """Look again and again; fail when it takes too long."""
    give_up = time.monotonic() + SECONDS / 2
    while not is_true():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(LOOK_EVERY)


def assert_same(inner: Inner, *arguments: str, options: tuple[str, ...] = ()) -> tuple[Run, Run]:
    """Run the suite serially and in workers: outcomes, summary and exit status must be the same.

    `options` are for the run in workers alone.
    """
    serial = inner.serial(*arguments)
    parallel = inner.workpool(*arguments, *options)
    assert parallel.verdicts == serial.verdicts
    assert parallel.counts == serial.counts
    assert parallel.status == serial.status
    return serial, parallel


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _verdicts(junit: Path) -> Counter[tuple[str, str]]:
    if not junit.exists():
        return Counter()
    return Counter(
        (f"{case.get('classname')}::{case.get('name')}", _verdict(case))
        for case in ElementTree.parse(junit).iter("testcase")
    )


def _verdict(case: ElementTree.Element) -> str:
    kinds = [
        f"{child.tag} {child.get('type', '')}".strip()
        for child in case
        if child.tag in ("failure", "error", "skipped")
    ]
    return ", ".join(kinds) or "passed"
