"""The faults: the rows of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peer_faults.subjects.base import Subject

Observe = Callable[[Subject, Path], dict[str, Any]]


class Kind(Enum):
    """Who brings the fault about."""

    EXPERIMENT = "the parent itself"
    ORPHANS = "the runner, which kills the parent when it is ready"
    CTRL_C = "the runner, which sends SIGINT to the process group of a script"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row."""

    title: str
    cell: str
    """The function of `cells` that puts what was observed into words."""
    experiment: str | None
    """Module and function in `experiments`; None for the script that every peer has."""
    kind: Kind = Kind.EXPERIMENT
    deadline: float = 60.0
    """Seconds after which an experiment that has not told anything hangs."""
    has_deadly_start: bool = False

    def load(self) -> Observe:
        """Import the experiment's function."""
        assert self.experiment is not None
        module, _, function = self.experiment.partition(":")
        observe: Observe = getattr(
            import_module(f"benchmarks.peer_faults.experiments.{module}"), function
        )
        return observe


FAULTS: dict[str, Fault] = {
    "kill": Fault("SIGKILL of a worker that runs a task", "crash", "crashes:killed"),
    "segfault": Fault("a task segfaults", "crash", "crashes:segfault"),
    "exit": Fault("`os._exit(0)` in a task", "crash", "crashes:left"),
    "kill-idle": Fault("SIGKILL of both workers while they are idle", "idle", "crashes:crash_idle"),
    "cancel-loop": Fault(
        "a running Python loop is cancelled", "cut_short", "ends_of_tasks:cancelled_loop"
    ),
    "cancel-call": Fault(
        "a running C call that holds the GIL is cancelled",
        "cut_short",
        "ends_of_tasks:cancelled_call",
    ),
    "limit-loop": Fault(
        "a Python loop reaches its time limit", "cut_short", "ends_of_tasks:limited_loop"
    ),
    "limit-call": Fault(
        "a C call that holds the GIL reaches its time limit",
        "cut_short",
        "ends_of_tasks:limited_call",
    ),
    "orphan-idle": Fault(
        "SIGKILL of the parent, workers idle", "orphans", "occupations:idle", Kind.ORPHANS
    ),
    "orphan-loop": Fault(
        "SIGKILL of the parent, workers in a Python loop",
        "orphans",
        "occupations:in_loop",
        Kind.ORPHANS,
    ),
    "orphan-call": Fault(
        "SIGKILL of the parent, workers in a C call that holds the GIL",
        "orphans",
        "occupations:in_call",
        Kind.ORPHANS,
    ),
    "ctrl-c": Fault("Ctrl-C, two tasks running and two waiting", "ctrl_c", None, Kind.CTRL_C),
    "argument-pickle": Fault(
        "an argument that cannot be pickled", "crash", "pickles:argument_not_picklable"
    ),
    "argument-unpickle": Fault(
        "an argument whose unpickling raises in the worker",
        "crash",
        "pickles:argument_not_unpicklable",
    ),
    "result-pickle": Fault(
        "a result that cannot be pickled", "crash", "pickles:result_not_picklable"
    ),
    "result-unpickle": Fault(
        "a result whose unpickling raises in the parent", "crash", "pickles:result_raises"
    ),
    "result-exit": Fault(
        "a result whose unpickling raises `SystemExit` in the parent",
        "crash",
        "pickles:result_exits",
    ),
    "exception-unpickle": Fault(
        "an exception that cannot be unpickled", "crash", "pickles:exception_not_unpicklable"
    ),
    "start": Fault(
        "workers that die at their start", "start", "starts:die_at_start", has_deadly_start=True
    ),
    "attrition": Fault(
        "200 kills of workers, one after the other",
        "attrition",
        "attrition:attrition",
        deadline=600.0,
    ),
}
