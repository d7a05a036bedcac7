"""What a worker is told when it starts. Plain data, shared by both sides."""

from __future__ import annotations


class WorkerConfig:
    """The first thing a worker receives: who it is, what to run, which descriptors are what."""

    def __init__(
        self,
        *,
        name: str,
        slot: int,
        sys_path: list[str],
        argv: list[str],
        target: bytes,
        concurrency: int,
        arena: int,
        status_page: int,
        queues: list[int],
        lockers: list[int],
        max_tasks: int | None,
        max_memory: int | None,
        log_levels: dict[str, int],
        start_arguments: bytes | None,
    ) -> None:
        self.name = name
        self.slot = slot
        self.sys_path = sys_path
        self.argv = argv
        """The parent's `sys.argv`, for modules that look at it when they are imported."""
        self.target = target
        """The pickled `Target`: unpickling it may import the user's modules."""
        self.concurrency = concurrency
        self.arena = arena
        self.status_page = status_page
        self.queues = queues
        self.lockers = lockers
        self.max_tasks = max_tasks
        self.max_memory = max_memory
        self.log_levels = log_levels
        """The levels set in the pool's `logging`, by logger name ("" is the root)."""
        self.start_arguments = start_arguments
        """Pickled: what the user gave to a restart."""

    @property
    def shared_descriptors(self) -> list[int]:
        """The descriptors that every worker of the pool has."""
        return [self.arena, self.status_page, *self.queues, *self.lockers]

    def renumber(self, numbers_here: dict[int, int]) -> None:
        """Note that descriptors have other numbers here than in the pool's process."""
        self.arena = numbers_here[self.arena]
        self.status_page = numbers_here[self.status_page]
        self.queues = [numbers_here[queue] for queue in self.queues]
        self.lockers = [numbers_here[locker] for locker in self.lockers]
