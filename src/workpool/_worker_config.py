"""What a worker is told when it starts. Pure data, shared by both sides."""

from __future__ import annotations

from typing import NamedTuple


class WorkerConfig(NamedTuple):
    """The first thing a worker receives: who it is, what to run, which descriptors are what."""

    name: str
    slot: int
    sys_path: list[str]
    target: bytes
    """The pickled `Target`: unpickling it may import the user's modules."""
    lanes: int
    arena: int
    status_page: int
    queues: list[int]
    lockers: list[int]
    report: int
    liveness: int
    max_tasks: int | None
    max_memory: int | None
    log_levels: dict[str, int]
    """The levels set in the pool's `logging`, by logger name ("" is the root)."""
