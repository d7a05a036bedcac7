"""One call after the other, each one's time kept."""

from collections.abc import Awaitable, Callable
from time import perf_counter


def sample(call: Callable[[], object], samples: int, seconds: float) -> list[float]:
    """Make calls until there are so many or so many seconds are over; one at least."""
    costs: list[float] = []
    end = perf_counter() + seconds
    while len(costs) < samples:
        start = perf_counter()
        call()
        stop = perf_counter()
        costs.append(stop - start)
        if stop > end:
            break
    return costs


async def sample_async(
    call: Callable[[], Awaitable[object]], samples: int, seconds: float
) -> list[float]:
    """Do as `sample` under any event loop, awaiting each call."""
    costs: list[float] = []
    end = perf_counter() + seconds
    while len(costs) < samples:
        start = perf_counter()
        await call()
        stop = perf_counter()
        costs.append(stop - start)
        if stop > end:
            break
    return costs
