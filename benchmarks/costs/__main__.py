"""`python -m benchmarks.costs`: print where the time of a task goes."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.contestants import BASELINE, ENTRIES, OURS
from benchmarks.costs import system_calls
from benchmarks.costs.gathers import gathers
from benchmarks.costs.workload import WAYS
from benchmarks.figures import median
from benchmarks.report import table
from benchmarks.runner import end_orderly, run_session

DEADLINE = 300.0
CONTESTANTS = (OURS, BASELINE)
TASKS = {
    (OURS, "gathered"): 100_000,
    (OURS, "one by one"): 10_000,
    (BASELINE, "gathered"): 10_000,
    (BASELINE, "one by one"): 5_000,
}
TRACED_TASKS = 5_000
"""Fewer, because a traced call takes ten times as long or more."""
ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables asked for, all of them if none was."""
    options = _parser().parse_args(arguments)
    print("; ".join(machine.describe().values()))
    for name in options.only or TABLES:
        print(f"\n{TABLES[name]()}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.costs", description="Print where the time of a task goes."
    )
    parser.add_argument(
        "--only", metavar="TABLE", action="append", choices=TABLES, help="repeatable"
    )
    return parser


def _processor() -> str:
    """Return processor time per task by process and side of the kernel's border."""
    rows = []
    for way in WAYS:
        for name in CONTESTANTS:
            tasks = TASKS[name, way]
            rounds = [_run(name, way, tasks)["seconds"] for _ in range(ROUNDS)]
            parts = [median(each[part] for each in rounds) / tasks * 1e6 for part in rounds[0]]
            cells = [f"{value:.1f}" for value in (*parts, sum(parts))]
            rows.append([f"{ENTRIES[name].title}, {way}", *cells])
    headings = ["processor us per task", "pool", "its kernel", "workers", "their kernel", "all"]
    return table(headings, rows)


def _calls() -> str:
    """Return system calls per task by process and name."""
    rows = []
    for way in WAYS:
        for name in CONTESTANTS:
            found = system_calls.per_task(_traced(name, way), TRACED_TASKS)
            rows += [[f"{ENTRIES[name].title}, {way}", *row] for row in found]
    return table(["system calls per task", "process", "all", "of these"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "processor": _processor,
    "calls": _calls,
    "gathers": gathers,
}


def _traced(name: str, way: str) -> dict[str, Any]:
    """Run the workload under the tracer; return the calls by owner and name."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        log = Path(folder, "log")
        answer = _run(name, way, TRACED_TASKS, system_calls.tracer(log))
        owners = {thread: owner for owner in ("pool", "workers") for thread in answer[owner]}
        with log.open(errors="replace") as lines:
            return dict(system_calls.count(lines, owners))


def _run(name: str, way: str, tasks: int, before: Sequence[str] = ()) -> dict[str, Any]:
    """Run the workload in a process of its own; raise `RuntimeError` if it fails."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result, errors = Path(folder, "result"), Path(folder, "errors")
        command = [*before, sys.executable, "-m", "benchmarks.costs.workload", name, way]
        status = run_session([*command, str(tasks), str(result)], errors, DEADLINE)
        if status != 0:
            how = "hung" if status is None else errors.read_text(errors="replace")
            raise RuntimeError(f"{ENTRIES[name].title}, {way}: {how}")
        answer: dict[str, Any] = json.loads(result.read_text())
    return answer


if __name__ == "__main__":
    end_orderly()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was left running")
    except (RuntimeError, FileNotFoundError) as error:
        sys.exit(f"python -m benchmarks.costs: {error}")
