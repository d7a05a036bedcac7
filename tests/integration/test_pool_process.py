"""Whole sources: handlers on the way, the account and the errors at the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call, divide, double
from workpool import (
    CompletionEvent,
    ErrorEvent,
    PoolClosed,
    ProcessSummary,
    Progress,
    TaskCancelled,
    WorkQueue,
)
from workpool import WorkerPool as Pool


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number
        await asyncio.sleep(0)


async def test_a_source_is_processed_to_its_end() -> None:
    """Every item's event has its argument, result and how far things are; a summary comes back."""
    events: list[CompletionEvent[int, int]] = []
    async with Pool(double, max_workers=2) as pool:
        summary = await pool.process(range(50), on_complete=events.append)
    assert summary == ProcessSummary(50, 50, 0)
    assert sorted((event.argument, event.result) for event in events) == [
        (n, 2 * n) for n in range(50)
    ]
    assert all(event.success for event in events)
    assert [event.progress for event in events] == [Progress(50, n, 0) for n in range(1, 51)]
    assert events[-1].progress.finished == 50


@pytest.mark.parametrize("kind", ["generator", "async generator", "queue"])
async def test_every_kind_of_source(kind: str) -> None:
    """Without a length the total is unknown until the end, unless it was given."""
    queue = WorkQueue(*range(20))
    queue.close()
    sources: dict[str, Any] = {
        "generator": (n for n in range(20)),
        "async generator": numbers(20),
        "queue": queue,
    }
    totals = set()
    async with Pool(double, max_workers=2) as pool:
        summary = await pool.process(
            sources[kind], on_complete=lambda event: totals.add(event.progress.total)
        )
        assert summary == ProcessSummary(20, 20, 0)
        assert totals == {None}
        await pool.process(
            iter([1]), total=7, on_complete=lambda event: totals.add(event.progress.total)
        )
    assert totals == {None, 7}


async def test_errors_are_told_one_by_one_and_raised_together() -> None:
    """They stop nothing; the group has them all, and says how many of how many."""
    told: list[ErrorEvent[tuple[int, int]]] = []

    async def on_error(event: ErrorEvent[tuple[int, int]]) -> None:
        await asyncio.sleep(0)
        told.append(event)

    completed: list[float] = []
    async with Pool(divide, max_workers=2) as pool:
        with pytest.raises(ExceptionGroup, match="3 of 10 tasks failed") as caught:
            await pool.process(
                [(n, n % 4) for n in range(10)],
                on_complete=lambda event: completed.append(event.result),
                on_error=on_error,
            )
        assert await pool.add_task((6, 3)) == 2
    assert len(completed) == 7
    assert sorted(event.argument for event in told) == [(0, 0), (4, 0), (8, 0)]
    assert [event.progress.failed for event in told] == [1, 2, 3]
    assert list(caught.value.exceptions) == [event.error for event in told]
    assert {type(error) for error in caught.value.exceptions} == {ZeroDivisionError}


async def test_a_result_can_count_as_a_failure() -> None:
    """What `is_success` rejects is told and counted so, and is no error."""
    unsuccessful: list[int] = []

    def on_complete(event: CompletionEvent[int, int]) -> None:
        if not event.success:
            unsuccessful.append(event.argument)

    async with Pool(double, max_workers=2) as pool:
        summary = await pool.process(
            range(10), on_complete=on_complete, is_success=lambda result: result < 14
        )
    assert summary == ProcessSummary(10, 7, 3)
    assert sorted(unsuccessful) == [7, 8, 9]


@pytest.mark.parametrize("handler", ["on_complete", "on_error", "is_success"])
async def test_a_handler_that_raises_ends_the_run(handler: str) -> None:
    """Its error comes out as it is; what is in flight is cancelled, the pool goes on."""

    def broken(_: Any) -> None:
        raise LookupError("handler")

    async with Pool(divide, max_workers=2) as pool:
        with pytest.raises(LookupError, match="handler"):
            await pool.process(
                itertools.cycle([(1, 1), (1, 0)]),
                buffer=8,
                **{handler: broken},  # type: ignore[arg-type]
            )
        await pool.when_idle()
        assert await pool.add_task((6, 3)) == 2


@pytest.mark.parametrize("failing", [False, True])
async def test_a_source_that_raises(failing: bool) -> None:
    """What was read before is finished; the error comes alone, or beside those of the tasks."""

    def source() -> Iterator[tuple[int, int]]:
        yield (4, 2)
        yield (1, 0 if failing else 1)
        raise OSError("source")

    results: list[float] = []
    async with Pool(divide, max_workers=2) as pool:
        with pytest.raises(ExceptionGroup if failing else OSError) as caught:
            await pool.process(source(), on_complete=lambda event: results.append(event.result))
    assert sorted(results) == ([2] if failing else [1, 2])
    if isinstance(caught.value, ExceptionGroup):
        kinds = {type(error) for error in caught.value.exceptions}
        assert kinds == {ZeroDivisionError, OSError}
        assert "1 of 2 tasks failed, and then OSError ended the reading" in str(caught.value)


async def test_a_source_that_is_ended_by_hand_with_an_error() -> None:
    """`WorkQueue.throw` ends the run with that error when what came before is done."""
    queue = WorkQueue(1, 2)
    results: list[int] = []

    def on_complete(event: CompletionEvent[int, int]) -> None:
        results.append(event.result)
        if len(results) == 2:
            queue.throw(TimeoutError("no more"))

    async with Pool(double, max_workers=1) as pool:
        with pytest.raises(TimeoutError, match="no more"):
            await pool.process(queue, on_complete=on_complete)
    assert sorted(results) == [2, 4]


async def test_cancelling_the_run_cancels_what_is_in_flight(gate: Gate) -> None:
    """Nothing of it is left in the pool, which goes on."""
    async with Pool(call, max_workers=1) as pool:
        work = [(children.pass_gate, None, gate)] + [(double, n) for n in range(10)]
        run = asyncio.ensure_future(pool.process(work))
        await gate.arrived()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        gate.open()
        await pool.when_idle()
        assert pool.statistics().cancelled == 11


async def test_slow_handlers_slow_the_reading_down() -> None:
    """No more than `buffer` items have been read and not been handled."""
    read = handled = most = 0

    def source() -> Iterator[int]:
        nonlocal read, most
        for read in range(1, 101):
            most = max(most, read - handled)
            yield read

    async def on_complete(_: CompletionEvent[int, int]) -> None:
        nonlocal handled
        for _turn in range(5):
            await asyncio.sleep(0)
        handled += 1

    async with Pool(double, max_workers=2) as pool:
        await pool.process(source(), buffer=7, on_complete=on_complete)
    assert (read, handled) == (100, 100)
    assert most <= 8


async def test_a_task_that_somebody_cancels_counts_as_failed() -> None:
    """Its error is a `TaskCancelled`; the run is not taken for cancelled."""
    async with Pool(double, max_workers=1) as pool:
        pool.on("task-added", lambda task: task.cancel() if task.argument == 3 else None)
        with pytest.raises(ExceptionGroup) as caught:
            await pool.process(range(5))
    assert [type(error) for error in caught.value.exceptions] == [TaskCancelled]


async def test_a_pool_that_is_killed_meanwhile(gate: Gate) -> None:
    """The run ends with what the tasks and the source met: the pool is closed."""
    async with Pool(call, max_workers=1) as pool:
        run = asyncio.ensure_future(
            pool.process(itertools.repeat((children.pass_gate, None, gate)), buffer=4)
        )
        await gate.arrived()
        pool.kill()
        with pytest.raises(ExceptionGroup) as caught:
            await run
    assert {type(error) for error in caught.value.exceptions} == {PoolClosed}


async def test_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """It has the label, how many have ended, and how many of them have failed."""
    async with Pool(divide, max_workers=1) as pool:
        with pytest.raises(ExceptionGroup):
            await pool.process([(1, 1), (1, 0), (4, 2)], progress="dividing")
        await pool.process(iter([(1, 1)]), progress=True)
    shown = capsys.readouterr().err
    for part in ("dividing", "3/3", "1 failed", "1/1"):
        assert part in shown


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"on_complete": 3}, TypeError),
        ({"on_error": "log"}, TypeError),
        ({"is_success": True}, TypeError),
        ({"total": -1}, ValueError),
        ({"buffer": 0}, ValueError),
    ],
)
async def test_a_wrong_argument_is_named(wrong: dict[str, Any], kind: type[Exception]) -> None:
    """At once, before anything is read."""
    read: list[int] = []

    def source() -> Iterator[int]:
        read.append(1)
        yield 1

    async with Pool(double, max_workers=1) as pool:
        with pytest.raises(kind, match=next(iter(wrong))):
            await pool.process(source(), **wrong)
    assert read == []
