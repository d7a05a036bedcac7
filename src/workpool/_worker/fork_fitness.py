"""Whether a process can be forked, and the child be used."""

from __future__ import annotations

import _thread
import os


def why_not_to_fork(
    whose: str = "importing the entrypoint starts", instead: str = "start them in on_worker_start"
) -> str:
    """Return what keeps this process from being forked safely; empty if nothing does.

    `whose` and `instead` are for the sentence: what has made threads, and what to do. Libraries that know of forks, as OpenBLAS does, end their threads before one. So one is tried.
    """
    running = _thread._count()
    if running:
        return f"{whose} {running} thread(s) of Python, which a forked worker would not have; {instead}"
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads: it is what we want to find out
        try:
            child = os.fork()
        except OSError:
            return ""  # that will be told when it is a worker that cannot be made
        if child == 0:
            os._exit(0)
    os.waitpid(child, 0)
    running = len(os.listdir("/proc/self/task")) - 1
    if running:
        return f"{whose} {running} thread(s) of native code, which do not survive a fork"
    return ""
