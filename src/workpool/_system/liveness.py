"""A worker goes with its parent, whatever either is doing.

The pool holds the write end of a pipe that carries nothing. The kernel closes it when the pool's
process ends, in whatever way, and then signals the worker, which asked for SIGKILL on that event
(O_ASYNC, F_SETSIG). No thread and no polling, and it works while a C call holds the worker's GIL,
where neither a watchdog thread nor a Python signal handler could run. PR_SET_PDEATHSIG would not
do: it fires when the *thread* that started the worker ends.

A sleeping worker asks for SIGCONT instead: its `poll` tells it that the parent is gone, and it can
still run its exit hook.
"""

from __future__ import annotations

import fcntl
import os
import select

from workpool._quick import signal

_F_SETSIG = 10


_RELAXED = signal.SIGCONT
"""Does nothing to a process that runs, and lets one that somebody has stopped see that its parent is gone."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ParentGone(Exception):
    """The process that owns the pool has ended."""


class Liveness:
    """The worker's side of the liveness pipe: the kernel sends one signal when it hangs up."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._hang_up = select.poll()
        self._hang_up.register(descriptor, select.POLLIN)
        self.guarded = False
        self.forked = False
        """Whether this is no worker any more but a child that a task has forked off one."""
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        self._ask_for(_RELAXED)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def guard(self) -> None:
        """From now on die with the parent. Raises `ParentGone` if it is gone already.

        No system call if it is so already. The look comes after the switch: a parent that ends
        before the switch is seen by the look, one that ends after it by the kernel.
        """
        if self.guarded:
            return
        self._ask_for(signal.SIGKILL)
        # fault point: guarded
        self.guarded = True
        if self._parent_is_gone():
            self.relax()
            raise ParentGone

    def linger(self, on_parent_gone: Callable[[], None]) -> None:
        """From now on have `on_parent_gone` called (in a signal handler) instead of dying.

        It is called at once if the parent is gone already.
        """
        signal.signal(signal.SIGIO, lambda _number, _frame: on_parent_gone())
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGIO}
        )  # a task may have left it blocked
        self._ask_for(signal.SIGIO)
        self.guarded = True  # as far as it ever will be: nothing is to change this any more
        if self._parent_is_gone():
            on_parent_gone()

    def relax(self) -> None:
        """From now on outlive the parent, for as long as it takes to end in good order."""
        if self.guarded:
            # fault point: before the guard is taken off
            self._ask_for(_RELAXED)
            self.guarded = False

    def _ask_for(self, number: int) -> None:
        fcntl.fcntl(self.descriptor, _F_SETSIG, number)

    def _parent_is_gone(self) -> bool:
        return bool(self._hang_up.poll(0))  # a third of what a read that fails costs
