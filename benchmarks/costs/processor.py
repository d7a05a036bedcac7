"""Processor time by process and by side of the kernel's border."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
USER, KERNEL = 11, 12
"""Fields of /proc/PID/stat after the command's name."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Seconds so far of the pool's process and of its workers."""

    seconds: dict[str, float]

    @classmethod
    def take(cls, workers: Iterable[int]) -> Snapshot:
        """Read the clocks of this process and of these."""
        own = os.times()
        others = [_seconds(pid) for pid in workers]
        return cls(
            {
                "pool": own.user,
                "pool, kernel": own.system,
                "workers": sum(user for user, _ in others),
                "workers, kernel": sum(kernel for _, kernel in others),
            }
        )

    def until(self, later: Snapshot) -> dict[str, float]:
        """Return what was spent between this one and a later one."""
        return {part: later.seconds[part] - spent for part, spent in self.seconds.items()}


def _seconds(pid: int) -> tuple[float, float]:
    """Return the seconds a process has spent outside the kernel and in it.

    The sum is exact; how it is shared out is told by where clock ticks found the process.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[USER]) * TICK, int(fields[KERNEL]) * TICK
