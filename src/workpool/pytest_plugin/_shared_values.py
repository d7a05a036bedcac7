"""Values that are made once in a run, and shared by all workers.

Files in a folder that all of them know do it, and locks on them, which the kernel lets go when their
holder dies: whoever comes first makes the value, the others wait for it; each holds on to it until
its session ends, and the last one undoes it.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")


class OncePerRun:
    """Makes values that are the same in all workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holds: dict[str, _Hold] = {}

    def __call__(
        self, name: str, make: Callable[[], Value], undo: Callable[[Value], object] | None = None
    ) -> Value:
        """Return what `make()` has returned in the worker that asked for this name first.

        It has to be something that `pickle` takes: an address, a path, a number. Other workers wait
        meanwhile; if it raises, the next one tries. `undo(value)` is called when the sessions of all workers
        that have asked for it have ended, in the last of them; not if that one dies before.
        """
        hold = self._holds.get(name)
        if hold is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            hold = _Hold(self._folder / re.sub(r"[^\w.-]", "_", name), undo)
            hold.take(make)
            self._holds[name] = hold
        value: Value = hold.value
        return value

    def close(self) -> None:
        """Let go of all values, the last made first; undo those that nobody else holds."""
        errors: list[Exception] = []
        while self._holds:
            _, hold = self._holds.popitem()
            try:
                hold.let_go()
            except Exception as error:  # noqa: BLE001 - the others have to be let go of too
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("once_per_run: undoing failed", errors)


class _Hold:
    """A value, and the lock that says that this process uses it."""

    def __init__(self, path: Path, undo: Callable[[Any], object] | None) -> None:
        self._path = path
        self._undo = undo
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.value: Any = None

    def take(self, make: Callable[[], Any]) -> None:
        """Get the value, from another process or by making it."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            if not self._path.exists():
                # Nobody has it, and one process at a time may look whether that is still so.
                fcntl.flock(self._lock, fcntl.LOCK_UN)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                if not self._path.exists():
                    self._write(make())
                fcntl.flock(self._lock, fcntl.LOCK_SH)
            self.value = pickle.loads(self._path.read_bytes())
        except BaseException:
            os.close(self._lock)
            raise

    def let_go(self) -> None:
        """Give the value up; undo it if no other process holds it."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            with suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._path.exists():
                    self._path.unlink()
                    if self._undo is not None:
                        self._undo(self.value)
        finally:
            os.close(self._lock)

    def _write(self, value: Any) -> None:
        # Whole or not at all, should this process die in between.
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(value))
        unfinished.replace(self._path)
