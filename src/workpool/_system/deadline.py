"""A limit to how long this process may still live, whatever it does.

`faulthandler` keeps a thread of C for it, with every signal blocked: neither code that holds the GIL
nor code that blocks signals stops it, as it would stop an alarm.
"""

from __future__ import annotations

import os


def end_within(seconds: float) -> None:
    """End this process with exit code 1 when so many seconds are over. Replaces an earlier limit."""
    import faulthandler

    faulthandler.dump_traceback_later(seconds, exit=True, file=_nowhere())


_descriptor = -1


def _nowhere() -> int:
    """Return a descriptor for the traceback that `faulthandler` wants to write; open from now on."""
    global _descriptor
    if _descriptor < 0:
        _descriptor = os.open(os.devnull, os.O_WRONLY)
    return _descriptor
