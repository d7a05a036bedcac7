"""strace around one worker of a pool: it counts the worker's system calls, or disturbs one of them."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

_SCRIPT = """#!/bin/sh
# The first to come here is traced. The tracer is its grandchild: it stays the pool's own child.
if mkdir {marker} 2>/dev/null; then
    echo $$ >{pid}
    exec {strace} {python} "$@"
fi
exec {python} "$@"
"""


class Disturbance(NamedTuple):
    """What is to happen when a worker makes a certain call for the `time`-th time."""

    call: str
    time: int
    what: str
    """In strace's words: ``signal=KILL``, ``error=ENOMEM``."""

    def __str__(self) -> str:
        return f"{self.what} at {self.call} {self.time}"


class Trace:
    """One worker that is traced. Its `pid` is known when it has started."""

    def __init__(self, directory: Path, disturbance: Disturbance | None) -> None:
        self._log = directory / "log"
        self._pid = directory / "pid"
        self.program = directory / "python"
        strace = shutil.which("strace")
        if strace is None:
            raise FileNotFoundError(
                "strace is not installed, without which no system call can be disturbed. It is in "
                "the Debian package of that name: apt-get install strace"
            )
        command = [strace, "-D", "-f", "-q", "-o", str(self._log)]
        if disturbance is not None:
            call, time, what = disturbance
            # With the filter the kernel stops the worker at these calls alone.
            command += ["-e", f"trace={call}"]
            command += ["-e", f"inject={call}:{what}:when={time}"]
        self.program.write_text(
            _SCRIPT.format(
                marker=shlex.quote(str(directory / "first")),
                pid=shlex.quote(str(self._pid)),
                strace=shlex.join(command),
                python=shlex.quote(sys.executable),
            )
        )
        self.program.chmod(0o755)

    @property
    def pid(self) -> int:
        """The id of the traced worker's process, 0 while it has none."""
        return int(self._pid.read_text() or 0) if self._pid.exists() else 0

    def counts(self) -> Counter[str]:
        """Return how often each system call was made."""
        lines = self._log.read_text(errors="replace").splitlines()
        names = (re.match(r"(?:\d+ +)?([a-z]\w*)\(", line) for line in lines)
        return Counter(name[1] for name in names if name)

    def was_disturbed(self) -> bool:
        """Whether the disturbance happened: how often a worker polls, say, is not always the same.

        To be asked when the worker has ended; the tracer may need a moment more.
        """
        for _ in range(300):
            log = self._log.read_text(errors="replace") if self._log.exists() else ""
            if "+++" in log:
                return "+++ killed by SIGKILL" in log or "(INJECTED)" in log
            time.sleep(0.01)
        return False

    @contextmanager
    def around_workers(self) -> Iterator[None]:
        """Have pools start their workers through the tracer."""
        with patch("sys.executable", str(self.program)):
            yield
