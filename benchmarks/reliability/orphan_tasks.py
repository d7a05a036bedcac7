"""What workers are doing when their parent is killed. Light: a start pays for it.

Whoever gets to where the kill is to hit writes a line to standard output, which it shares with its
parent.
"""

import os
import time
from itertools import repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

A_WHILE = 30.0
"""Seconds for which a task or hook would go on: far longer than a worker may outlive its parent."""

FOR_HOURS = 1 << 40
"""Additions."""


def say_ready() -> None:
    """Tell the measure that this is the moment."""
    os.write(1, b"ready\n")


def occupy(occupation: str) -> None:
    """Be the task that keeps a worker busy."""
    _OCCUPATIONS[occupation]()


async def occupy_loop(occupation: str) -> None:
    """Be the same for a worker's event loop, which it blocks."""
    _OCCUPATIONS[occupation]()


def start_slowly(_client: "Any") -> None:
    """Be a start hook that takes its time."""
    say_ready()
    time.sleep(A_WHILE)


def exit_slowly(_client: "Any") -> None:
    """Be an exit hook that takes its time."""
    say_ready()
    time.sleep(A_WHILE)


def exit_holding_gil(_client: "Any") -> None:
    """Be an exit hook in which nothing else gets a turn."""
    _hold_gil()


def _nothing() -> None:
    pass


def _spin() -> None:
    say_ready()
    while True:
        pass


def _hold_gil() -> None:
    """Run one C call that takes longer than anybody waits, holds the GIL and minds no signal."""
    say_ready()
    sum(repeat(1, FOR_HOURS))


def _block_signals() -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    say_ready()
    time.sleep(A_WHILE)


def _leave_signals_blocked() -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())


NOTHING, SPIN, HOLD_GIL = "nothing", "spin", "hold GIL"
BLOCK_SIGNALS, LEAVE_SIGNALS_BLOCKED = "block signals", "leave signals blocked"

_OCCUPATIONS = {
    NOTHING: _nothing,
    SPIN: _spin,
    HOLD_GIL: _hold_gil,
    BLOCK_SIGNALS: _block_signals,
    LEAVE_SIGNALS_BLOCKED: _leave_signals_blocked,
}
