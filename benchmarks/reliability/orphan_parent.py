"""A parent that will be killed: `python -m benchmarks.reliability.orphan_parent OCCASION`."""

import asyncio
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.reliability import orphan_tasks as tasks
from benchmarks.reliability.orphan_tasks import say_ready
from workpool import Entrypoint, WorkerPool

Pool = WorkerPool[str, None]
Hook = Callable[..., Any]

WORKERS = 2

_kept: list[object] = []
"""What must outlive the thread that made it."""


def _pool(symbol: str = "occupy", *, start: Hook | None = None, end: Hook | None = None) -> Pool:
    entry = Entrypoint(tasks.__name__, symbol, on_worker_start=start, on_worker_exit=end)
    return WorkerPool(entry, max_workers=WORKERS, min_workers=WORKERS)


async def _idle(pool: Pool) -> Pool:
    """Wait until all workers of a pool are idle."""
    await pool.add_task(tasks.NOTHING)
    while [worker.state for worker in pool.workers] != ["idle"] * WORKERS:
        await asyncio.sleep(0.001)
    return pool


async def _stay_idle(end: Hook | None = None, before: str = tasks.NOTHING) -> None:
    pool = await _idle(_pool(end=end))
    await pool.add_task(before)
    say_ready()
    await _for_ever(pool)


async def _occupied(occupation: str, symbol: str = "occupy") -> None:
    pool = await _idle(_pool(symbol))
    await pool.add_task(occupation)


async def _starting() -> None:
    say_ready()
    await _for_ever(_pool().add_task(tasks.NOTHING))


async def _in_start_hook() -> None:
    await _for_ever(_pool(start=tasks.start_slowly).add_task(tasks.NOTHING))


async def _in_exit_hook(before: str = tasks.NOTHING) -> None:
    pool = await _idle(_pool(end=tasks.exit_slowly))
    await pool.add_task(before)
    pool.dispose()
    await _for_ever(pool)


async def _for_ever(_held: object) -> None:
    await asyncio.Event().wait()


def _made_in_thread() -> None:
    """Let the thread that started the workers end long before the process."""

    def make() -> None:
        loop = asyncio.new_event_loop()
        pool = loop.run_until_complete(_made_in_loop())
        _kept.extend((loop, pool))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    say_ready()
    threading.Event().wait()


async def _made_in_loop() -> Pool:
    return await _idle(_pool())


def _run(main: Callable[[], Any]) -> None:
    asyncio.run(main())


OCCASIONS: dict[str, Callable[[], None]] = {
    "idle": partial(_run, _stay_idle),
    "Python loop": partial(_run, partial(_occupied, tasks.SPIN)),
    "C call that holds the GIL": partial(_run, partial(_occupied, tasks.HOLD_GIL)),
    "all signals blocked": partial(_run, partial(_occupied, tasks.BLOCK_SIGNALS)),
    "blocked event loop": partial(_run, partial(_occupied, tasks.HOLD_GIL, "occupy_loop")),
    "pool made in a thread that has ended": _made_in_thread,
    "starting": partial(_run, _starting),
    "in a start hook": partial(_run, _in_start_hook),
    "in an exit hook": partial(_run, _in_exit_hook),
    "idle, with an exit hook": partial(_run, partial(_stay_idle, tasks.exit_slowly)),
    "idle, with an exit hook that holds the GIL": partial(
        _run, partial(_stay_idle, tasks.exit_holding_gil)
    ),
    "in an exit hook, signals left blocked": partial(
        _run, partial(_in_exit_hook, tasks.LEAVE_SIGNALS_BLOCKED)
    ),
    "idle, with an exit hook, signals left blocked": partial(
        _run, partial(_stay_idle, tasks.exit_slowly, tasks.LEAVE_SIGNALS_BLOCKED)
    ),
}

if __name__ == "__main__":
    OCCASIONS[sys.argv[1]]()
