"""What this process and its kin hold: processes, descriptors, threads, shared memory."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE = 3.0
"""Seconds in which what is about to vanish may vanish; what leaks stays for ever."""

_SHARED = ("memfd:", "/dev/shm/", "/SYSV")


def take(pool: str) -> set[str]:
    """Describe all there is now; `pool` is a name by which its processes can be told."""
    return {*_processes(pool), *_descriptors(), *_threads(), *_shared_memory()}


def wait_for_leftovers(before: set[str], pool: str) -> list[str]:
    """Return what is there that was not there before, after a while for it to vanish."""
    gc.collect()
    give_up = time.monotonic() + _PATIENCE
    while (left := take(pool) - before) and time.monotonic() < give_up:
        time.sleep(0.01)
    return sorted(left)


def _processes(pool: str) -> Iterator[str]:
    """Children of this process, zombies too, and whoever else carries the pool's name."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            # The fields after the last bracket: state, parent, ...
            fields = _read(entry / "stat").rpartition(")")[2].split()
            words = _read(entry / "cmdline").split("\0")
            if fields and (int(fields[1]) == os.getpid() or pool in words):
                yield f"process {entry.name} ({fields[0]}): {' '.join(words).strip()}"


def _descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield f"descriptor {name}: {os.readlink(f'/proc/self/fd/{name}')}"
        except FileNotFoundError:  # the one that lists this very folder
            continue


def _threads() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        yield f"thread {task.name}"


def _shared_memory() -> Iterator[str]:
    for line in _read(Path("/proc/self/maps")).splitlines():
        if any(mark in line for mark in _SHARED):
            yield f"mapping {line}"
    for name in os.listdir("/dev/shm"):
        if "workpool" in name:
            yield f"shared memory {name}"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
