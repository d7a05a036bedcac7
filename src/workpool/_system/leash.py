"""A process group that the kernel ends when this process ends, without the group's help.

The liveness pipe of `liveness.py`, but set up from outside: whom to signal, and with what, belongs
to the open end of the pipe and not to the process that holds it. So the parent can say it, and any
program, which knows nothing of this, is tied by merely inheriting the descriptor.
"""

from __future__ import annotations

import fcntl
import os
import signal

_F_SETSIG = 10


class Leash:
    """The parent's side of a pipe that carries nothing."""

    def __init__(self) -> None:
        """Make the pipe. Raises `OSError`."""
        self.child_end, self._our_end = os.pipe()
        """The end for the child to inherit, and keep."""

    def tie(self, group: int) -> None:
        """From now on SIGKILL goes to a process group when our end closes, however that happens.

        A child whose parent ends before this is tied to nothing; its channel tells it.
        """
        fcntl.fcntl(self.child_end, fcntl.F_SETOWN, -group)
        fcntl.fcntl(self.child_end, _F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(self.child_end, fcntl.F_GETFL)
        fcntl.fcntl(self.child_end, fcntl.F_SETFL, flags | os.O_ASYNC)
        os.close(self.child_end)
        self.child_end = -1

    def close(self) -> None:
        """Close what is open of it; the group that was tied ends."""
        for descriptor in (self.child_end, self._our_end):
            if descriptor >= 0:
                os.close(descriptor)
        self.child_end = self._our_end = -1
