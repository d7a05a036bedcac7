"""Values that are made once in a run, and shared by all workers.

Files in a folder that all of them know do it, and locks on them, which the kernel lets go when their
holder dies. Of each value there are two: one process at a time has the turn, in which it looks whether
there is a value, makes or undoes it; all that use it share the other one until their sessions end, and
whoever finds in its turn that it was the last one undoes it. Nobody waits for a user.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")


class OncePerRun:
    """Makes values that are the same in all workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holds: dict[str, _Hold] = {}
        self._in_turn: set[str] = set()
        """Names of values that this process makes or undoes."""
        self._lock = threading.RLock()

    def __call__(
        self, name: str, make: Callable[[], Value], undo: Callable[[Value], object] | None = None
    ) -> Value:
        """Return what `make()` has returned in the worker that asked for this name first.

        It has to be something that `pickle` takes: an address, a path, a number. Other workers wait
        meanwhile; if it raises, the next one tries. `undo(value)` is called when the sessions of all workers
        that have asked for it have ended, in the last of them; not if that one dies before.

        Raises what `make` raises, and `RuntimeError` if `make` or `undo` asks for the name it was called
        for. May be called from any thread; in one worker, one value is made at a time.
        """
        with self._lock:
            hold = self._holds.get(name)
            if hold is None:
                with self._noted(name):
                    hold = self._new_hold(name, make, undo)
                self._holds[name] = hold
        value: Value = hold.value
        return value

    def _new_hold(
        self, name: str, make: Callable[[], Any], undo: Callable[[Any], object] | None
    ) -> _Hold:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Names may be long, and have anything in them.
        file_name = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return _Hold(self._folder / file_name, make, undo)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        """Note that a value is being made or undone: who asks for it meanwhile would wait for itself."""
        if name in self._in_turn:
            raise RuntimeError(
                f"once_per_run: the function that makes {name!r} asks for {name!r} itself, or the one that"
                " undoes it does, and would wait for ever; it has to do without, or to ask for another name"
            )
        self._in_turn.add(name)
        try:
            yield
        finally:
            self._in_turn.discard(name)

    def close(self) -> None:
        """Let go of all values, the last made first; undo those that nobody else holds."""
        errors: list[Exception] = []
        while self._holds:
            name, hold = self._holds.popitem()
            try:
                with self._lock, self._noted(name):
                    hold.let_go()
            except Exception as error:  # noqa: BLE001 - the others have to be let go of too
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("once_per_run: undoing failed", errors)


class _Hold:
    """A value, and the lock that says that this process uses it."""

    def __init__(
        self, path: Path, make: Callable[[], Any], undo: Callable[[Any], object] | None
    ) -> None:
        """Get the value, from another process or by making it."""
        self._path = path
        self._undo = undo
        with self._turn():
            if not path.exists():
                self._write(make())
            self.value: Any = pickle.loads(path.read_bytes())
            self._use = _open_lock(f"{path}.use")
            fcntl.flock(self._use, fcntl.LOCK_SH)

    def let_go(self) -> None:
        """Give the value up; undo it if no other process uses it."""
        with self._turn():
            try:
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                os.close(self._use)
            self._path.unlink(missing_ok=True)
            if self._undo is not None:
                self._undo(self.value)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other process makes the value, undoes it, or looks whether there is one."""
        lock = _open_lock(f"{self._path}.turn")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, value: Any) -> None:
        # Whole or not at all, should this process die in between.
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(value))
        unfinished.replace(self._path)


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
