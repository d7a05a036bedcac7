"""`concurrent.futures.ProcessPoolExecutor`."""

from concurrent.futures import ProcessPoolExecutor

from benchmarks.peer_faults.subjects.base import WORKERS, Hook
from benchmarks.peer_faults.subjects.executors import ExecutorSubject


class StandardExecutor(ExecutorSubject):
    """With the platform's start method."""

    def open(self, hook: Hook | None) -> None:
        """Make the executor; it starts processes with the first tasks."""
        self.executor = ProcessPoolExecutor(WORKERS, initializer=hook)
