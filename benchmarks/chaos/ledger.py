"""The ledger: a file to which tasks, workers and killers append one line for all they do.

Nothing of the pool's own accounts is in it, so it can bear witness against them. Every line is
`LINE_BYTES` long, which divides a page: a single write with O_APPEND then lies within one page, and
the kernel looks for a fatal signal between pages only. So no line is ever torn, whoever dies.

This is the writing side. It is light, because workers import it.
"""

from __future__ import annotations

import os
import time

LINE_BYTES = 64

BIRTH = "B"  # a worker runs its start hook; detail: its slot
EXIT = "X"  # a worker runs its exit hook; detail: its slot
START = "S"  # a task begins; detail: the slot of its worker
END = "E"  # a task ends; detail: one of OK, RAISED, INTERRUPTED
DEATH = "C"  # a task is about to end its own worker; detail: how
HIT = "K"  # the assassin is about to send a signal to a worker; detail: its name; in the place of
# the task's index stands which signal of its shot it is: 0 the first, 1 what follows
KILL = "U"  # the pool's user is about to have a worker killed; detail: by which signal
MISS = "M"  # the signal just announced was not sent: the worker had ended; detail: its name

OK, RAISED, INTERRUPTED = "ok", "raised", "interrupted"

NO_TASK = -1


def process_name(pid: int) -> str:
    """Name a process by its id and its start time, for ids are used again. Raises `OSError`."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no pathlib in workers
        # The command's name may hold spaces and brackets; the fields after its last bracket do not.
        fields = file.read().rpartition(b")")[2].split()
    return f"{pid}.{int(fields[19])}"


def own_slot(pool: str) -> int:
    """Return the slot of the worker that calls this: it follows the pool's name on its command line."""
    with open("/proc/self/cmdline", "rb") as file:  # noqa: PTH123 - no pathlib in workers
        words = file.read().decode().split("\0")
    return int(words[words.index(pool) + 1])


class LedgerWriter:
    """Appends lines to a ledger's file."""

    def __init__(self, path: str, process: str = "") -> None:
        self.process = process or process_name(os.getpid())
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)

    def write(self, kind: str, index: int, detail: str, process: str = "") -> int:
        """Append a line about `process`, by default the writer's own; return its time."""
        now = time.monotonic_ns()
        os.write(self._descriptor, render(kind, index, process or self.process, now, detail))
        return now

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def render(kind: str, index: int, process: str, now: int, detail: str) -> bytes:
    """Return the bytes of a line: kind, task, process, time (monotonic nanoseconds), detail."""
    line = f"{kind} {index:>8} {process:>20} {now:>18} {detail:<12}\n".encode()
    assert len(line) == LINE_BYTES, line
    return line
