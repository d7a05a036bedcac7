"""One run of pytest, measured."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks.pytest_suites.environment import HERE, Environment
from benchmarks.pytest_suites.memory import peak_pss
from benchmarks.pytest_suites.modes import Mode

SECONDS = 900.0
"""After which a run is taken to hang."""

Verdicts = dict[str, str]
"""Of each test, how it ended."""


@dataclass(frozen=True, slots=True)
class Process:
    """Processor time of one process of a run, in seconds, at its turning points."""

    is_worker: bool
    before_collection: float
    after_collection: float
    cpu: float

    @property
    def collecting(self) -> float:
        """Return what the collection took; 0 if this process did not collect."""
        return max(self.after_collection - self.before_collection, 0.0)

    @property
    def running(self) -> float:
        """Return what came after the collection."""
        return self.cpu - self.after_collection


@dataclass(slots=True)
class Run:
    """How a run went."""

    wall: float
    status: int
    processes: list[Process] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=dict)
    subtests: int = 0
    longest: float = 0.0
    peak_pss: int = 0
    output: str = ""

    @property
    def controller(self) -> Process:
        """Return the process the user started."""
        (found,) = (process for process in self.processes if not process.is_worker)
        return found

    @property
    def workers(self) -> list[Process]:
        """Return the other processes that ran tests."""
        return [process for process in self.processes if process.is_worker]


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs pytest in the environment, each time in a new process with a new cache."""

    environment: Environment

    def run(
        self,
        place: Path,
        arguments: Sequence[str],
        mode: Mode,
        *,
        outcomes: bool = False,
        memory: bool = False,
        sorted_tests: bool = False,
        extra_environment: dict[str, str] | None = None,
    ) -> Run:
        """Run pytest in a folder; `outcomes` and `memory` cost time, so only where asked for.

        With `sorted_tests` they are run in the order of their names.
        """
        with tempfile.TemporaryDirectory(prefix="pytest-suites.") as scratch:
            observed = Path(scratch, "observed")
            observed.mkdir()
            environ = _environ(observed, outcomes) | (extra_environment or {})
            if sorted_tests:
                environ["SUITE_OBSERVER_SORTS"] = "1"
            cache = self._cache(place, mode, Path(scratch))
            command = [str(self.environment.python), "-m", "pytest", "-o", f"cache_dir={cache}"]
            command += ["-p", "suite_observer", "--basetemp", f"{scratch}/temporary"]
            with Path(scratch, "output").open("wb") as output:
                run = _watch(
                    [*command, *mode.arguments, *arguments], place, environ, output, memory
                )
            run.output = Path(scratch, "output").read_text(errors="replace")
            _read(run, observed)
            return run

    def _cache(self, place: Path, mode: Mode, scratch: Path) -> Path:
        if not mode.keeps_cache:
            return scratch / "cache"
        return self.environment.folder / "caches" / place.name

    def forget(self) -> None:
        """Drop what runs have left in the caches that are kept."""
        shutil.rmtree(self.environment.folder / "caches", ignore_errors=True)


def _environ(observed: Path, outcomes: bool) -> dict[str, str]:
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTEST_ADDOPTS")
    environ = {name: value for name, value in os.environ.items() if name not in dropped}
    environ["PYTHONPATH"] = str(HERE / "observer")
    environ["SUITE_OBSERVER_FOLDER"] = str(observed)
    if outcomes:
        environ["SUITE_OBSERVER_OUTCOMES"] = "1"
    return environ


def _watch(
    command: Sequence[str], place: Path, environ: dict[str, str], output: IO[bytes], memory: bool
) -> Run:
    """Start a process, wait for its end, end what is left of its session."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=place,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            pss = peak_pss(process, SECONDS) if memory else 0
            status = process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        wall = time.perf_counter() - begun
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return Run(wall, status, peak_pss=pss if memory else 0)


def _read(run: Run, observed: Path) -> None:
    """Add what the processes of the run wrote down."""
    for path in sorted(observed.glob("*.json")):
        with suppress(json.JSONDecodeError):  # of a worker that was ended while it wrote
            figures = json.loads(path.read_text())
            names = ("is_worker", "before_collection", "after_collection", "cpu")
            run.processes.append(Process(**{name: figures[name] for name in names}))
            if figures["reports"]:
                run.longest = figures["longest"]
                run.verdicts, run.subtests = _judge(figures["reports"])


def _judge(reports: list[tuple[str, str, str, bool, bool, int]]) -> tuple[Verdicts, int]:
    """Return each test's verdict, and how many subtests there were."""
    found: dict[str, set[str]] = {}
    subtests: Counter[str] = Counter()
    for test, when, outcome, expected, is_subtest, count in reports:
        if is_subtest:
            subtests[outcome] += count
        words = found.setdefault(test, set())
        if outcome != "passed" or when == "call":
            words.add(("x" if expected else "") + outcome + ("" if when == "call" else f" {when}"))
    return {test: ", ".join(sorted(words)) for test, words in found.items()}, subtests.total()
