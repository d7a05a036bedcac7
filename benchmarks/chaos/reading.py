"""Reading a ledger: its lines, and the lives of the workers they tell of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.chaos import ledger

LETHAL = ("SIGKILL", "SIGSEGV", "SIGTERM")


class Line(NamedTuple):
    """One line: its kind, the task's index, ...; times are of the monotonic clock, which all processes share, in nanoseconds."""

    kind: str
    task: int
    process: str
    time: int
    detail: str


class Attempt(NamedTuple):
    """One start of a task, and what the ledger knows of its end."""

    task: int
    process: str
    slot: int
    start: int
    end: int | None
    how: str
    """One of `ledger.OK`, `RAISED`, `INTERRUPTED`; empty while there is no end."""


@dataclass
class Life:
    """A worker process as the ledger saw it."""

    process: str
    born: bool = False
    left: bool = False
    """Whether it ran its exit hook."""
    attempts: list[Attempt] = field(default_factory=list)
    causes: list[tuple[str, int]] = field(default_factory=list)
    """What it may have died of, and when that was about to happen: a signal's name, "exit 0", ..."""
    stops: list[int] = field(default_factory=list)
    """When it was about to be stopped."""
    last: Line | None = None
    """The last line that a task wrote in it."""

    @property
    def pid(self) -> int:
        """Its process id, which other lives may have had as well."""
        return int(self.process.partition(".")[0])

    def was_at_work(self, time: int) -> bool:
        """Whether a task was running here at a time."""
        return any(
            attempt.start <= time and (attempt.end is None or time < attempt.end)
            for attempt in self.attempts
        )

    def attempts_at(self, task: int) -> list[Attempt]:
        """Return the attempts at a task that began here, in their order."""
        return [attempt for attempt in self.attempts if attempt.task == task]


def parse(data: bytes) -> list[Line]:
    """Return the lines in the file's order, which is each process's own. Raises `ValueError`."""
    if len(data) % ledger.LINE_BYTES:
        raise ValueError(f"a ledger of {len(data)} bytes ends within a line")
    lines = []
    for text in data.decode().splitlines():
        kind, task, process, time, detail = text.split(None, 4)
        lines.append(Line(kind, int(task), process, int(time), detail.strip()))
    return lines


def lives(lines: Iterable[Line]) -> dict[str, Life]:
    """Sort lines by process. Raises `ValueError` where an end has no start."""
    found: dict[str, Life] = {}
    for line in lines:
        life = found.setdefault(line.process, Life(line.process))
        if line.kind == ledger.START:
            life.attempts.append(
                Attempt(line.task, line.process, int(line.detail), line.time, None, "")
            )
            life.last = line
        elif line.kind == ledger.END:
            _end(life, line)
            life.last = line
        elif line.kind == ledger.BIRTH:
            life.born = True
        elif line.kind == ledger.EXIT:
            life.left = True
        else:
            _cause(life, line)
    return found


def _end(life: Life, line: Line) -> None:
    for place in range(len(life.attempts) - 1, -1, -1):
        attempt = life.attempts[place]
        if attempt.task == line.task and attempt.end is None:
            life.attempts[place] = attempt._replace(end=line.time, how=line.detail)
            return
    raise ValueError(f"the ledger has an end without a start: {line}")


def _cause(life: Life, line: Line) -> None:
    if line.kind in (ledger.DEATH, ledger.KILL) or (
        line.kind == ledger.HIT and line.detail in LETHAL
    ):
        life.causes.append((line.detail, line.time))
    elif line.kind == ledger.HIT and line.detail == "SIGSTOP":
        life.stops.append(line.time)
    elif line.kind == ledger.MISS and life.causes and life.causes[-1][0] == line.detail:
        life.causes.pop()
