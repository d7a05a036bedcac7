"""Starting, watching and ending the worker processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

WORKER_PROGRAM = str(Path(__file__).resolve().parent.parent / "_worker" / "__main__.py")


class ExitStatus(NamedTuple):
    """How a process ended: by itself with a code, by a signal, or unknown (both None)."""

    exit_code: int | None
    signal_number: int | None

    @property
    def signal_name(self) -> str | None:
        """``"SIGKILL"`` for 9, and so on; None if no signal ended it."""
        return None if self.signal_number is None else signal_name(self.signal_number)

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the signal's number, as `subprocess` has it."""
        return self.exit_code if self.signal_number is None else -self.signal_number

    def __str__(self) -> str:
        if self.signal_name is not None:
            return f"ended by {self.signal_name}"
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}"
        return "ended, its exit status is unknown"


class Process:
    """A child process that is watched through a pidfd.

    Neither a signal nor a wait can hit another process that was given the same id later, and no
    other library's children are reaped.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        descriptors: Sequence[int],
        environment: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
        folder: str | None = None,
        own_group: bool = False,
    ) -> None:
        """Start `command`, which inherits the `descriptors` and nothing else. Raises `OSError`.

        The child starts with SIGINT blocked, so that a Ctrl-C meant for the parent does not end
        it before it has a handler; it has to unblock it. One that leads a group of its own
        (`own_group`) does not get the terminal's Ctrl-C and starts with nothing blocked.
        """
        blocked = set() if own_group else {signal.SIGINT}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            popen = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=descriptors,
                env=dict(environment),
                cwd=folder,
                process_group=0 if own_group else None,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.pid = popen.pid
        try:
            self.descriptor = os.pidfd_open(self.pid)
        except OSError:
            popen.kill()
            popen.wait()
            raise
        # From here on the pidfd is what watches it. Popen must neither wait for it nor warn.
        popen.returncode = 0

    @classmethod
    def of_child(cls, pid: int) -> Process:
        """Watch a child that this process has forked. Raises `OSError`; then there is none."""
        process = cls.__new__(cls)
        process.pid = pid
        try:
            process.descriptor = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return process

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        try:
            signal.pidfd_send_signal(self.descriptor, number)
        except OSError:
            return

    def kill_group(self) -> None:
        """Send SIGKILL to the group this process leads: to it and all it has started in it.

        Nothing happens once it has been reaped: from then on its number may be another's.
        """
        try:
            os.waitid(os.P_PIDFD, self.descriptor, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            return

    def reap(self, *, wait: bool = False) -> ExitStatus | None:
        """Collect the exit status; None if the process still runs and `wait` is false."""
        try:
            if wait:
                poll = select.poll()
                poll.register(self.descriptor, select.POLLIN)
                poll.poll()  # waitid() does not wait where an event loop made the pidfd non-blocking
            result = os.waitid(os.P_PIDFD, self.descriptor, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return ExitStatus(None, None)
        if result is None:
            return None
        if result.si_code == os.CLD_EXITED:
            return ExitStatus(result.si_status, None)
        return ExitStatus(None, result.si_status)

    def close(self) -> None:
        """Close the pidfd."""
        os.close(self.descriptor)


def signal_name(number: int) -> str:
    """Return ``"SIGKILL"`` for 9, and so on."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def interpreter_command() -> list[str]:
    """Return the command that starts an interpreter like this one: same program, same flags."""
    command = [sys.executable]
    for letter, flag in _FLAGS.items():
        command += [f"-{letter}"] * int(getattr(sys.flags, flag, 0))
    for option in sys.warnoptions:
        command += ["-W", option]
    for name, value in sys._xoptions.items():
        command += ["-X", name if value is True else f"{name}={value}"]
    return command


_FLAGS = {
    "B": "dont_write_bytecode",
    "E": "ignore_environment",
    "I": "isolated",
    "O": "optimize",
    "P": "safe_path",
    "S": "no_site",
    "b": "bytes_warning",
    "d": "debug",
    "s": "no_user_site",
    "v": "verbose",
}
