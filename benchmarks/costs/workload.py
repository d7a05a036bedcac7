"""A program to be watched: a contestant works, between two marks, in one of two ways.

`python -m benchmarks.costs.workload CONTESTANT WAY TASKS RESULT`. What pools that fork or spawn
import in their workers is this module: it imports late.
"""

from __future__ import annotations

import sys

WAYS = ("gathered", "one by one")
BEGIN = "/benchmark-begins"
END = "/benchmark-ends"
"""Paths that do not exist: asking for them leaves a mark in a trace."""


def main(contestant_name: str, way: str, tasks: str, result_path: str) -> None:
    """Warm up, work, and write processor times and the processes' threads as JSON."""
    import json
    import os
    from pathlib import Path

    from benchmarks.contestants import ENTRIES
    from benchmarks.costs.processor import Snapshot
    from benchmarks.measures.warmth import warm_up
    from benchmarks.procfs import family, threads
    from benchmarks.tasks import noop

    count = int(tasks)
    contestant = ENTRIES[contestant_name].make()
    contestant.open(noop, 2)
    warm_up(contestant, range(500))
    workers = family()
    before = Snapshot.take(workers)
    os.access(BEGIN, os.F_OK)
    if way == "gathered":
        contestant.burst(range(count))
    else:
        contestant.one_by_one(0.0, count, 600.0)
    os.access(END, os.F_OK)
    spent = before.until(Snapshot.take(workers))
    answer = {
        "seconds": spent,
        "pool": threads([os.getpid()]),
        "workers": threads(workers),
    }
    Path(result_path).write_text(json.dumps(answer))
    contestant.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
