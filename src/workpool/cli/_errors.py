"""Errors the command line tells its user in one sentence."""

from __future__ import annotations

import os
import signal

__all__ = ["INTERRUPTED", "PIPE_CLOSED", "InputError", "OutputError", "UsageError", "reason"]

INTERRUPTED = 128 + signal.SIGINT

# The status a shell shows for a tool that SIGPIPE ended; ours has to put its workers away first.
PIPE_CLOSED = 128 + signal.SIGPIPE


class UsageError(Exception):
    """The command cannot be carried out as given; the exit status is 2."""


class InputError(Exception):
    """Reading the inputs failed for good; those read before are still worked on."""


class OutputError(Exception):
    """Writing the results failed for good."""


def reason(error: OSError) -> str:
    """Return why a system call failed, in the system's words: ``No such file or directory``."""
    return os.strerror(error.errno) if error.errno else str(error)
