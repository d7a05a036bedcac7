"""What this process and its family use of the processors, and what everybody else does."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.procfs import cpu_ns, family

TICK = 1 / os.sysconf("SC_CLK_TCK")
IDLE_FIELDS = (3, 4)
"""Of the first line of /proc/stat: idle, and waiting for a disk."""
COUNTED_FIELDS = 8
"""What follows, guests' time, is in the others already."""


def spent(workers: Iterable[int]) -> float:
    """Return the processor seconds so far of this process, its ended children and these workers."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = sum(cpu_ns(workers).values()) / 1e9
    return time.process_time() + ended.ru_utime + ended.ru_stime + running


@dataclass(frozen=True, slots=True)
class MachineClock:
    """Processor seconds of the whole machine, and of this family, at one moment."""

    busy: float
    all: float
    own: float

    @classmethod
    def read(cls) -> MachineClock:
        """Read the kernel's account."""
        line = Path("/proc/stat").read_text().partition("\n")[0]
        fields = [int(field) * TICK for field in line.split()[1 : COUNTED_FIELDS + 1]]
        total = sum(fields)
        idle = sum(fields[field] for field in IDLE_FIELDS)
        return cls(total - idle, total, spent(family()))

    def others_since(self, earlier: MachineClock) -> float:
        """Return the part of the machine that all others have used since then, 0 to 1."""
        others = (self.busy - earlier.busy) - (self.own - earlier.own)
        return max(0.0, others / max(TICK, self.all - earlier.all))
