"""Finding the processes of an experiment, in /proc."""

import os
import signal
from pathlib import Path

MARK = "PEER_FAULTS_MARK"
"""Environment variable that every process of an experiment inherits."""
PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Return the pids of all live processes of an experiment."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if wanted in _read(pid, "environ").split(b"\0")]


def kill_marked(mark: str) -> None:
    """Kill all that is left of an experiment, and what it starts meanwhile."""
    while found := marked(mark):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    return _fields(pid)[:1] not in ([], ["Z"], ["X"])


def descendants(ancestor: int) -> list[int]:
    """Return the pids of all below a process, zombies included."""
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _fields(pid))}
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def _fields(pid: int) -> list[str]:
    """Return state, parent and so on of a process; nothing if there is none."""
    # The name may hold spaces and parentheses: only what follows its last one is sure.
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _read(pid: int, name: str) -> bytes:
    """Read a file of a process; empty if it is gone, a zombie or somebody else's."""
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
