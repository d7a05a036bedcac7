"""How much memory there is, and how much of it this process has had."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
_KILOBYTE = 1024


def peak_bytes() -> int:
    """Return the most resident memory that this process has had, what it shares with others included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE


def available_bytes() -> int | None:
    """Return how much memory can be taken without swapping, or without hitting this container's limit."""
    found = [*_of_machine(), *_of_group()]
    return max(min(found), 0) if found else None


def _of_machine() -> list[int]:
    with suppress(OSError, ValueError):
        for line in (_PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return [int(line.split()[1]) * _KILOBYTE]
    return []


def _of_group() -> list[int]:
    """Return what the control groups leave, this process's own and those above it."""
    found = []
    with suppress(OSError):
        for line in (_PROC / "self" / "cgroup").read_text().splitlines():
            if line.startswith("0::"):
                group = _GROUPS / line.partition("::")[2].lstrip("/")
                for folder in (group, *group.parents):
                    with suppress(OSError, ValueError):
                        limit = int((folder / "memory.max").read_text())
                        found.append(limit - int((folder / "memory.current").read_text()))
    return found
