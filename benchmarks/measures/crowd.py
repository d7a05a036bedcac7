"""A crowd: many idle workers, and what memory each one takes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.contestants.base import Contestant
from benchmarks.contestants.ours import Workpool
from benchmarks.figures import Figures, median
from benchmarks.measures.idle import idle_cpu
from benchmarks.procfs import worker_memory
from benchmarks.settings import Settings
from benchmarks.tasks import doze

REFERENCE = "import sys, benchmarks.tasks; print(flush=True); sys.stdin.read()"


def measure(contestant: Contestant, settings: Settings) -> Figures:
    """Watch the processor time of the crowd, then compare each one's memory with the reference."""
    assert isinstance(contestant, Workpool)
    contestant.open(doze, settings.crowd)
    pids = contestant.fill(settings.crowd, settings.deadline)
    figures = idle_cpu(contestant, settings)
    workers = [worker_memory(pid) for pid in pids]
    with _reference() as pid:
        reference = worker_memory(pid)
    contestant.close()
    figures["workers"] = len(workers)
    for kind, size in reference.items():
        sizes = [worker[kind] for worker in workers]
        figures[f"{kind}_reference_kb"] = size / 1024
        figures[f"{kind}_median_kb"] = median(sizes) / 1024
        figures[f"{kind}_largest_kb"] = max(sizes) / 1024
    return figures


@contextmanager
def _reference() -> Iterator[int]:
    """Run an interpreter that has imported what the workers have, and does nothing else.

    It runs beside the crowd, because what processes share counts less the more they are.
    """
    command = [sys.executable, "-c", REFERENCE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.stdin.close()
