"""Calls that the tests of the joblib backend have made in workers, and who these are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from tests.children import Gate

initialized_with: list[str] = []


class Refusal(Exception):
    """An exception with an attribute of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(f"refused {number}")
        self.number = number


def refuse(number: int, refused: int) -> int:
    if number == refused:
        raise Refusal(number)
    return number


def initialize(word: str) -> None:
    initialized_with.append(word)


def initialized() -> list[str]:
    return initialized_with


def nested(backend: str | None, level: int) -> list[tuple[str, set[int]]]:
    """Return, for each level below, the active backend and the processes its calls ran in."""
    kind = type(get_active_backend()[0]).__name__
    pids = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(os.getpid)() for _ in range(4))
    if level == 0:
        return [(kind, set(pids))]
    calls = (joblib.delayed(nested)(backend, level - 1) for _ in range(2))
    below = joblib.Parallel(n_jobs=2, backend=backend)(calls)
    return [(kind, set(pids)), *below[0]]


def variable(name: str) -> str | None:
    return os.environ.get(name)


def set_first(array: Any, value: float) -> float:
    """Write into an array; return what was there."""
    before = float(array.flat[0])
    array.flat[0] = value
    return before


def set_row(array: Any, row: int) -> None:
    array[row] = row


def memory_behind(array: Any) -> int:
    """Return the inode of the memory that an array shows, as the kernel tells it."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, inode, *_ = line.split()
        start, end = (int(each, 16) for each in span.split("-"))
        if start <= address < end:
            return int(inode)
    raise AssertionError("memory that is not mapped")


def total(array: Any) -> float:
    return float(array.sum())


def total_behind(gate: Gate, array: Any) -> float:
    gate.pass_through()
    return total(array)


class Model:
    """Has a large array, as an estimator may."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def memory(self) -> int:
        return memory_behind(self.weights)


def workers_of(parallel: Callable[..., Any], gate: Gate) -> set[int]:
    """Have two calls run side by side; return the ids of their processes."""
    calls = (joblib.delayed(gate.pass_through)() for _ in range(2))
    results = parallel(return_as="generator", batch_size=1)(calls)
    pids = set(gate.arrived_blocking(2))
    gate.open(2)
    assert set(results) == pids
    return pids
