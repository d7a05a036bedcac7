"""Starting the functions of `tests.children` as programs of their own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests import children

PATIENCE = 20.0


class Program:
    """A running program; its standard output is read line by line."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, fds: Sequence[int]) -> None:
        self._popen = subprocess.Popen(
            children.program(function, *arguments), stdout=subprocess.PIPE, pass_fds=fds
        )
        self.pid = self._popen.pid
        self._descriptor = os.pidfd_open(self.pid)

    def line(self) -> str:
        """Wait for the next line it prints."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().decode().removesuffix("\n")

    def rest(self) -> bytes:
        """Wait for its end and return what else it has printed."""
        assert self._popen.stdout is not None
        output = self._popen.stdout.read()
        self._popen.wait()
        return output

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def ending(self, patience: float = PATIENCE) -> int | None:
        """Return how it ended (negative: the signal), None if it goes on for so many seconds."""
        if not select.select([self._descriptor], [], [], patience)[0]:
            return None
        return self._popen.wait()

    def close(self) -> None:
        self.kill()
        assert self._popen.stdout is not None
        self._popen.stdout.close()
        os.close(self._descriptor)


@contextmanager
def running(
    function: Callable[..., Any], *arguments: Any, fds: Sequence[int] = ()
) -> Iterator[Program]:
    """Run a function as a program that inherits some descriptors; end it afterwards."""
    program = Program(function, *arguments, fds=fds)
    try:
        yield program
    finally:
        program.close()


def has_ended_within(pids: Iterable[int], seconds: float) -> bool:
    """Whether all these processes, anybody's, end in so many seconds; ends those that do not."""
    ended = True
    give_up = time.monotonic() + seconds
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], max(0.0, give_up - time.monotonic()))[0]:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                ended = False
        finally:
            os.close(descriptor)
    return ended
