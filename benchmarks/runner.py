"""Run all measurements, each in a process of its own, contestants taking turns."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.contestants import ENTRIES
from benchmarks.figures import Failure, Figures, Results
from benchmarks.measures import MEASURES
from benchmarks.settings import Settings

Progress = Callable[[str], None]


def run(names: Sequence[str], settings: Settings, progress: Progress) -> Results:
    """Measure the named contestants.

    Within a round all contestants are measured one right after the other, so that a disturbance
    of the machine hits them alike; each round begins with another one. A contestant that failed
    a measure is not asked for it again.
    """
    results = Results()
    for measure, number, name in _schedule(names, settings):
        if (measure, name) in results.failures:
            continue
        progress(f"{MEASURES[measure].title}, round {number + 1}: {ENTRIES[name].title}")
        outcome = _measure_once(name, measure, settings, results)
        if isinstance(outcome, Failure):
            results.failures[measure, name] = outcome
            results.rounds.pop((measure, name), None)
        else:
            results.add(measure, name, outcome)
    return results


def _schedule(names: Sequence[str], settings: Settings) -> Iterator[tuple[str, int, str]]:
    """Yield measure, round and contestant in the order of the run."""
    for key, measure in MEASURES.items():
        able = [name for name in names if key in ENTRIES[name].measures]
        for number in range(min(settings.rounds, measure.most_rounds)):
            first = number % max(1, len(able))
            for name in able[first:] + able[:first]:
                yield key, number, name


def _measure_once(
    name: str, measure: str, settings: Settings, results: Results
) -> Figures | Failure:
    """Run one process to its end or its deadline and read what it wrote."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result, errors = Path(folder, "result"), Path(folder, "errors")
        arguments = [name, measure, json.dumps(asdict(settings)), str(result)]
        command = [sys.executable, "-m", "benchmarks.child", *arguments]
        status = run_session(command, errors, settings.deadline)
        if status is None:
            stage = "measured, but" if result.exists() else "gave no figures and"
            return Failure("hung", f"{stage} did not end within {settings.deadline:g} s")
        if status != 0:
            return _failure(status, errors.read_text(errors="replace"))
        answer = json.loads(result.read_text())
    results.versions[name] = answer["version"]
    figures: Figures = answer["figures"]
    return figures


def end_orderly() -> None:
    """Have SIGTERM end this program as an exception does, so that no session is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run_session(command: list[str], errors: Path, deadline: float) -> int | None:
    """Run a command in a session of its own; return its exit status, None at the deadline.

    Whatever it leaves behind in its process group is killed, also when this run is interrupted.
    """
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        ended = _wait(process.pid, deadline)
    finally:
        # Not reaped yet, so its process id, and with it the group's, cannot mean anybody else.
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    return status if ended else None


def _wait(pid: int, deadline: float) -> bool:
    """Wait for a child's end without reaping it; tell whether it ended in time."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(deadline * 1000))
    finally:
        os.close(descriptor)


def _failure(status: int, errors: str) -> Failure:
    """Say in a sentence why a process failed, from the last line that it wrote."""
    lines = [line for line in errors.splitlines() if line.strip()] or ["it wrote nothing"]
    if lines[-1].startswith("ModuleNotFoundError"):
        is_cluster = any(package in lines[-1] for package in ("'ray'", "'distributed'"))
        extra = "`benchmark-clusters`" if is_cluster else "`benchmark`"
        return Failure("absent", f"{lines[-1]}; install the checkout with the extra {extra}")
    return Failure("failed", f"exit status {status}: {lines[-1].strip()}")
