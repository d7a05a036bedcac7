"""SIGINT in a worker: while it runs the user's code, that code's own affair, as in a serial run.

The pool's workers ignore the signal, and have another one for what the pool wants. A test may be about it,
though, and pytest ends a run in which a test lets `KeyboardInterrupt` pass. One from a terminal reaches the
controller as well, which ends the run whatever becomes of it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # `signal` makes enums of all it is given: twice for each test


class Keyboard:
    """Has SIGINT handled as in a program, now and then."""

    def __init__(self) -> None:
        self._inside: Any = signal.default_int_handler
        self._outside = signal.getsignal(signal.SIGINT)

    def attend(self) -> None:
        """From here on, have it do what it did when this was last in force: at first, raise `KeyboardInterrupt`."""
        signal.signal(signal.SIGINT, self._inside)

    def ignore(self) -> None:
        """From here on, have it do what the pool wants."""
        found = signal.signal(signal.SIGINT, self._outside)
        if found is not None:  # as it is if a C library has put its own there
            self._inside = found
