"""A template that is a fork of this very process, made before there is a pool."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

from workpool._quick import socket
from workpool._serialization import brief
from workpool._system import mail
from workpool._system.fork_guard import close_when_forked, is_closed, no_fork
from workpool._system.process import Process


class ForkedTemplate:
    """A fork of this process that waits for its pool: ``WorkerPool(..., start_method=template)``.

    Made by `fork_template`. It makes the workers of one pool, and ends with that pool, with `close`, or
    with this process. A pool that it does not suit, because its workers are to have other environment
    variables or another directory, starts a template of its own. The tasks that a second pool would
    start its first worker for fail with `RuntimeError`.
    """

    def __init__(self, process: Process, control: socket.socket, liveness: int) -> None:
        self._process = process
        self._control = control
        self._liveness = liveness
        self._surroundings = _surroundings(os.environ)
        self._owner = os.getpid()
        self._is_free = True
        self._has_pool = False
        close_when_forked(self)

    def take(self, environment: Mapping[str, str]) -> tuple[Process, socket.socket, int] | None:
        """For the pool: hand over process, control socket and liveness pipe; None if it does not suit.

        Raises `RuntimeError` if another pool has it, or has had it.
        """
        suits = self._surroundings == _surroundings(environment)
        with no_fork:  # two pools in two threads may ask at once
            had_pool, is_taken = self._has_pool, self._is_free and suits
            if is_taken:
                self._is_free, self._has_pool = False, True
                is_closed(self)
            else:
                self.close()
        if had_pool:
            raise _two_pools()
        return (self._process, self._control, self._liveness) if is_taken else None

    def close(self) -> None:
        """End it, unless a pool has it. Closing twice does no harm."""
        with no_fork:
            if not self._is_free:
                return
            self._is_free = False
            is_closed(self)
        self._control.close()
        os.close(self._liveness)
        if self._owner == os.getpid():  # and not a forked child that lets go of it
            self._process.send_signal(signal.SIGKILL)
            self._process.reap(wait=True)
        self._process.close()

    def __del__(self) -> None:
        if vars(self).get("_is_free"):
            self.close()


def fork_template(imports: Iterable[str] = ()) -> ForkedTemplate:
    """Fork this process to be the template of a pool that is made later.

    Workers find all that this process has imported so far, and need not import it again: good for a
    program that has imported much and begun nothing. What it has done besides they find as well:
    variables, connections, signal handlers; but what it wants done at its end (`atexit`,
    `weakref.finalize`) they leave to it. `imports` are modules that are imported there at once, while
    this process goes on.

    Does not wait. Raises `RuntimeError`, saying why, if this process has threads or is traced, which
    a fork does not survive; `TypeError` if `imports` are not the names of modules; `OSError` if there
    is no room for another process.
    """
    wanted = list(imports)
    if isinstance(imports, str) or not all(isinstance(name, str) for name in wanted):
        raise TypeError(f"imports must be a list of the names of modules, not {brief(imports)}")
    reason = _why_not()
    if reason:
        raise RuntimeError(f"this process cannot be forked as a template: {reason}")
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or both processes would write what is in it
    with ExitStack() as undo:
        control, theirs = mail.mail_pair()
        undo.callback(control.close)
        undo.callback(theirs.close)
        liveness, ours = os.pipe()
        undo.callback(os.close, liveness)
        undo.callback(os.close, ours)
        child = _fork_uninterrupted()
        if child == 0:
            control.close()
            os.close(ours)
            _be_template(theirs.detach(), liveness, wanted)
        process = Process.of_child(child)
        undo.pop_all()
    theirs.close()
    os.close(liveness)
    return ForkedTemplate(process, control, ours)


def _why_not() -> str:
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "it is traced or profiled"
    if len(os.listdir("/proc/self/task")) == 1:
        return ""
    from workpool._worker.fork_fitness import why_not_to_fork

    return why_not_to_fork("it has", "fork it before it starts any")


def _fork_uninterrupted() -> int:
    """Fork. The child ignores Ctrl-C, which is meant for this process, when it has a handler."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    child = -1
    try:
        child = os.fork()
    finally:
        if child:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _be_template(control: int, liveness: int, imports: list[str]) -> NoReturn:
    from workpool._worker.forked_template import be_template

    be_template(control, liveness, imports)


def _two_pools() -> RuntimeError:
    import logging

    message = (
        "what fork_template() returned was given to two pools, and makes the workers of one: the other "
        "was first. Call fork_template() once for each pool, or give this one start_method='template'."
    )
    logging.getLogger("workpool").error(message)  # no task may wait for that worker, and be told
    return RuntimeError(message)


def _surroundings(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return what a process that is started takes with it."""
    try:
        folder = str(Path.cwd())
    except OSError:
        folder = ""  # it was removed
    return dict(environment), folder
