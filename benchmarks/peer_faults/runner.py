"""Run experiments, each in a session of its own, with a deadline, and leave nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peer_faults.faults import FAULTS, Fault, Kind
from benchmarks.peer_faults.processes import MARK, is_running, kill_marked, marked

RESULT = "result"
"""The file into which an experiment writes what it observed."""
READY_SECONDS = 30.0
"""Longest time until the parent that is to be killed or interrupted has all its tasks running."""
EXIT_SECONDS = 5.0
"""After its experiment a program must have ended within so many seconds, or it hangs."""
ORPHAN_SECONDS = 2.0
"""How long after its parent's end a worker may live."""
CTRL_C_SECONDS = 5.0

Observation = dict[str, Any]


_trials: set["Trial"] = set()


class Trial:
    """One experiment with one peer, while it runs."""

    def __init__(self, peer: str, fault: str, folder: Path) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._said = folder / "said"
        command = [sys.executable, "-m", "benchmarks.peer_faults.child", peer, fault, str(folder)]
        with self._said.open("wb") as stream:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                env={**os.environ, MARK: self._mark},
            )

    def end(self) -> None:
        """Kill all that is left, and reap."""
        self.kill()
        self.process.wait()

    def kill(self) -> None:
        """Kill all that is left."""
        kill_marked(self._mark)

    def left(self) -> list[int]:
        """Return the pids of what lives of it."""
        return marked(self._mark)

    def said(self) -> str:
        """Return its whole output."""
        return self._said.read_text(errors="replace")

    def wait(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait until a condition holds or the process has ended; tell whether in time."""
        return until(lambda: condition() or self.process.poll() is not None, seconds)


def run(peer: str, fault_name: str) -> Observation:
    """Run one experiment; return what was observed, or how it came to nothing."""
    fault = FAULTS[fault_name]
    with tempfile.TemporaryDirectory(prefix="peer-faults-") as name:
        trial = Trial(peer, fault_name, Path(name))
        _trials.add(trial)
        try:
            observed = _WATCHERS[fault.kind](trial, fault)
        finally:
            _trials.discard(trial)
            trial.end()
        return {**observed, "said": trial.said()[-4000:]}


def end_all() -> None:
    """Kill what runs; those who watch it come to their end at once."""
    for trial in list(_trials):
        trial.kill()


def _watch_experiment(trial: Trial, fault: Fault) -> Observation:
    """Wait for the experiment's own account, then for the program's end."""
    result = trial.folder / RESULT
    if not trial.wait(result.exists, fault.deadline):
        return {"hangs": f"it has told nothing within {fault.deadline:g} s"}
    if not result.exists():
        return _failure(trial)
    observed: Observation = json.loads(result.read_text())
    start = time.monotonic()
    observed["ends"] = trial.wait(lambda: False, EXIT_SECONDS)
    observed["seconds_to_end"] = time.monotonic() - start
    observed["status"] = trial.process.poll()
    return observed


def _watch_orphans(trial: Trial, fault: Fault) -> Observation:
    """Kill the parent when it is ready; count the workers that outlive it."""
    ready = trial.folder / "ready"
    if not trial.wait(lambda: ready.exists() and ready.read_text(), READY_SECONDS):
        return {"hangs": "its workers have not begun"}
    if trial.process.poll() is not None:
        return _failure(trial)
    workers = [int(pid) for pid in ready.read_text().split()]
    trial.process.kill()
    trial.process.wait()
    time.sleep(ORPHAN_SECONDS)
    return {
        "workers": len(workers),
        "left": sum(map(is_running, workers)),
        "other_processes_left": len(set(trial.left()) - set(workers)),
    }


def _watch_ctrl_c(trial: Trial, fault: Fault) -> Observation:
    """Interrupt the whole process group once, as a terminal does."""

    def has_begun() -> bool:
        # Both workers, or one that takes all.
        return len(list(trial.folder.glob("loop-?"))) >= 2

    if not trial.wait(has_begun, READY_SECONDS):
        return {"hangs": "its workers have not begun"}
    if trial.process.poll() is not None:
        return _failure(trial)
    time.sleep(0.5)
    start = time.monotonic()
    os.killpg(trial.process.pid, signal.SIGINT)
    is_gone = until(lambda: trial.process.poll() is not None and not trial.left(), CTRL_C_SECONDS)
    seconds = time.monotonic() - start
    return {
        "seconds": seconds if is_gone else None,
        "left": len(trial.left()),
        "is_parent_left": trial.process.poll() is None,
        "tracebacks": tracebacks_in(trial.said()),
        "status": trial.process.poll(),
    }


def tracebacks_in(text: str) -> int:
    """Count the errors that are reported; an exception and its causes are one report."""
    heads = re.findall(r"^(?:  \+ Exception Group )?Traceback \(most recent", text, re.MULTILINE)
    chains = re.findall(r"^(?:During handling of|The above exception was)", text, re.MULTILINE)
    return len(heads) - len(chains)


def _failure(trial: Trial) -> Observation:
    """Tell of an experiment that ended without an account."""
    lines = [line for line in trial.said().splitlines() if line.strip()] or ["it wrote nothing"]
    status = trial.process.returncode
    return {"failed": f"exit status {status}: {lines[-1].strip()}"}


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; tell whether it came in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


_WATCHERS: dict[Kind, Callable[[Trial, Fault], Observation]] = {
    Kind.EXPERIMENT: _watch_experiment,
    Kind.ORPHANS: _watch_orphans,
    Kind.CTRL_C: _watch_ctrl_c,
}
