"""What the workers do when their parent is killed."""

import time
from functools import partial
from pathlib import Path

from benchmarks.peer_faults.experiments.observing import (
    Observation,
    await_begin,
    employ_all,
)
from benchmarks.peer_faults.subjects.base import WORKERS, Subject

READY = "ready"
"""The file that appears when the parent is to be killed; it holds the workers' pids."""


def occupied(subject: Subject, folder: Path, *, task: str) -> Observation:
    """Keep all workers busy with a task, or idle after one, and wait to be killed."""
    if task == "hold":
        pids = employ_all(subject, folder)
    else:
        paths = [folder / f"{task}-{number}" for number in range(WORKERS)]
        subject.submit(*[(task, str(path)) for path in paths])
        pids = {await_begin(path) for path in paths}
    time.sleep(0.3)
    (folder / READY).write_text(" ".join(map(str, pids)))
    time.sleep(60)
    raise AssertionError("nobody has killed this process")


idle = partial(occupied, task="hold")
in_loop = partial(occupied, task="loop")
in_call = partial(occupied, task="stick")
