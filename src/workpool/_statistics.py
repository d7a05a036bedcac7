"""What `WorkerPool.statistics` returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """One worker at one moment."""

    id: int
    pid: int
    state: str
    tasks_completed: int
    tasks_stolen: int
    load: float
    """Estimated seconds of work dispatched to its slot and not finished."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool at one moment: counts of tasks by state, and its workers."""

    waiting: int = 0
    """Tasks that have not been sent to any worker's queue."""
    dispatched: int = 0
    """Tasks in a queue or with a worker."""
    running: int = 0
    """How many of these a worker has begun."""
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    steals: int = 0
    """Tasks the present workers took from other workers' queues."""
    restarts: int = 0
    """Workers started at once in the place of one that had ended, nearly always of one that crashed."""
    workers: tuple[WorkerStatistics, ...] = ()
