"""What is asked about single members of a batch, and told of them, is right at awkward moments too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tests import children
from tests.batch_children import do, told
from tests.children import Gate
from tests.integration import test_batches
from tests.integration.test_batches import Pool, at
from workpool import sync
from workpool._frames import BATCH, ERROR, batch_attempt
from workpool._serialization import pack_error


@pytest.fixture(autouse=True)
def all_tiny() -> Iterator[None]:
    """Have every task taken for a tiny one, and none for overdue."""
    with (
        patch("workpool._scheduler.BATCH_SECONDS", 1e9),
        patch("workpool._scheduler.SHARE_SECONDS", 1e9),
        patch("workpool._scheduler.FEWEST_MEMBERS", 2),
        patch("workpool._batch_watch.OVERDUE_SECONDS", 1e9),
    ):
        yield


async def behind_gate(pool: Pool, gate: Gate, orders: list[str]) -> list[Any]:
    """Return tasks that were sent as one batch while the one worker stood at a gate."""
    await pool.add_task("nothing")  # so that it is known to take batches
    tasks = await test_batches.behind_gate(pool, gate, orders)
    assert len({task.batch for task in tasks}) == 1
    assert tasks[0].batch is not None
    return tasks


async def stuck(pool: Pool, gate: Gate, other_gate: Gate, *orders: str) -> list[Any]:
    """Send orders as one batch, with one at a gate behind them and more behind that; it stands there."""
    rest = [f"echo {number}" for number in range(10)]
    tasks = await behind_gate(pool, gate, [*orders, f"gate {at(other_gate)}", *rest])
    await other_gate.arrived()
    return tasks


async def test_a_member_that_has_ended_cannot_be_withdrawn(gate: Gate, other_gate: Gate) -> None:
    """Its result lies on the shelf, and no lane names it any more: it has begun all the same."""
    async with Pool(do, max_workers=1) as pool:
        tasks = await stuck(pool, gate, other_gate, "echo a", "echo b")
        assert not any(await asyncio.gather(*(task.withdraw() for task in tasks[:3])))
        assert all(await asyncio.gather(*(task.withdraw() for task in tasks[3:])))
        other_gate.open()
        assert await asyncio.gather(*tasks[:2]) == ["a", "b"]


async def test_a_member_whose_own_report_is_unread_stays_with_its_batch(
    gate: Gate, other_gate: Gate
) -> None:
    """What the shelf has nothing of, because it was reported by itself, was not skipped."""
    async with Pool(do, max_workers=1) as pool:
        engine: Any = pool._open_engine()
        tasks = await stuck(pool, gate, other_gate)
        [worker] = engine.fleet.present()
        attempt = engine.ledger.attempt_of(tasks[0])
        number, _ = batch_attempt(attempt)
        engine.outcomes.members(worker, tasks[0].batch, number, 0, [()], [0.0])
        assert engine.ledger.attempt_of(tasks[0]) == attempt
        assert await tasks[0].withdraw() is False
        other_gate.open()
        assert await tasks[0] == worker.process.pid


async def test_a_killed_worker_is_killed_for_the_member(gate: Gate, other_gate: Gate) -> None:
    """The reason that is told names the task that did not end, and none of its neighbours is lost."""
    with patch("workpool._interrupts.CANCEL_GRACE", 0.01):
        async with Pool(do, max_workers=1) as pool:
            engine: Any = pool._open_engine()
            orders = ["echo a", f"hold {at(other_gate)}", "echo b"]
            tasks = await behind_gate(pool, gate, orders)
            await other_gate.arrived()
            [worker] = engine.fleet.present()
            tasks[1].cancel()
            assert [await tasks[0], await tasks[2]] == ["a", "b"]
            assert f"task {tasks[1].id} had been interrupted" in worker.killed_for


async def test_what_was_asked_about_members_is_forgotten(gate: Gate, other_gate: Gate) -> None:
    """No trace of cancelled and withdrawn members is left when their batch is over."""
    async with Pool(do, max_workers=1) as pool:
        engine: Any = pool._open_engine()
        tasks = await stuck(pool, gate, other_gate, "echo a")
        tasks[3].cancel()
        assert await tasks[1].withdraw() is False
        batch = tasks[5].batch
        number, _ = batch_attempt(engine.ledger.attempt_of(tasks[5]))
        tasks[-1].cancel()
        engine._batches._revoke(engine.fleet.present()[0], number)
        while tasks[5].batch is batch:
            await asyncio.sleep(0)
        other_gate.open()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pool.when_idle()
        while pool.statistics().dispatched:
            await asyncio.sleep(0)
        assert not engine.interrupts._interrupted
        assert not engine.withdrawals._left_alone
        assert batch.members == []  # a task that is kept keeps no other


async def test_figures_while_a_member_is_stuck(gate: Gate, other_gate: Gate) -> None:
    """What was taken from a batch, or has ended, counts as dispatched no more; and nobody looks on."""
    with patch("workpool._batch_watch.OVERDUE_SECONDS", 0):
        async with Pool(do, max_workers=2, min_workers=2) as pool:
            engine: Any = pool._open_engine()
            orders = [*["echo a"] * 60, f"hold {at(other_gate)}", *["echo b"] * 60]
            tasks = [pool.add_task(order) for order in orders]
            others = [task for task in tasks if "hold" not in task.argument]
            await asyncio.gather(*others)
            while (figures := pool.statistics()).dispatched > 1 or engine._batches._ticking:
                await asyncio.sleep(0.001)
            assert (figures.waiting, figures.dispatched, figures.running) == (0, 1, 1)
            other_gate.open()
            await asyncio.gather(*tasks)


async def test_a_batch_that_cannot_be_read_is_sent_singly(gate: Gate) -> None:
    """What is wrong with one argument is not the others' fault: each is tried by itself."""
    async with Pool(do, max_workers=1) as pool:
        await pool.add_task("nothing")
        pool.add_task(f"gate {at(gate)}")
        await gate.arrived()
        unreadable = bytes([BATCH, 20, 0, *bytes(20)]) + b"no pickle"
        with patch("workpool._batch.Batch.record", lambda self: unreadable):
            tasks = [pool.add_task("echo a") for _ in range(20)]
            await asyncio.sleep(0)
            assert tasks[0].batch is not None
            gate.open()
            assert await asyncio.gather(*tasks) == ["a"] * 20
        assert {task.attempts for task in tasks} == {1}


async def test_a_batch_that_cannot_be_reported_ends(gate: Gate, other_gate: Gate) -> None:
    """The members that had not ended fail with what its worker says, and late reports go nowhere."""
    async with Pool(do, max_workers=1) as pool:
        engine: Any = pool._open_engine()
        tasks = await stuck(pool, gate, other_gate)
        number, _ = batch_attempt(engine.ledger.attempt_of(tasks[0]))
        body = pack_error(OSError("no room"), side="worker")
        engine.outcomes.error(engine.fleet.present()[0], (ERROR, number, 0.0, body))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, OSError) for outcome in outcomes)
        other_gate.open()
        assert await pool.add_task("echo a") == "a"
        assert {task.attempts for task in tasks} == {1}
        figures = pool.statistics()
        assert (figures.failed, figures.dispatched) == (len(tasks), 0)


async def one_in_seven_is_cancelled(pool: Pool, tasks: list[Any], *, first: int) -> None:
    """Check that these have ended so, and the others with results; two had ended before."""
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes]
    assert cancelled == [number % 7 == first for number in range(len(tasks))]
    await pool.when_idle()
    figures = pool.statistics()
    completed = 2 + len(tasks) - sum(cancelled)
    assert (figures.completed, figures.cancelled) == (completed, sum(cancelled))
    assert figures.failed == 0


async def test_members_that_are_cancelled_while_their_batch_is_ended(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a finalizer may do at any step: the others have their results, and the counts are right."""
    async with Pool(do, max_workers=1) as pool:
        tasks = await behind_gate(pool, gate, ["nothing"] * 60)
        task_loop = pool._open_engine().task_loop
        schedule = task_loop._schedule

        def cancel_next(callback: Any, ended: Any, *, context: Any) -> None:
            if ended in tasks[::7]:
                tasks[tasks.index(ended) + 1].cancel()
            schedule(callback, ended, context=context)

        monkeypatch.setattr(task_loop, "_schedule", cancel_next)  # which a future calls that ends
        await one_in_seven_is_cancelled(pool, tasks, first=1)


async def test_members_that_are_cancelled_while_listeners_are_told_of_them(gate: Gate) -> None:
    """As a finalizer may do then, too."""
    async with Pool(do, max_workers=1) as pool:
        tasks = await behind_gate(pool, gate, ["nothing"] * 60)
        outcomes: Any = pool._open_engine().outcomes

        def cancel_some(task: Any, result: Any, error: Any) -> None:
            if task in tasks[::7]:
                task.cancel()

        outcomes.on_complete = cancel_some
        await one_in_seven_is_cancelled(pool, tasks, first=0)


async def test_results_that_cancel_their_own_tasks_when_they_are_unpickled(gate: Gate) -> None:
    """Members of a batch and single tasks: they are cancelled, and nothing that was reported is lost."""
    async with Pool(do, max_workers=1) as pool:
        orders = [f"telling {number}" for number in range(20)]
        tasks = await behind_gate(pool, gate, orders)
        tasks += [pool.add_task(f"telling {number}", timeout=60) for number in range(20, 40)]
        told.append(lambda text: int(text) % 4 or tasks[int(text)].cancel())
        try:
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            told.clear()
        for number, outcome in enumerate(outcomes):
            assert outcome == str(number) or (tasks[number].cancelled() and number % 4 == 0)
        await pool.when_idle()
        figures = pool.statistics()
        assert (figures.completed, figures.cancelled, figures.dispatched) == (2 + 30, 10, 0)


def test_tasks_of_two_classes_in_one_backlog() -> None:
    """What a pool for threads is given by its `process` and by its users waits, and travels, together."""
    with sync.WorkerPool[Any, Any](children.double, max_workers=1) as pool:
        inner: Any = pool._pool
        [task.result() for task in [pool.add_task(number) for number in range(50)]]
        ours: list[Any] = [
            sync.Task(pool, inner._settings, pool._new_id(), number) for number in range(100)
        ]

        async def add_both() -> list[Any]:
            theirs: list[Any] = []
            for task in ours:
                inner._adopt(task)
                theirs.append(inner.add_task(task.argument))
            return [*await asyncio.gather(*theirs)]

        service: Any = pool._service
        doubled = [2 * number for number in range(100)]
        assert service.thread.ask_async(add_both, 20) == doubled
        assert [task.result(20) for task in ours] == doubled
