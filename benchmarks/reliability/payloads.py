"""Payloads of awkward sizes, as arguments and as results, one at a time in a process of its own.

The sizes are those at which a signed or an unsigned 32-bit length, or what one system call moves,
comes to its end.
"""

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability import payload_form
from benchmarks.reliability.census import children
from benchmarks.reliability.finding import Finding, none_of
from benchmarks.reliability.payload_form import EXACT
from benchmarks.reliability.payload_tasks import ARGUMENT, KINDS, OUT_OF_BAND, RESULT
from benchmarks.reliability.settings import GIB, Settings

SAMPLE_SECONDS = 0.02
MOST_COPIES = 4
"""Times the payload that must be free: the object, its pickle, the parcel, and one to spare."""


SMALLEST_FORM = (OUT_OF_BAND, ARGUMENT)
"""There is the object itself, and the file that the worker maps."""


@dataclass(frozen=True, slots=True)
class Form:
    """One payload: there or back, of what kind and size in bytes."""

    direction: str
    kind: str
    size: int

    def __str__(self) -> str:
        return f"{self.kind} of {self.size:,} bytes as {self.direction}"


def measure(settings: Settings) -> list[Finding]:
    """Carry every form; tell the memory that each took."""
    forms = [
        Form(direction, kind, size)
        for size in settings.payload_sizes
        for kind in KINDS
        for direction in (ARGUMENT, RESULT)
        if size < GIB or settings.all_large or (kind, direction) == SMALLEST_FORM
    ]
    return [_carry(form, settings.deadline) for form in forms]


def _carry(form: Form, deadline: float) -> Finding:
    needed, free = MOST_COPIES * form.size, _meminfo("MemAvailable")
    if needed > free:
        reason = f"it takes {needed / GIB:.0f} GiB of memory, {free / GIB:.0f} are free"
        return Finding(str(form), None, 0, remark=reason)
    command = [
        sys.executable,
        "-m",
        payload_form.__name__,
        form.direction,
        form.kind,
        str(form.size),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watch = _MemoryWatch(process.pid)
        try:
            output, _ = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            output = "hung"
        peak = watch.stop()
    return _judge(form, output.strip(), process.returncode, peak)


def _judge(form: Form, output: str, status: int, peak: int) -> Finding:
    if status:
        return none_of(f"{form}: failures", 1, f"exit status {status}: {output[-500:]}")
    copies = f", {peak / form.size:.1f} times its size" if form.size >= GIB else ""
    memory = f"{peak / GIB:.2f} GiB at the peak{copies}"
    how = memory if output == EXACT else f"refused: {output}; {memory}"
    return none_of(f"{form}: failures", 0, how)


class _MemoryWatch:
    """Samples the memory of a process and its children: what is theirs alone, and shared memory.

    Memory shared without a mapping belongs to no process in particular, so all that the machine has
    more of it counts; other programs hardly use any.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._shared_before = _meminfo("Shmem")
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> int:
        """Return the peak in bytes."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            private = _private(self._pid) + sum(map(_private, _children(self._pid)))
            shared = max(0, _meminfo("Shmem") - self._shared_before)
            self._peak = max(self._peak, private + shared)


def _children(pid: int) -> list[int]:
    try:
        return children(pid)
    except OSError:  # it has ended
        return []


def _private(pid: int) -> int:
    """Return the anonymous memory of a process in bytes, 0 if it has ended."""
    try:
        return _kilobytes(Path(f"/proc/{pid}/status"), "RssAnon") * 1024
    except OSError:
        return 0


def _meminfo(name: str) -> int:
    return _kilobytes(Path("/proc/meminfo"), name) * 1024


def _kilobytes(path: Path, name: str) -> int:
    """Return the figure of one line of a file in /proc; 0 if it has no such line."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
