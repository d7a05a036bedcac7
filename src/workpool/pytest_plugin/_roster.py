"""Which workers are ready, and whether they have collected the same. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from workpool import WorkerCrashed
from workpool.pytest_plugin._collection import Collected, Place
from workpool.pytest_plugin._crashes import how_it_ended

_MOST_NAMES = 20  # of tests, in a message
_WORKER_NAME = re.compile(r"gw\d+")
"""Two workers that tell the same differ in it."""


class Problem(NamedTuple):
    """A worker that could not be set up, or differs from the others."""

    worker: int
    lines: list[str]
    is_usage: bool = False
    exit: Any = None
    is_new: bool = True
    """Whether no other worker has had the same."""

    @property
    def nodeid(self) -> str:
        """What it is reported under."""
        return f"workpool worker gw{self.worker}"


class Difference(NamedTuple):
    """What a worker has collected otherwise than the first one."""

    worker: int
    missing: list[str]
    extra: list[str]

    def describe(self, first: int) -> list[str]:
        """Return lines for the user."""
        lines = [
            f"Worker gw{self.worker} has not collected the same tests as gw{first}.",
            "Probably parameters differ from process to process: a set's order, a random or a time-based value.",
            "What both have is run; the rest is not.",
        ]
        for names, worker in ((self.missing, first), (self.extra, self.worker)):
            if names:
                lines.append(f"Only in gw{worker} ({len(names)}):")
                lines += [f"  {name}" for name in names[:_MOST_NAMES]]
                lines += ["  ..."] if len(names) > _MOST_NAMES else []
        return lines


class Roster:
    """The workers of a run, and what they have collected."""

    def __init__(self, count: int) -> None:
        self.collected = Collected([], [], [])
        """Of the first worker that has collected."""
        self.first = -1
        self._has_list = False
        """Whether the first has told what it has collected."""
        self.ready: list[int] = []
        """Workers that can be given tests, in the order in which they got there."""
        self._failed: set[int] = set()
        self._count = count
        self._digest = b""
        self._problems: set[str] = set()

    @property
    def is_hopeless(self) -> bool:
        """Whether no worker will ever be ready."""
        return len(self._failed) == self._count

    def note_opening(self, worker: int, opening: Any) -> Problem | None:
        """Take in how a worker has opened its session; return what is wrong with that, if anything."""
        if isinstance(opening, BaseException):
            return self.note_failure(worker, [_reason(worker, opening)])
        if "usage" in opening:
            return Problem(worker, opening["usage"], is_usage=True)
        if "exit" in opening:
            return Problem(worker, [], exit=opening["exit"])
        if "error" in opening:
            return self.note_failure(worker, opening["error"].splitlines())
        if self.first < 0:
            self.first, self._digest = worker, opening["digest"]
        elif opening["digest"] == self._digest and worker not in self.ready:
            self.ready.append(worker)
        return None

    def note_loss(self, worker: int) -> bool:
        """Note that a worker has died; return whether it was ready, and so has to be again."""
        if worker not in self.ready:
            return False
        self.ready.remove(worker)
        return True

    def needs_list(self, worker: int) -> bool:
        """Whether a worker that has opened its session must tell what it has collected."""
        return worker not in self.ready and worker not in self._failed

    def can_compare(self, worker: int) -> bool:
        """Whether what a worker has collected can be taken in: the first worker's list may come after another's."""
        return self._has_list or worker == self.first

    def note_list(self, worker: int, listed: Any) -> Difference | None:
        """Take in what a worker has collected; return how it differs, if it does."""
        nodeids, numbers, places = listed
        self.ready.append(worker)
        if not self._has_list:
            self._has_list = True
            self.collected = Collected(nodeids, numbers, [Place(*place) for place in places])
            return None
        ours, theirs = set(self.collected.nodeids), set(nodeids)
        if ours == theirs:
            return None
        return Difference(
            worker,
            [name for name in self.collected.nodeids if name not in theirs],
            [name for name in nodeids if name not in ours],
        )

    def note_failure(self, worker: int, lines: list[str]) -> Problem:
        """Note that a worker is of no use, or did not end well; return what to report."""
        self._failed.add(worker)
        if worker in self.ready:
            self.ready.remove(worker)
        text = _WORKER_NAME.sub("", "\n".join(lines))
        is_new = text not in self._problems
        self._problems.add(text)
        return Problem(worker, lines, is_new=is_new)


def _reason(worker: int, error: BaseException) -> str:
    if isinstance(error, WorkerCrashed):
        return f"Worker gw{worker} {how_it_ended(error)} while it collected the tests."
    return f"The worker could not collect: {error}"
