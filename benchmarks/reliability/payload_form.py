"""One payload there or back: `python -m benchmarks.reliability.payload_form DIRECTION KIND SIZE`.

Prints ``exact``, or the error with which the payload was refused. Exits with 1 if what came is not
what was sent, or if the pool does not do another task afterwards.
"""

import asyncio
import sys
from typing import Any

from benchmarks.reliability.payload_tasks import (
    ALIVE,
    ARGUMENT,
    RESULT,
    Summary,
    carry,
    expected,
    make,
    summarize,
)
from workpool import SerializationError, WorkerPool

EXACT = "exact"


async def main(direction: str, kind: str, size: int) -> None:
    """Carry the payload, then see whether the pool is alive."""
    async with WorkerPool(carry, max_workers=1) as pool:
        print(await _outcome(pool, direction, kind, size))
        assert await pool.add_task((ALIVE, None)) == ALIVE, "the pool does not work any more"


async def _outcome(pool: "WorkerPool[Any, Any]", direction: str, kind: str, size: int) -> str:
    wanted = expected(kind, size)
    try:
        came = await _carried(pool, direction, kind, size)
    except (SerializationError, MemoryError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    assert came == wanted, f"what came is {came}, what was sent {wanted}"
    return EXACT


async def _carried(pool: "WorkerPool[Any, Any]", direction: str, kind: str, size: int) -> Summary:
    if direction == ARGUMENT:
        summary: Summary = await pool.add_task((ARGUMENT, make(kind, size)))
        return summary
    return summarize(await pool.add_task((RESULT, (kind, size))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
