"""What workers print until their sessions have begun: the controller's session has printed that already.

Hooks that configure a session and begin it are called in the controller and in each worker. So a worker
writes a mark when it is through, and what came before that on its standard output and error is not shown:
unless the session does not begin, or the mark does not come.
"""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import suppress

_MARK = "\0workpool: the session has begun"

_DESCRIPTORS = 1, 2

_PATIENCE = 1.0
"""Seconds for which the mark may be on its way when the worker has collected: it goes by another pipe."""


class Mark:
    """A worker's side."""

    def __init__(self) -> None:
        """Note what standard output and error are, before anybody can change that."""
        self._outputs = [_identity(descriptor) for descriptor in _DESCRIPTORS]

    def write(self) -> None:
        """Say that the session has begun."""
        for stream, descriptor, identity in zip(
            (sys.stdout, sys.stderr), _DESCRIPTORS, self._outputs, strict=True
        ):
            with suppress(OSError, ValueError, AttributeError):  # closed, or put away
                stream.flush()
                if identity is not None and _identity(descriptor) == identity:
                    os.write(descriptor, f"{_MARK}\n".encode())


class EarlyOutput:
    """The controller's side."""

    def __init__(self) -> None:
        self._held: dict[int, dict[str, list[str]]] = {}
        self._begun: dict[int, set[str]] = {}
        """Streams whose mark has come, or is not waited for any more."""
        self._collected: dict[int, float] = {}

    def take(self, worker: int, stream: str, line: str) -> list[str]:
        """Take a line that a worker has printed; return the lines to be shown now."""
        if line.endswith(_MARK):
            self._begun.setdefault(worker, set()).add(stream)
            self._held.get(worker, {}).pop(stream, None)
            return []
        if stream in self._begun.get(worker, ()):
            return [line]
        self._held.setdefault(worker, {}).setdefault(stream, []).append(line)
        is_due = time.monotonic() > self._collected.get(worker, math.inf) + _PATIENCE
        return self.release(worker) if is_due else []

    def has_collected(self, worker: int) -> None:
        """Expect the mark of a worker soon."""
        self._collected.setdefault(worker, time.monotonic())

    def release(self, worker: int) -> list[str]:
        """Hold nothing of a worker from now on; return what was held."""
        self._begun[worker] = {"stdout", "stderr"}
        held = self._held.pop(worker, {})
        return [line for lines in held.values() for line in lines]

    def forget(self, worker: int) -> list[str]:
        """Expect the mark of the one that takes the place of a dead worker; return what was held."""
        lines = self.release(worker)
        del self._begun[worker]
        self._collected.pop(worker, None)
        return lines


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
