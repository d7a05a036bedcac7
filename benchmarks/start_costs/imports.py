"""What each import of a worker costs, from `-X importtime` of workers of a real pool."""

from __future__ import annotations

import asyncio
import re

from benchmarks.start_costs import entrypoints
from workpool import WorkerPool

_LINE = re.compile(r"import time: +(\d+) \| +\d+ \| +(\S+)")
"""The module's own microseconds, and its name."""


def measure(rounds: int) -> dict[str, int]:
    """Return the least microseconds of each module's own import, in the order they are imported."""
    seen: dict[str, list[int]] = {}
    for _ in range(rounds):
        for name, cost in asyncio.run(_imports()).items():
            seen.setdefault(name, []).append(cost)
    return {name: min(costs) for name, costs in seen.items() if 2 * len(costs) > rounds}


async def _imports() -> dict[str, int]:
    costs: dict[str, int] = {}

    def keep(_worker: object, _stream: str, line: str) -> None:
        found = _LINE.match(line)
        if found:
            costs[found[2]] = int(found[1])

    variables = {"PYTHONPROFILEIMPORTTIME": "1"}
    async with WorkerPool(
        entrypoints.when, max_workers=1, env=variables, worker_output=keep
    ) as pool:
        await pool.add_task(None)
    return costs
