"""Entrypoints whose modules note when they are imported. Light: nothing of the benchmark is imported."""

import os
from time import monotonic

IMPORTED = monotonic()


def when(_argument: object) -> tuple[float, float]:
    """Return when this module was imported, and when this task ran."""
    return IMPORTED, monotonic()


def run(order: str) -> int:
    """Return this process's id, or end it."""
    if order == "end":
        os._exit(1)
    return os.getpid()
