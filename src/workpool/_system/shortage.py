"""What to say when the system has no descriptor or no memory left."""

from __future__ import annotations

import errno
import os


def explained(error: OSError, what: str) -> OSError:
    """Return the error for what could not be done: why probably, and what to do about it.

    It has the same `errno`. Opens nothing, because there may be no descriptor left for that.
    """
    if error.errno is None:
        return OSError(f"{error}: {what}")
    reason = error.strerror or os.strerror(error.errno)
    return OSError(error.errno, f"{reason}: {what}{_why(error.errno)}")


def _why(number: int) -> str:
    if number == errno.EMFILE:
        return (
            f", because this process has {os.sysconf('SC_OPEN_MAX')} files open, as many as it may. "
            "Shared objects take one each, and so do large results that are held, before Python 3.13: "
            "let go of some, or raise the limit ('ulimit -n')."
        )
    if number == errno.ENFILE:
        return ", because the whole system has as many files open as it can."
    if number in (errno.ENOMEM, errno.ENOSPC):
        return ". It needs as much memory as it is large: pass smaller parts, or fewer at a time."
    if number == errno.EFBIG:
        return ", because it is larger than this process may make a file ('ulimit -f')."
    return ""
