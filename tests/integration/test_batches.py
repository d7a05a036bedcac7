"""Tiny tasks travel together, and stay tasks of their own in everything that can be seen."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests import batch_children
from tests.batch_children import do
from tests.children import Gate
from tests.fault_points import KILL, STOP, FaultPoints, all_points
from workpool import SerializationError, Task, WorkerCrashed, WorkerPool
from workpool._outcomes import Outcomes

Pool = WorkerPool[Any, Any]

POINTS = [point for point in all_points() if point.startswith("batches: ")]


@pytest.fixture
def batches() -> Iterator[list[int]]:
    """Have every task taken for a tiny one; return the sizes of the batches that have ended."""
    sizes: list[int] = []
    part = Outcomes.part

    def note(self: Outcomes, worker: Any, report: Any) -> None:
        batch: Any = self._ledger.dispatched.get(report[1])
        part(self, worker, report)
        if batch is not None and not batch.members:
            sizes.append(batch.end)

    with patch("workpool._scheduler.BATCH_SECONDS", 1e9), patch.object(Outcomes, "part", note):
        yield sizes


def at(gate: Gate) -> str:
    """Return a gate's place as an order has it."""
    make, arguments = gate.__reduce__()
    assert make is Gate
    return " ".join(arguments)


async def behind_gate(pool: Pool, gate: Gate, orders: list[str]) -> list[Task[Any]]:
    """Return tasks that were sent together while the one worker stood at a gate, which is open now."""
    pool.add_task(f"gate {at(gate)}")
    await gate.arrived()
    tasks = [pool.add_task(order) for order in orders]
    await asyncio.sleep(0)
    gate.open()
    return tasks


async def test_every_member_has_its_own_outcome(gate: Gate, batches: list[int]) -> None:
    """Results of any kind and size, errors and coroutines come out as if each had come alone."""
    kinds = ["echo a", "nothing", "list b", "long c", "large d", "raise e", "exit f", "coroutine g"]
    async with Pool(do, max_workers=1) as pool:
        tasks = await behind_gate(pool, gate, kinds * 8)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for start in range(0, len(outcomes), len(kinds)):
            *values, error, end, late = outcomes[start : start + len(kinds)]
            assert values == ["a", None, ["b"], "c" * 200, b"d" * 100_000]
            assert isinstance(error, ValueError)
            assert error.args == ("e",)
            assert "batch_children" in str(error.__cause__)
            assert isinstance(end, SystemExit)
            assert late == "g"
        assert batches
        assert all(task.attempts == 1 and task.cost is not None for task in tasks)
        assert {task.worker for task in tasks} == set(pool.workers)
        statistics = pool.statistics()
        assert (statistics.completed, statistics.failed) == (1 + 8 * 6, 8 * 2)
        assert statistics.workers[0].tasks_completed == 1 + 64


async def test_a_result_that_cannot_be_pickled_fails_one_member(
    gate: Gate, batches: list[int]
) -> None:
    """Its neighbours have their results."""
    async with Pool(do, max_workers=1) as pool:
        orders = ["unpicklable" if n == 20 else f"echo {n}" for n in range(40)]
        outcomes = await asyncio.gather(
            *await behind_gate(pool, gate, orders), return_exceptions=True
        )
        assert isinstance(outcomes.pop(20), SerializationError)
        assert outcomes == [str(n) for n in range(40) if n != 20]
        assert batches


async def test_listeners_hear_of_each_member(gate: Gate, batches: list[int]) -> None:
    """Every task is announced and its completion told, once."""
    told: list[tuple[Any, Any]] = []
    added: list[Any] = []
    async with Pool(do, max_workers=1) as pool:
        pool.on("task-added", added.append)
        pool.on("task-complete", lambda _error, result, task: told.append((task, result)))
        tasks = await behind_gate(pool, gate, [f"echo {n}" for n in range(100)])
        results = await asyncio.gather(*tasks)
        await pool.when_idle()
        await asyncio.sleep(0)
        assert told[1:] == list(zip(tasks, results, strict=True))
        assert added[1:] == tasks
        assert batches


@pytest.mark.parametrize("stuck", ["gate", "hold"])
async def test_a_stuck_member_holds_nobody_back(
    gate: Gate, other_gate: Gate, batches: list[int], stuck: str
) -> None:
    """What lies behind it in its batch runs elsewhere, also when it holds the GIL in C."""
    async with Pool(do, max_workers=2, min_workers=2) as pool:
        await asyncio.gather(*(pool.add_task(f"gate {at(gate)}") for _ in pass_two(gate)))
        blocked = [pool.add_task(f"gate {at(gate)}") for _ in range(2)]
        await gate.arrived(2)
        orders = [f"{stuck} {at(other_gate)}" if n == 50 else f"echo {n}" for n in range(200)]
        tasks = [pool.add_task(order) for order in orders]
        await asyncio.sleep(0)
        gate.open(2)
        one = tasks.pop(50)
        assert await asyncio.gather(*tasks) == [str(n) for n in range(200) if n != 50]
        assert not one.done()
        other_gate.open()
        await asyncio.gather(one, *blocked)
        assert batches


def pass_two(gate: Gate) -> Iterator[int]:
    """Let two tasks through a gate, so that both workers have started."""
    gate.open(2)
    yield from range(2)


async def test_results_do_not_wait_for_a_stuck_member(
    gate: Gate, other_gate: Gate, batches: list[int]
) -> None:
    """With no other worker about, those before it have ended, and those behind run after it."""
    async with Pool(do, max_workers=1) as pool:
        orders = [f"hold {at(other_gate)}" if n == 20 else f"echo {n}" for n in range(60)]
        tasks = await behind_gate(pool, gate, orders)
        assert await asyncio.gather(*tasks[:20]) == [str(n) for n in range(20)]
        other_gate.open()
        assert (await asyncio.gather(*tasks))[21:] == [str(n) for n in range(21, 60)]
        assert batches


async def test_cancelling_members(gate: Gate, other_gate: Gate, batches: list[int]) -> None:
    """One that has not begun never runs; one that runs is interrupted; the others are not touched."""
    async with Pool(do, max_workers=1) as pool:
        orders = [f"gate {at(other_gate)}" if n in (20, 25) else f"echo {n}" for n in range(60)]
        tasks = await behind_gate(pool, gate, orders)
        await other_gate.arrived()
        tasks[25].cancel()
        tasks[30].cancel()
        tasks[20].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if number in (20, 25, 30):
                assert isinstance(outcome, asyncio.CancelledError)
            else:
                assert outcome == str(number)
        assert other_gate.look() == []
        assert pool.statistics().cancelled == 3
        assert batches


async def test_withdrawing_members(gate: Gate, other_gate: Gate, batches: list[int]) -> None:
    """One behind the one that runs is taken back; the one that runs is left alone."""
    with patch("workpool._batch_watch.OVERDUE_SECONDS", 1e9):
        async with Pool(do, max_workers=1) as pool:
            orders = [f"gate {at(other_gate)}" if n in (20, 25) else f"echo {n}" for n in range(60)]
            tasks = await behind_gate(pool, gate, orders)
            await other_gate.arrived()
            assert await tasks[25].withdraw() is True
            assert await tasks[20].withdraw() is False
            other_gate.open()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes[25], asyncio.CancelledError)
            assert outcomes[20] == pool.workers[0].pid
            assert batches


async def test_a_member_runs_again_by_itself(
    gate: Gate, tmp_path: Path, batches: list[int]
) -> None:
    """A failure is retried for that member alone."""
    async with Pool(do, max_workers=1, retries=1) as pool:
        orders = [f"once {tmp_path / 'mark'}" if n == 20 else f"echo {n}" for n in range(40)]
        tasks = await behind_gate(pool, gate, orders)
        results = await asyncio.gather(*tasks)
        assert results.pop(20) == "the second time"
        assert results == [str(n) for n in range(40) if n != 20]
        assert tasks[20].attempts == 2
        assert batches


async def test_a_crash_costs_the_member_that_ran(gate: Gate, batches: list[int]) -> None:
    """Those before it keep their results, those behind it run in the next worker."""
    async with Pool(do, max_workers=1) as pool:
        orders = ["die" if n == 20 else f"echo {n}" for n in range(60)]
        tasks = await behind_gate(pool, gate, orders)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        crash = outcomes.pop(20)
        assert isinstance(crash, WorkerCrashed)
        assert (crash.exit_code, crash.task_id, crash.attempts) == (3, tasks[20].id, 1)
        assert outcomes == [str(n) for n in range(60) if n != 20]
        assert batches


async def test_a_child_forked_by_a_member_ends_with_it(gate: Gate, batches: list[int]) -> None:
    """It does not go on with the batch."""
    async with Pool(do, max_workers=1) as pool:
        tasks = await behind_gate(pool, gate, ["fork x" for _ in range(40)] + ["pid"])
        results = await asyncio.gather(*tasks)
        assert results == ["x"] * 40 + [pool.workers[0].pid]
        assert batches


async def test_closing_and_killing(gate: Gate, batches: list[int]) -> None:
    """A close waits for every member; an exception in the block cancels those that have not ended."""
    async with Pool(do, max_workers=1) as pool:
        tasks = await behind_gate(pool, gate, [f"echo {n}" for n in range(100)])
    assert [task.result() for task in tasks] == [str(n) for n in range(100)]
    with pytest.raises(ZeroDivisionError):
        async with Pool(do, max_workers=1) as pool:
            pool.add_task(f"gate {at(gate)}")
            await gate.arrived()
            tasks = [pool.add_task(f"echo {n}") for n in range(100)]
            await asyncio.sleep(0)
            raise ZeroDivisionError
    assert all(task.cancelled() for task in tasks)


@pytest.mark.deadline(60)
@pytest.mark.parametrize("fault", ["kill", "stop"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_fault_at_every_point(
    tmp_path: Path, batches: list[int], point: str, fault: str
) -> None:
    """Each member ends once, none runs twice, and a kill costs the one that was announced at most."""
    record = tmp_path / "record"
    record.touch()
    with FaultPoints(tmp_path) as faults:
        environment = {**faults.environment, "BATCH_RECORD": str(record)}
        async with Pool(
            batch_children.record, max_workers=2, min_workers=2, env=environment
        ) as pool:
            await asyncio.gather(*(pool.add_task(-1) for _ in range(100)))
            time = 30 if point != "batches: part reported" else 1
            faults.arm(point, KILL if fault == "kill" else STOP, time=time)
            tasks = [pool.add_task(number) for number in range(3000)]
            pid = await faults.fired()
            if fault == "stop":
                os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
                while sum(not task.done() for task in tasks) > 1:
                    await asyncio.sleep(0.001)
                os.kill(pid, signal.SIGCONT)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    lost = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, WorkerCrashed)]
    assert len(lost) <= (fault == "kill")
    assert all(outcome == n for n, outcome in enumerate(outcomes) if n not in lost)
    starts = Counter(line for line in record.read_text().splitlines() if line.startswith("start"))
    assert all(starts[f"start {n}"] == 1 for n in range(3000) if n not in lost)
    assert all(starts[f"start {n}"] <= 1 for n in lost)
    assert batches
