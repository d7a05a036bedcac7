"""The ways to start a worker, with an entrypoint whose import is light and one whose import takes 0.3 s."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from workpool import WorkerCrashed, WorkerPool

ENTRYPOINTS = {
    "light": "benchmarks.start_costs.entrypoints:run",
    "0.3 s": "benchmarks.start_costs.heavy_entrypoint:run",
}
METHODS = ("spawn", "template")
WORKERS = 4


class Start(NamedTuple):
    """One way to start, one entrypoint: milliseconds, and at last megabytes."""

    first: float
    """Until the first result, of a new pool."""
    crowd: float
    """Until four workers are ready, of a new pool."""
    replacement: float
    """From a worker's end until its replacement has run a task."""
    memory: float
    """MB of the four workers and their template: pages that are shared count in parts (PSS)."""


def measure(rounds: int) -> dict[tuple[str, str], Start]:
    """Return the least of each by entrypoint and method; all alternate."""
    keys = [(name, method) for name in ENTRYPOINTS for method in METHODS]
    seen = [{key: asyncio.run(_start(*key)) for key in keys} for _ in range(rounds)]
    return {key: Start(*map(min, zip(*(each[key] for each in seen), strict=True))) for key in keys}


async def _start(name: str, method: Any) -> Start:
    begun = perf_counter()
    options: dict[str, Any] = {"max_workers": WORKERS, "min_workers": WORKERS}
    async with WorkerPool[Any, Any](ENTRYPOINTS[name], start_method=method, **options) as pool:
        await pool.add_task("")
        first = perf_counter() - begun
        await _all_ready(pool)
        crowd = perf_counter() - begun
        memory = sum(map(_proportional_megabytes, _processes(pool)))
        begun = perf_counter()
        with suppress(WorkerCrashed):
            await pool.add_task("end", affinity="force", worker=0)
        await pool.add_task("", affinity="force", worker=0)
        replacement = perf_counter() - begun
    return Start(1000 * first, 1000 * crowd, 1000 * replacement, memory)


async def _all_ready(pool: WorkerPool[Any, Any]) -> None:
    while sum(worker.state == "idle" for worker in pool.workers) < WORKERS:
        await asyncio.sleep(0.0005)


def _processes(pool: WorkerPool[Any, Any]) -> set[int]:
    """Return the workers, and whoever has forked them."""
    workers = {worker.pid for worker in pool.workers}
    parents = {int(_stat(pid)[1]) for pid in workers}
    return workers | parents - {os.getpid()}


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _proportional_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:"))
