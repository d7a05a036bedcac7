"""What workers made from a template run. Imported by their template; nothing else imports it.

`IMPORTED_BY` says who has: the template, or a worker that is an interpreter of its own.
"""

from __future__ import annotations

import os
import random
import sys

from tests.children import call, call_async  # noqa: F401 - the entrypoints

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from typing import Any

    from workpool import WorkerClient

IMPORTED_BY = os.getpid()


def who() -> tuple[int, int, int]:
    """Return this process, its parent, and who has imported this module."""
    return os.getpid(), os.getppid(), IMPORTED_BY


def draw() -> float:
    return random.random()


def draw_with_numpy() -> float:
    import numpy

    return float(numpy.random.random())


def leave_a_mark(_client: WorkerClient) -> None:
    """As a start hook: remember that it ran here."""
    globals()["MARK"] = os.getpid()


def mark() -> Any:
    return globals().get("MARK")


def raise_error() -> None:
    raise LookupError("from the task")


def environment(name: str) -> tuple[str | None, int]:
    return os.environ.get(name), IMPORTED_BY


def folder() -> tuple[str, int]:
    return os.getcwd(), IMPORTED_BY  # noqa: PTH109 - light


def run_a_pool(directory: str) -> None:
    """Be the parent: print who belongs to a pool of two, one of them busy, then wait for the end."""
    import asyncio

    from tests.children import Gate
    from workpool import WorkerPool

    async def main() -> None:
        pool: WorkerPool[Any, Any] = WorkerPool(
            "tests.template_children:call", max_workers=2, min_workers=2, start_method="template"
        )
        places = [pool.add_task((Gate(directory, "start").pass_through,)) for _ in range(2)]
        pids = [await place for place in places]
        _, template, _ = await pool.add_task((who,))
        pool.add_task((Gate(directory).pass_holding_gil,))
        print(*pids, template, flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), 9)

    asyncio.run(main())


def wait_for_a_pool(form: str) -> None:
    """Be the parent of a pool whose entrypoint may never be there; wait for the end."""
    import asyncio

    from workpool import WorkerPool

    async def main() -> None:
        pool: WorkerPool[Any, Any] = WorkerPool(form, max_workers=1, start_method="template")
        pool.add_task(None)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        os.kill(os.getpid(), 9)

    asyncio.run(main())
