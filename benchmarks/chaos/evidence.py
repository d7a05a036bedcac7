"""What was seen of a round: the witness's account, before anybody judges. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.chaos.plan import RoundPlan
from benchmarks.chaos.reading import Line

RESULT, RAISED, CRASHED, CANCELLED, TIMEOUT, CLOSED, OTHER = (
    "result",
    "raised",
    "crashed",
    "cancelled",
    "timeout",
    "closed",
    "other",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the code that awaits a task saw. Times in nanoseconds of the monotonic clock."""

    kind: str
    time: int
    text: str = ""
    """Of an error: what it said."""
    pid: int | None = None
    cause: str = ""
    """Of `WorkerCrashed`: the signal's name, or "exit 0" and the like."""
    attempt: tuple[str, int] | None = None
    """Of a result: which process made it, in an attempt begun when."""
    is_right: bool = True
    """Whether the result, or what was raised deliberately, is this task's."""


@dataclass
class Evidence:
    """One round, as it was."""

    plan: RoundPlan
    lines: list[Line] = field(default_factory=list)
    added: dict[int, int] = field(default_factory=dict)
    """When each task was about to be added."""
    cancelled: dict[int, int] = field(default_factory=dict)
    """When each task that was cancelled (`cancel()` said so) had been."""
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    """By task; more than one is one too many."""
    completions: dict[int, int] = field(default_factory=dict)
    """How often the pool's listeners were told of each task's end, if there were any."""
    unresolved: list[int] = field(default_factory=list)
    """Tasks that were pending when nothing had happened for a long time."""
    leftovers: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """What else went wrong: the close hung, something was logged as an error."""
    missed_shots: list[int] = field(default_factory=list)
    seconds: float = 0.0
