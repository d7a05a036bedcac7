"""What the workers of the measures of deaths and restarts run. Light: a start pays for it."""

import os
from time import perf_counter, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from workpool import WorkerClient

NOOP, HOLD, EXIT, SEGFAULT = "noop", "hold", "exit", "segfault"


def perform(order: str, client: "WorkerClient") -> int:
    """Do as told; return this process's id."""
    globals()[f"_{order}"](client)
    return os.getpid()


def _noop(_client: "Any") -> None:
    pass


def _hold(client: "WorkerClient") -> None:
    """Say that the task runs, then wait to be killed."""
    client.post_message_to_pool("runs", None)
    sleep(60)


def _exit(client: "WorkerClient") -> None:
    """Say when, then end the process without a word to the pool."""
    client.post_message_to_pool("ends", perf_counter())
    os._exit(3)


def _segfault(_client: "Any") -> None:
    import resource
    import signal

    # Neither a traceback nor a file of it: it is meant.
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)
