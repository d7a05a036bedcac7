"""Stand-ins for tasks: what the scheduler and the ledger know of one, without an event loop."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(eq=False)
class FakeTask:
    """A task as the pure parts see it, and what the machines note about it."""

    id: int
    cost: float = 0.001  # seconds
    slot: int = -1
    key: Hashable | None = None
    pinned: bool = False
    movable: bool = False
    home: int = -1  # the one slot a forced task may go to
    retries: int = 0
    estimate: float = 0.0
    attempts: int = 0
    dispatches: int = 0
    batch: None = None
    members: tuple[()] = ()
    begun: int = 0
    ends: list[str] = field(default_factory=list)

    def done(self) -> bool:
        return bool(self.ends)

    def __repr__(self) -> str:
        return f"T{self.id}"


def cost_of(task: FakeTask) -> float:
    """Estimate a task by what it says itself."""
    return task.cost
