"""The time to the first result, in its parts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import monotonic

from benchmarks.start_costs import entrypoints
from benchmarks.start_costs.clock import STAMP, until_stamp
from workpool import WorkerPool
from workpool._system.process import interpreter_command

_OUR_IMPORTS = "import workpool._worker.boot, workpool._worker.sync_loop, workpool._worker.logs; "

Figures = dict[str, float]


def measure(rounds: int) -> Figures:
    """Return the milliseconds of each part: differences between points reached, each at its soonest.

    The soonest of many rounds, which alternate: whatever else the machine does only adds to a time.
    """
    seen = [_round() for _ in range(rounds)]
    ours, bare, with_site, imported, at_import, at_task, at_end = (
        1000 * min(each) for each in zip(*seen, strict=True)
    )
    return {
        "the pool's share: pipes, fork, exec": ours,
        "process and interpreter, without site": bare - ours,
        "site": with_site - bare,
        "our imports": imported - with_site,
        "configuration, hand-shake": at_import - imported,
        "entrypoint's import to its first task": at_task - at_import,
        "result": at_end - at_task,
        "all": at_end,
        "for comparison: python -c pass, until it runs": with_site,
    }


def _round() -> tuple[float, ...]:
    command, environment = interpreter_command(), dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_source(), os.getenv("PYTHONPATH")]))
    ours, bare = until_stamp([*command, "-S", "-c", STAMP], environment)
    _, with_site = until_stamp([*command, "-c", STAMP], environment)
    _, imported = until_stamp([*command, "-c", _OUR_IMPORTS + STAMP], environment)
    start = monotonic()
    points = asyncio.run(_first_result())
    return (ours, bare, with_site, imported, *(point - start for point in points))


async def _first_result() -> tuple[float, float, float]:
    async with WorkerPool(entrypoints.when, max_workers=1) as pool:
        at_import, at_task = await pool.add_task(None)
        return at_import, at_task, monotonic()


def _source() -> str:
    import workpool

    return str(Path(workpool.__file__).parents[1])
