"""What the workers run. Imports nothing heavy: a worker's start pays for this module."""

from time import perf_counter, sleep


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


async def noop_async(argument: float) -> float:
    """Do as `noop`, for pools that take nothing but coroutine functions."""
    return noop(argument)


async def spin_async(seconds: float) -> float:
    """Do as `spin`, for pools that take nothing but coroutine functions."""
    return spin(seconds)
