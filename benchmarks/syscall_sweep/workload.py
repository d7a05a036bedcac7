"""The workload: stages that together lead a worker through all it ever does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from benchmarks.syscall_sweep.account import Account

LARGE = b"x" * 1_100_000
"""More than fits the arena, or the belt: it travels as a parcel."""

MIDDLE = b"x" * 40_000
"""More than fits a report: it has a span in the arena, and comes back by the belt."""

Stage = Callable[[Account], Awaitable[None]]


async def small_tasks(account: Account) -> None:
    """Let more tasks than workers wait in queues."""
    for number in range(8):
        account.add("raise" if number == 5 else "")
    await account.settle()


async def parcels(account: Account) -> None:
    """Send arguments and results that are too large for their places."""
    account.add(payload=LARGE)
    for slot in range(account.slots):
        for _ in range(2):
            account.add(payload=LARGE, worker=slot, affinity="force")
    await account.settle()


async def spans(account: Account) -> None:
    """Send arguments and results that are large, with and without buffers of their own."""
    for payload in (MIDDLE, memoryview(MIDDLE)):
        account.add(payload=payload)
        for slot in range(account.slots):
            account.add(payload=payload, worker=slot, affinity="force")
    await account.settle()


async def mail(account: Account) -> None:
    """Send messages both ways, records of `logging`, tasks for one worker alone."""
    account.pool.post_message_to_workers("note", "small")
    account.pool.post_message_to_workers("note", LARGE)
    for slot in range(account.slots):
        for action in ("message", "log"):
            account.add(action, worker=slot, affinity="force")
    await account.settle()


async def steals(account: Account) -> None:
    """Give all tasks to one worker that is busy, so that others steal them."""
    account.add("busy", worker=0, affinity="force")
    for _ in range(5):
        account.add(worker=0)
    await account.settle()


async def claims(account: Account) -> None:
    """Let tasks claim what their worker runs next, which workers with an async entrypoint cannot."""
    for _ in range(0 if account.is_async else 6):
        account.add("claim")
    await account.settle()


async def pauses(account: Account) -> None:
    """Add single tasks, each when every worker sleeps."""
    for _ in range(2):
        await all_asleep(account)
        account.add()
        await account.settle()


async def cancellation(account: Account) -> None:
    """Cancel a task that runs: by a message to an async worker, by a signal to another."""
    task = account.add("wait" if account.is_async else "until condemned")
    while not (account.has_started(task) or task.done()):
        await asyncio.sleep(0.001)
    task.cancel()
    account.add()
    await account.settle()


async def retirement(account: Account) -> None:
    """Let a worker end in good order, and another start in its place."""
    pool = account.pool
    exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note_exit(*_: object) -> None:
        pool.remove_listener("worker-exited", note_exit)
        exited.set_result(None)

    if not pool.workers:
        account.add()
        await account.settle()
    pool.on("worker-exited", note_exit)
    pool.workers[0].retire()
    await exited
    pool.resize_up_to(account.slots)
    await all_asleep(account)
    for _ in range(4):
        account.add()
    await account.settle()


async def batches(account: Account) -> None:
    """Let tiny tasks travel together: with an error among them, large results, and one that is cancelled."""
    for _ in range(2):
        tasks = [
            account.add("raise" if number == 7 else "", b"x" * 400 if number == 12 else b"")
            for number in range(40)
        ]
        await asyncio.sleep(0)
        tasks[30].cancel()
        await account.settle()


TINY_STAGES: tuple[Stage, ...] = (small_tasks, batches, pauses, retirement, batches)

STAGES: tuple[Stage, ...] = (
    small_tasks,
    parcels,
    spans,
    mail,
    steals,
    claims,
    pauses,
    cancellation,
    retirement,
)


async def all_asleep(account: Account) -> None:
    """Wait until no worker does anything, or there is none."""
    while any(worker.state != "idle" for worker in account.pool.workers):
        await asyncio.sleep(0.001)


@contextmanager
def quick_and_quiet(settle: float = 0.1) -> Iterator[None]:
    """Shorten the pool's patience with cancelled tasks, and keep what workers log to ourselves.

    `settle` are the seconds in which a task can see that its worker is condemned, and end.
    """
    logger = logging.getLogger("faults")
    before, logger.propagate = logger.propagate, False
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        with (
            patch("workpool._interrupts.CANCEL_GRACE", 0.01),
            patch("workpool._interrupts.SETTLE_SECONDS", settle),
        ):
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
