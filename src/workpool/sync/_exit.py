"""The interpreter's end, and forks: what becomes of pools whose threads still run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from workpool.sync import _task

if TYPE_CHECKING:
    from workpool.sync._loop_thread import LoopThread

_PATIENCE = 5.0
"""Seconds the interpreter's exit waits for the thread of a pool that has nothing to finish. It ends in
milliseconds, unless a listener does not return."""


class Service(Protocol):
    """A pool's thread with what to do with it at the interpreter's exit."""

    thread: LoopThread
    open: bool
    finishes_at_exit: bool

    def finish(self) -> None:
        """End when all that was added is done."""

    def abandon(self) -> None:
        """End at once."""


_services: set[Service] = set()
_exiting = False


def enter(service: Service) -> None:
    """Note that a service runs."""
    _services.add(service)


def leave(service: Service) -> None:
    """Note that a service has ended."""
    _services.discard(service)


def is_exiting() -> bool:
    """Whether the interpreter has begun to end: its main thread has nothing left to run."""
    return _exiting


def _end_all() -> None:
    """End all services; wait for those that finish what they have, as `concurrent.futures` does."""
    global _exiting
    _exiting = True
    services = list(_services)
    for service in services:
        service.open = False
        service.thread.post(service.finish if service.finishes_at_exit else service.abandon)
    for service in services:
        service.thread.wait(None if service.finishes_at_exit else _PATIENCE)


def _let_go_in_child() -> None:
    _task.let_go_in_child()
    for service in _services:
        service.open = False
        service.thread.forget()
    _services.clear()


# Not `atexit`: that comes after the threads' end, when no worker can be replaced any more. The name is
# private; concurrent.futures and what is built on it use it, and there is no other for this.
threading._register_atexit(_end_all)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=_let_go_in_child)
