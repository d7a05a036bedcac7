"""What a chaos run does, as data. Pure; `planning.py` makes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fire:
    """How often which accident is asked for."""

    kills: int = 0
    """SIGKILL, from outside."""
    segv: int = 0
    """SIGSEGV, half from outside, half by tasks that send it to themselves."""
    exit: int = 0
    """`os._exit(0)` in a task; a fifth as many exit with another code."""
    term: int = 0
    """SIGTERM, half from outside, half by tasks."""
    stop: int = 0
    """SIGSTOP, half of them followed by SIGKILL, half by SIGCONT."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task. `timeout` and `cancel_after` in seconds."""

    index: int
    deed: str
    seconds: float
    argument_bytes: int
    result_bytes: int
    out_of_band: bool
    detail: str = ""
    key: str | None = None
    affinity: str = "light"
    worker: int | None = None
    retries: int = 0
    timeout: float | None = None
    cancel_after: float | None = None
    cancel_with: int | None = None
    """The task at whose end this one is cancelled."""
    cancel_running: float | None = None
    """How long after it has said that it runs it is cancelled, in seconds."""

    @property
    def is_cancelled(self) -> bool:
        """Whether it is to be cancelled, if it has not ended before."""
        cancels = (self.cancel_after, self.cancel_with, self.cancel_running)
        return any(each is not None for each in cancels)

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody may want this task ended before its time."""
        return self.timeout is not None or self.is_cancelled


@dataclass(frozen=True, slots=True)
class Shot:
    """Signals to one worker, each so many seconds after the one before."""

    after_lines: int
    pick: float
    """Which worker: 0 the first, nearly 1 the last."""
    delay: float
    signals: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Chore:
    """What the pool's user does to its workers when so many tasks have ended."""

    after_ends: int
    what: str
    """One of "retire", "kill", "nudge" (send a message), "hog" (block the event loop)."""
    pick: float
    """Which worker; of a hog, for how long."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """One pool and what happens to it."""

    number: int
    is_async: bool
    is_tiny: bool
    """Whether its tasks are such that they may travel in batches."""
    workers: int
    concurrency: int
    max_tasks: int | None
    max_memory: int | None
    idle_timeout: float | None
    window: int | None
    """Most tasks in the pool at a time; None: all are added at once."""
    listens: bool
    """Whether somebody listens to the pool's events."""
    closes_early: bool
    """Whether the pool is closed as soon as all tasks are added."""
    tasks: tuple[TaskPlan, ...]
    shots: tuple[Shot, ...]
    chores: tuple[Chore, ...]
