"""What a piece of code leaves behind in this process: children, zombies, open descriptors."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

# An exited child is gone when the kernel and the pool's reaper have both been scheduled; on a busy
# machine that takes some tens of milliseconds, and a leak stays for ever. So: wait long, poll often.
PATIENCE = 3.0
POLL_EVERY = 0.01


@dataclass(frozen=True)
class Census:
    """The children of this process and its open descriptors, each with a description."""

    children: dict[int, str]
    descriptors: dict[int, str]

    def __bool__(self) -> bool:
        return bool(self.children or self.descriptors)

    def describe(self) -> str:
        """Return one line for each child and each descriptor."""
        children = [f"  process {pid}: {what}" for pid, what in self.children.items()]
        descriptors = [f"  descriptor {fd}: {what}" for fd, what in self.descriptors.items()]
        return "\n".join(children + descriptors)

    def without(self, earlier: Census) -> Census:
        """Return what is here and was not, or was something else, in the earlier census."""
        children = {p: what for p, what in self.children.items() if p not in earlier.children}
        descriptors = dict(self.descriptors.items() - earlier.descriptors.items())
        return Census(children, descriptors)


def take_census() -> Census:
    """Look at the children and descriptors of this process as they are now."""
    return Census(_children(), _descriptors())


def wait_until_nothing_is_left(before: Census) -> Census:
    """Return what is left since `before`, after at most `PATIENCE` seconds for it to vanish."""
    give_up = time.monotonic() + PATIENCE
    while (left := take_census().without(before)) and time.monotonic() < give_up:
        time.sleep(POLL_EVERY)
    return left


def end_children(left: Census) -> None:
    """Kill and reap the children that were left, so that the next test begins without them."""
    for pid in left.children:
        # Somebody may reap it at the last moment: then it is gone, which is what is wanted.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> dict[int, str]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # the usual case, and all processes of the machine need no look then
        return {}
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (status := _read(entry / "stat")):
            # The name may hold spaces and brackets; the fields after its last bracket do not.
            state, parent = status.rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid():
                zombie = "zombie" if state == "Z" else "running"
                found[int(entry.name)] = f"{zombie}, {_command(entry)}"
    return found


def _command(process: Path) -> str:
    command = _read(process / "cmdline").replace("\0", " ").strip()
    return command or _read(process / "comm").strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor that read this very directory
            continue
    return found
