"""What a process has: descriptors, children, threads, memory."""

import gc
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.procfs import worker_memory

OWN = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Census:
    """Counts at one moment; `resident` in bytes."""

    descriptors: int
    memfds: int
    """Descriptors and mappings of anonymous files."""
    children: int
    zombies: int
    threads: int
    resident: int


def take_census() -> Census:
    """Look at this process as it is once its garbage is collected."""
    gc.collect()
    targets = _targets_of_descriptors()
    states = [_state(pid) for pid in children()]
    return Census(
        descriptors=len(targets),
        memfds=sum("/memfd:" in target for target in targets) + _mapped_memfds(),
        children=len(states),
        zombies=states.count("Z"),
        threads=len(list((OWN / "task").iterdir())),
        resident=worker_memory(os.getpid())["Rss"],
    )


def children(pid: int | None = None) -> list[int]:
    """Return the pids of the children of a process, this one's by default."""
    process = OWN if pid is None else Path(f"/proc/{pid}")
    found: list[int] = []
    for thread in (process / "task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found


def _targets_of_descriptors() -> list[str]:
    targets = []
    for name in os.listdir(OWN / "fd"):
        try:
            targets.append(os.readlink(OWN / "fd" / name))
        except FileNotFoundError:  # the descriptor that listed the folder
            continue
    return targets


def _mapped_memfds() -> int:
    return sum("/memfd:" in line for line in (OWN / "maps").read_text().splitlines())


def _state(pid: int) -> str:
    try:
        # The name may hold spaces and parentheses: only what follows its last one is sure.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
