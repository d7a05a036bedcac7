"""The memory of a tree of processes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

PROC = Path("/proc")
LOOK_EVERY = 0.05
"""Seconds. A look takes about a millisecond per process."""


def peak_pss(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for a process; return the most bytes that it and its descendants had at a time.

    Pss: what a process has alone, and its share of what it has in common with others.
    """
    peak = 0
    give_up = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < give_up:
        peak = max(peak, sum(_pss(pid) for pid in _tree(process.pid)))
        time.sleep(LOOK_EVERY)
    return peak


def _tree(root: int) -> list[int]:
    """Return the process and all its descendants."""
    found = [root]
    for pid in found:
        for children in (PROC / str(pid) / "task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:  # ended meanwhile
                continue
    return found


def _pss(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
