"""What the workers run whose tasks race with their cancellation or their timeout.

An order is the way the task passes its time, its number, how many seconds it takes, whether it
tells of its beginning and its end, and the path of the journal. All instants are of `perf_counter`, which on
Linux is one clock for all processes. `asyncio` is imported only by the workers that need it.
"""

from itertools import repeat
from time import perf_counter, sleep

from benchmarks.reliability.journal import BEGUN, ENDED, INTERRUPTED, note
from workpool import TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from workpool import WorkerClient

Order = tuple[str, int, float, bool, str]

SPIN, C_CALL, DOZE, TURNS = "spin", "c_call", "doze", "turns"
STUBBORN = "stubborn"
"""The way of a task that swallows its interruption and goes on for its seconds from there."""

_SAMPLE = 20_000
"""Additions that are timed, to know how many fill the rest of the time: about 0.1 ms."""

_LONGEST = 10.0
"""How long a stubborn task waits for an interruption that does not come."""


def race(order: Order, client: "WorkerClient") -> int:
    """Pass the time, keep the journal and the parent informed, return the task's number."""
    way, number, seconds, is_watched, journal = order
    teller = client if is_watched else None
    note(journal, number, BEGUN)
    try:
        end = _tell("begun", number, teller) + seconds
        if way == STUBBORN:
            _ignore(seconds, number, journal)
        else:
            _WAYS[way](end)
        note(journal, number, ENDED)
        _tell("ended", number, teller)
    except TaskCancelled:
        note(journal, number, INTERRUPTED)
        raise
    return number


async def race_async(order: Order, client: "WorkerClient") -> int:
    """As `race`, in an event loop with others."""
    import asyncio

    way, number, seconds, is_watched, journal = order
    teller = client if is_watched else None
    note(journal, number, BEGUN)
    try:
        end = _tell("begun", number, teller) + seconds
        if way == STUBBORN:
            await _ignore_async(seconds, number, journal)
        elif way == TURNS:
            while perf_counter() < end:
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(end - perf_counter())
        note(journal, number, ENDED)
        _tell("ended", number, teller)
    except asyncio.CancelledError:
        note(journal, number, INTERRUPTED)
        raise
    return number


def _tell(event: str, number: int, client: "WorkerClient | None") -> float:
    """Tell the parent, if it wants to know, what happens now; return when that is."""
    now = perf_counter()
    if client is not None:
        client.post_message_to_pool(event, (number, now))
    return now


def _spin(end: float) -> None:
    while perf_counter() < end:
        pass


def _doze(end: float) -> None:
    sleep(max(0.0, end - perf_counter()))


def _c_call(end: float) -> None:
    """Fill the time with one C call that holds the GIL and minds no signal."""
    start = perf_counter()
    sum(repeat(1, _SAMPLE))
    now = perf_counter()
    sum(repeat(1, int(_SAMPLE * max(0.0, end - now) / (now - start))))


_WAYS = {SPIN: _spin, DOZE: _doze, C_CALL: _c_call}


def _ignore(seconds: float, number: int, journal: str) -> None:
    try:
        _spin(perf_counter() + _LONGEST)
    except TaskCancelled:
        note(journal, number, INTERRUPTED)
        _spin(perf_counter() + seconds)


async def _ignore_async(seconds: float, number: int, journal: str) -> None:
    import asyncio

    try:
        await asyncio.sleep(_LONGEST)
    except asyncio.CancelledError:
        note(journal, number, INTERRUPTED)
        await asyncio.sleep(seconds)
