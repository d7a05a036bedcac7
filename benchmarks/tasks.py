"""What the workers run. Imports nothing heavy: a worker's start pays for this module."""

from __future__ import annotations

from time import perf_counter, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NUMBERS_PER_PAGE = 512
"""Of 8 bytes each, on a page of 4096."""


def noop(argument: float) -> float:
    """Give the argument back, so that the caller can tell that no result was lost or mixed up."""
    return argument


def spin(seconds: float) -> float:
    """Keep the processor busy for `seconds` of wall time and give them back."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass
    return seconds


def doze(seconds: float) -> float:
    """Hold the worker for `seconds` without using the processor and give them back."""
    sleep(seconds)
    return seconds


def deliver(parcel: tuple[str, Any]) -> Any:
    """Do with a large array as told: give it back, look at its ends, or read all of it."""
    wish, array = parcel
    if wish == "echo":
        return array
    if wish == "ends":
        return float(array[0] + array[-1])
    return float(array.sum())


def leaf_through(array: Any) -> float:
    """Read one number of every page of a large array, so that all of it has to be in memory."""
    return float(array[::NUMBERS_PER_PAGE].sum())


def weigh(payload: bytes) -> int:
    """Give back how many bytes there are."""
    return len(payload)


async def noop_async(argument: float) -> float:
    """Do as `noop`, for pools that take nothing but coroutine functions."""
    return noop(argument)


async def spin_async(seconds: float) -> float:
    """Do as `spin`, for pools that take nothing but coroutine functions."""
    return spin(seconds)
