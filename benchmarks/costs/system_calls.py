"""Counts system calls in a trace, by process and name, between the two marks."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.costs.workload import BEGIN, END

_CALL = re.compile(r"(?P<thread>\d+) +(?P<name>[a-z]\w*)\(")
_MARKS = (BEGIN, END)


def tracer(log: Path) -> list[str]:
    """Return the command before which a program is traced with all its descendants.

    Raises `FileNotFoundError` if there is no tracer.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise FileNotFoundError(
            "strace is not installed, without which system calls cannot be counted. It is in the "
            "Debian package of that name: apt-get install strace"
        )
    return [strace, "-f", "-q", "--signal=none", "-o", str(log)]


def count(lines: Iterable[str], owners: Mapping[int, str]) -> dict[str, Counter[str]]:
    """Count the calls between the marks by the owner of the thread that made them.

    A call that another thread's line interrupts is counted once, where it begins.
    """
    counts: dict[str, Counter[str]] = {owner: Counter() for owner in owners.values()}
    is_counting = False
    for line in lines:
        if any(f'"{mark}"' in line for mark in _MARKS):
            is_counting = BEGIN in line
        elif is_counting and (call := _CALL.match(line)) is not None:
            owner = owners.get(int(call["thread"]))
            if owner is not None:
                counts[owner][call["name"]] += 1
    return counts


def per_task(counts: Mapping[str, Counter[str]], tasks: int) -> list[list[str]]:
    """Return rows of owner, calls per task, and the names of the frequent ones with their numbers."""
    return [
        [owner, f"{calls.total() / tasks:.2f}", _listed(calls, tasks)]
        for owner, calls in counts.items()
    ]


def _listed(calls: Counter[str], tasks: int) -> str:
    """Name those that happen at least once in a hundred tasks, the most frequent first."""
    return ", ".join(
        f"{name} {number / tasks:.2f}"
        for name, number in calls.most_common()
        if number * 100 >= tasks
    )
