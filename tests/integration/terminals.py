"""Programs on a terminal of their own, as a user starts them in a shell."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 20.0
CTRL_C, CTRL_Z, CTRL_BACKSLASH = b"\x03", b"\x1a", b"\x1c"

_TAKE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY); "
_NO_CORE = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "


class Terminal:
    """A terminal and the program on it, which leads the session."""

    def __init__(self, command: Sequence[str]) -> None:
        interpreter, flag, program = command
        self._screen, inside = os.openpty()
        _echo_nothing(inside)
        self.program = subprocess.Popen(
            [interpreter, flag, _TAKE_TERMINAL + _NO_CORE + program],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"},
        )
        os.close(inside)
        self.text = ""
        self._open = True

    def wait_for(self, words: str, times: int = 1) -> None:
        """Read until the program has written these words so often."""
        end = time.monotonic() + PATIENCE
        while self.text.count(words) < times:
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"{words!r} has not come, but {self.text!r}")

    def type(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def hang_up(self) -> None:
        """Close the window."""
        if self._open:
            os.close(self._screen)
            self._open = False

    def processes(self, states: str = "") -> list[int]:
        """Return the processes of the session that are alive, or those in certain states."""
        return [
            pid
            for pid, state in _processes_of_session(self.program.pid)
            if (state in states if states else state not in "ZX")
        ]

    def is_empty_within(self, seconds: float) -> bool:
        """Whether all processes of the session end in time; reads what they write meanwhile."""
        end = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > end:
                return False
            self._read(0.01)
        while self._read(0):
            pass
        return True

    def all_are(self, states: str) -> bool:
        """Wait until every process of the session but its leader is in one of these states."""
        end = time.monotonic() + PATIENCE
        leader = self.program.pid
        while set(self.processes()) - {leader} != set(self.processes(states)) - {leader}:
            if time.monotonic() > end:
                return False
            self._read(0.01)
        return True

    def close(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.program.kill()
        self.program.wait()
        self.hang_up()

    def _read(self, patience: float) -> bool:
        """Read what the program writes in so many seconds; False if there is nothing."""
        if not self._open:
            time.sleep(patience)
            return False
        if not select.select([self._screen], [], [], max(0.0, patience))[0]:
            return False
        try:
            self.text += os.read(self._screen, 1 << 16).decode(errors="replace")
        except OSError:  # how a terminal says that nobody has it open any more
            time.sleep(patience)
            return False
        return True


@contextmanager
def on_terminal(command: Sequence[str]) -> Iterator[Terminal]:
    """Run a Python program on a terminal; end what is left of it afterwards."""
    terminal = Terminal(command)
    try:
        yield terminal
    finally:
        terminal.close()


def _echo_nothing(descriptor: int) -> None:
    mode = termios.tcgetattr(descriptor)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, mode)


def _processes_of_session(session: int) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        state, _, _, of_session = status.rpartition(")")[2].split()[:4]
        if int(of_session) == session:
            found.append((int(entry.name), state))
    return found
