"""When descriptors, memory or room run out, that is an error of the task, worker or pool concerned."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.syscall_sweep import tasks
from benchmarks.syscall_sweep.account import Account
from benchmarks.syscall_sweep.workload import (
    LARGE,
    parcels,
    quick_and_quiet,
    retirement,
    small_tasks,
)
from tests import children, leftovers
from tests.children import call
from tests.exhaustion_children import (
    fail_to_announce,
    fail_to_fetch,
    leave_descriptors,
    leave_memory,
    lift_limits,
)
from tests.failing_calls import ERRORS, Call, FailingCalls
from workpool import SerializationError, WorkerCrashed, WorkerPool, WorkerStartError, share

Pool = WorkerPool[Any, Any]


@contextmanager
def without(limit: Callable[[int], None], free: int) -> Iterator[None]:
    """Bring this process to a limit."""
    try:
        limit(free)
        yield
    finally:
        lift_limits()


# Real limits


@pytest.mark.parametrize("free", range(4))
async def test_descriptors_run_out_in_the_pool(free: int) -> None:
    """Large payloads fail, saying why, or arrive; small ones are not concerned; then all is well."""
    async with Pool(call, max_workers=2) as pool:
        await asyncio.gather(*(pool.add_task((len, LARGE)) for _ in range(4)))
        with without(leave_descriptors, free):
            work: list[Any] = [(len, LARGE), (bytes, len(LARGE)), (children.double, 4)] * 3
            tasks = [pool.add_task(each) for each in work]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for each, outcome in zip(work, outcomes, strict=True):
            if isinstance(outcome, OSError):
                assert outcome.errno == errno.EMFILE
                assert each[0] is not len or "ulimit -n" in str(outcome)
                assert each[0] is not children.double
            else:
                assert outcome == each[0](each[1])
        if not free:
            assert sum(isinstance(outcome, OSError) for outcome in outcomes) == 6
        tasks = [pool.add_task((bytes, len(LARGE))) for _ in range(8)]
        assert {len(result) for result in await asyncio.gather(*tasks)} == {len(LARGE)}


async def test_descriptors_run_out_in_a_worker(capfd: pytest.CaptureFixture[str]) -> None:
    """Large arguments and results fail, saying why; so do a task's own files; small ones are fine."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((leave_descriptors, 0))
        for _ in range(8):  # more than there are places for parcels
            with pytest.raises(OSError, match="too many files open") as caught:
                await pool.add_task((len, LARGE))
            assert caught.value.errno == errno.EMFILE
        for work in ((bytes, len(LARGE)), (open, "/proc/self/stat")):
            with pytest.raises(OSError, match="Too many open files"):
                await pool.add_task(work)
        pool.post_message_to_workers("large", LARGE)
        assert await pool.add_task((children.double, 2)) == 4
        await pool.add_task((lift_limits,))
        assert await pool.add_task((len, LARGE)) == len(LARGE)
        assert await pool.add_task((bytes, len(LARGE))) == bytes(len(LARGE))
        assert pool.statistics().restarts == 0
    assert "too many files open" in capfd.readouterr().err


async def test_descriptors_run_out_for_shared_objects() -> None:
    """Where they are written, mapped or taken: each error says of what there is too little."""
    with share([LARGE]) as shared:
        with without(leave_descriptors, 0):
            for attempt in (lambda: share([LARGE]), shared.get):
                with pytest.raises(
                    OSError, match=r"shared object|bytes could not be shared"
                ) as caught:
                    attempt()
                assert caught.value.errno == errno.EMFILE
                assert "ulimit -n" in str(caught.value)
        async with Pool(call, max_workers=1) as pool:
            await pool.add_task((leave_descriptors, 0))
            with pytest.raises(
                SerializationError, match=r"cannot be opened in the worker.*ulimit -n"
            ):
                await pool.add_task((len, shared))
            await pool.add_task((lift_limits,))
            assert await pool.add_task((len, shared)) == 1


async def test_parcels_that_are_not_fetched_leave_room_for_others() -> None:
    """Arguments that a worker could not fetch, more than there are places for, block no later ones."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((fail_to_fetch, 8))
        tasks = [pool.add_task((len, LARGE)) for _ in range(12)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OSError] * 8 + [int] * 4


async def test_a_parcel_that_is_not_announced_is_not_taken_for_the_next() -> None:
    """After a large result that could not be reported the next ones are their own tasks'."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((fail_to_announce,))
        with pytest.raises(OSError, match="Cannot allocate memory"):
            await pool.add_task((children.identity, LARGE))
        for number in range(3):
            large = bytes([number]) * len(LARGE)
            assert await pool.add_task((children.identity, large)) == large


async def test_no_descriptors_for_another_worker() -> None:
    """A worker that cannot be replaced fails what waits, saying why; later it can."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((os.getpid,))
        with without(leave_descriptors, 2):
            crash = pool.add_task((os._exit, 3))
            behind = pool.add_task((children.double, 2))
            with pytest.raises(WorkerCrashed):
                await crash
            with pytest.raises(WorkerStartError, match="open files"):
                await behind
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_pool_that_cannot_be_set_up() -> None:
    """A pool for which there are not enough descriptors says so, and keeps none."""
    for free in range(0, 14, 3):
        with without(leave_descriptors, free):
            pool = Pool(call, max_workers=2)
            with pytest.raises(WorkerStartError, match="ulimit -n"):
                pool.add_task((children.double, 2))
            fill = [os.open(os.devnull, os.O_RDONLY) for _ in range(free)]
            for descriptor in fill:
                os.close(descriptor)
        assert await pool.add_task((children.double, 2)) == 4
        await pool.aclose()


async def test_no_memory_for_a_result() -> None:
    """A result for which the pool has no memory fails, and nothing else does."""
    size = 64 << 20
    async with Pool(call, max_workers=1) as pool:
        assert await pool.add_task((children.double, 2)) == 4
        with without(leave_memory, size // 2):
            large = pool.add_task((bytearray, size))
            small = pool.add_task((children.double, 3))
            with pytest.raises(OSError, match="memory"):
                await large
            assert await small == 6
        assert len(await pool.add_task((bytearray, 1 << 20))) == 1 << 20


async def test_no_memory_in_a_worker() -> None:
    """An argument for which a worker has no memory fails its task; the worker goes on."""
    async with Pool(call, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        await pool.add_task((leave_memory, 16 << 20))
        with pytest.raises((OSError, MemoryError)):
            await pool.add_task((len, b"x" * (32 << 20)))
        with pytest.raises((OSError, MemoryError)):
            await pool.add_task((bytes, 32 << 20))
        assert await pool.add_task((os.getpid,)) == pid
        await pool.add_task((lift_limits,))
        assert await pool.add_task((len, b"x" * (32 << 20))) == 32 << 20


# Every call, one at a time


@pytest.mark.once
@pytest.mark.deadline(120)
async def test_every_call_of_the_pool_may_fail(tmp_path: Path) -> None:
    """Wherever a call fails, nothing hangs, is run twice or is left, and the pool goes on."""
    with quick_and_quiet(settle=0.01):
        made = await live_through(tmp_path, None, 0)
        assert {call.name for call in made} == ERRORS.keys()
        for failing, times in made.items():
            for time in sorted({1, times}):
                before = leftovers.take_census()
                await live_through(tmp_path, failing, time)
                left = leftovers.wait_until_nothing_is_left(before)
                assert not left, f"after {failing}, time {time}, there is left: {left.describe()}"


async def live_through(directory: Path, failing: Call | None, time: int) -> Counter[Call]:
    """Lead a pool through a short life in which one call fails; see that all is well."""
    pool = WorkerPool[Any, Any](tasks.run, max_workers=1)
    account = Account(pool, directory / "record", slots=1, is_async=False)
    with FailingCalls(failing, time) as calls:
        for stage in (a_few, parcels, large_message, retirement):
            # What cannot be taken on at all is said at once.
            with contextlib.suppress(OSError, WorkerStartError):
                await stage(account)
        await account.settle()
    where = f"{failing}, time {time}"
    for error in account.errors():
        assert isinstance(error, (OSError, WorkerStartError)), where
        assert failing is not None
        assert os.strerror(ERRORS[failing.name]) in str(error), where
    account.allowed = (OSError, WorkerStartError)
    assert account.violations() == [], where
    account.forget()
    account.allowed = ()
    await small_tasks(account)
    assert account.violations() == [], f"some time after {where}"
    await pool.aclose()
    account.forget()
    return calls.made


async def a_few(account: Account) -> None:
    for _ in range(3):
        account.add()
    await account.settle()


async def large_message(account: Account) -> None:
    account.pool.post_message_to_workers("note", LARGE)
    account.add("message", worker=0, affinity="force")
    await account.settle()
