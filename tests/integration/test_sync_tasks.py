"""The blocking pool's tasks: results, errors, threads, cancelling, waiting."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed, wait
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import PoolClosed, SerializationError, TaskTimeout, WorkerCrashed
from workpool.sync import Task, WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(call, max_workers=2) as pool:
        yield pool


def test_results_come_back_to_their_tasks(pool: Pool) -> None:
    """A burst of tasks, waited for in another order; nothing is lost or mixed up."""
    tasks = [pool.add_task((children.double, number)) for number in range(3000)]
    numbers = list(range(3000))
    random.Random(1).shuffle(numbers)
    assert all(tasks[number].result() == 2 * number for number in numbers)


def test_a_task_tells_what_it_did(pool: Pool) -> None:
    """Argument, key, meta, worker, cost, attempts, state; ids are unique and there at once."""
    task = pool.add_task((children.double, 4), key="k", meta=[1])
    other = pool.add_task((children.double, 5))
    assert task.id != other.id
    assert task.result() == 8
    assert (task.argument[1], task.key, task.meta, task.attempts) == (4, "k", [1], 1)
    assert task.state == "completed"
    assert task.done()
    assert not task.running()
    assert task.worker in pool.workers
    assert task.cost is not None
    assert 0 <= task.cost < 30


def test_an_error_arrives_as_itself(pool: Pool) -> None:
    """With the worker's traceback as its cause; `exception` returns it."""
    task = pool.add_task((children.raise_value_error, "no"))
    with pytest.raises(ValueError, match="no") as caught:
        task.result()
    assert "raise_value_error" in str(caught.value.__cause__)
    assert task.exception() is caught.value
    assert task.state == "failed"


def test_each_kind_of_failure_ends_its_own_task(pool: Pool, gate: Gate) -> None:
    """A crash, a time limit and what cannot be pickled fail one task each; others go on."""
    crashed = pool.add_task((os._exit, 3))
    late = pool.add_task((gate.pass_through,), timeout=0.1)
    unpicklable = pool.add_task((children.identity, threading.Lock()))
    assert isinstance(crashed.exception(), WorkerCrashed)
    assert isinstance(late.exception(), TaskTimeout)
    assert isinstance(unpicklable.exception(), SerializationError)
    assert pool.add_task((children.double, 1)).result() == 2


def test_many_threads_use_one_pool(pool: Pool) -> None:
    """Each thread gets the results of its own tasks, whoever else adds some."""

    def work(thread: int) -> bool:
        tasks = [pool.add_task((children.identity, (thread, n))) for n in range(300)]
        return [task.result() for task in tasks] == [(thread, n) for n in range(300)]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
    assert pool.statistics().completed == 2400


def test_a_running_event_loop_is_no_hindrance(pool: Pool) -> None:
    """The pool blocks a coroutine that calls it, as it should, and its tasks can be awaited there."""

    async def main() -> int:
        direct: int = pool.add_task((children.double, 1)).result()
        awaited: int = await asyncio.wrap_future(pool.add_task((children.double, 2)))
        return direct + awaited

    assert asyncio.run(main()) == 6


def test_wait_and_as_completed(pool: Pool, gate: Gate) -> None:
    """The functions of `concurrent.futures` take these tasks, ended, running and waiting ones."""
    ended = pool.add_task((children.double, 1))
    ended.result()
    stuck = pool.add_task((gate.pass_through,))
    more = [pool.add_task((children.double, number)) for number in range(50)]
    done, not_done = wait([ended, stuck, *more], timeout=20, return_when="FIRST_COMPLETED")
    assert ended in done
    assert stuck in not_done
    assert set(as_completed([ended, *more], timeout=20)) == {ended, *more}
    gate.open()
    assert wait([stuck, ended], timeout=20).not_done == set()


def test_waiting_has_a_limit(pool: Pool, gate: Gate) -> None:
    """`result(timeout)` and `exception(timeout)` raise `TimeoutError`; the task goes on."""
    task = pool.add_task((gate.pass_through,))
    with pytest.raises(TimeoutError):
        task.result(0.01)
    with pytest.raises(TimeoutError):
        task.exception(0.01)
    gate.open()
    assert task.result() > 0


# Cancelling


def test_a_waiting_task_that_is_cancelled_never_runs(gate: Gate, tmp_path: Any) -> None:
    """Wherever it waits; those before and behind it do run."""
    note = tmp_path / "note"
    with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        gate.arrived_blocking()
        waiting = [pool.add_task((children.append_byte, str(note))) for _ in range(10)]
        assert [task.cancel() for task in waiting[1::2]] == [True] * 5
        assert {task.state for task in waiting[1::2]} == {"cancelled"}
        gate.open()
        running.result()
        wait(waiting, timeout=20)
        pool.when_idle(20)
        assert pool.statistics().cancelled == 5
    assert note.stat().st_size == 5
    with pytest.raises(CancelledError):
        waiting[1].result()


def test_a_running_task_is_interrupted(pool: Pool, gate: Gate, tmp_path: Any) -> None:
    """`cancel` ends it in the worker, which goes on; waiting threads are told at once."""
    note = tmp_path / "note"
    task = pool.add_task((children.pass_or_note, gate, str(note)))
    gate.arrived_blocking()
    assert task.running()
    assert task.state == "running"
    assert task.cancel()
    assert task.cancel()
    assert wait([task], timeout=20).done == {task}
    pool.when_idle(20)
    assert pool.add_task((children.double, 3)).result() == 6
    assert pool.statistics().cancelled == 1


def test_an_ended_task_is_not_cancelled(pool: Pool) -> None:
    """`cancel` returns False and changes nothing."""
    task = pool.add_task((children.double, 3))
    assert task.result() == 6
    assert not task.cancel()
    assert task.result() == 6


def test_cancelling_races_with_ending(pool: Pool) -> None:
    """Whoever comes first: a task ends once, and the pool's account of them agrees."""
    tasks = [pool.add_task((children.identity, number)) for number in range(2000)]
    cancelled = sum(task.cancel() for task in tasks[::2])
    assert all(task.result() == n for n, task in enumerate(tasks) if not task.cancelled())
    pool.when_idle(20)
    assert sum(task.cancelled() for task in tasks) == cancelled
    figures = pool.statistics()
    assert figures.completed + figures.cancelled == 2000
    assert figures.failed == 0
    assert pool.is_idle


# Done callbacks


def test_callbacks_run_in_the_pools_thread(pool: Pool) -> None:
    """They may add tasks; what they raise is logged, no more."""
    seen: list[Any] = []
    both = threading.Event()

    def note(task: Task[Any]) -> None:
        seen.append((threading.current_thread().name, task.cancelled()))
        pool.add_task((children.double, 2)).add_done_callback(last)

    def last(task: Task[Any]) -> None:
        seen.append(task.result())
        both.set()

    stuck = pool.add_task((threading.Event,))
    stuck.add_done_callback(lambda _: 1 / 0)
    pool.add_task((children.double, 1)).add_done_callback(note)
    assert both.wait(20)
    assert seen == [("workpool-workpool", False), 4]


def test_a_callback_that_exits_ends_nothing(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    """`SystemExit` of a callback is reported; the pool goes on."""
    task = pool.add_task((children.double, 1))
    task.add_done_callback(exit_now)
    task.result()
    assert pool.add_task((children.double, 2)).result() == 4
    pool.when_idle(20)
    assert "SystemExit" in caplog.text


def exit_now(_: Task[Any]) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize("what", ["result", "when_idle", "close", "map"])
def test_waiting_in_the_pools_own_thread_is_an_error(pool: Pool, what: str) -> None:
    """It would never end, so it says so at once."""
    waits: dict[str, Callable[[], object]] = {
        "result": lambda: pool.add_task((children.double, 2)).result(),
        "when_idle": pool.when_idle,
        "close": pool.close,
        "map": lambda: next(pool.map([(children.double, 2)])),
    }
    caught: list[BaseException] = []
    told = threading.Event()

    def callback(_: Task[Any]) -> None:
        try:
            waits[what]()
        except RuntimeError as error:
            caught.append(error)
        told.set()

    pool.add_task((children.double, 1)).add_done_callback(callback)
    assert told.wait(20)
    assert "would wait for itself" in str(caught[0])


# Settings


def test_wrong_settings_are_refused_at_once(pool: Pool) -> None:
    """In the thread that gave them, with the asyncio pool's errors."""
    with pytest.raises(ValueError, match="timeout"):
        pool.add_task((), timeout=-1)
    with pytest.raises(ValueError, match="no worker 7"):
        pool.add_task((), worker=7)
    with pytest.raises(TypeError):
        pool.add_task((), key=[])  # type: ignore[arg-type]
    with Pool(call) as other:
        other.add_task((children.double, 1)).result()
        with pytest.raises(ValueError, match="another pool"):
            pool.add_task((), worker=other.workers[0], affinity="force")


def test_tasks_go_where_they_are_sent(pool: Pool) -> None:
    """A forced worker, and this process itself."""
    pool.resize_up_to(2)
    handle = pool.workers[1]
    tasks = [pool.add_task((os.getpid,), worker=handle, affinity="force") for _ in range(20)]
    assert {task.result() for task in tasks} == {handle.pid}
    here = pool.add_task((threading.get_ident,), main_thread=True)
    assert here.result() not in {threading.get_ident(), 0}


def test_a_pool_that_is_closed_refuses_tasks() -> None:
    """`PoolClosed`, a `RuntimeError`; looking at the pool does no harm."""
    pool = Pool(call, max_workers=1)
    with pool:
        pool.add_task((children.double, 1)).result()
    with pytest.raises(PoolClosed):
        pool.add_task((children.double, 1))
    with pytest.raises(RuntimeError):
        next(pool.map([1]))
    pool.when_idle()
    pool.close()
    assert pool.is_idle
    assert pool.workers == ()
    assert pool.statistics().completed == 1


def test_a_task_is_withdrawn_unless_it_has_begun(gate: Gate) -> None:
    """True for one that waits, which never runs; one that runs, or has ended, is left alone."""
    with Pool(call, max_workers=1) as pool:
        running = pool.add_task((gate.pass_through,))
        gate.arrived_blocking()
        waiting = [pool.add_task((gate.pass_through,)) for _ in range(5)]
        assert [task.withdraw() for task in waiting] == [True] * 5
        assert [task.state for task in waiting] == ["cancelled"] * 5
        assert not running.withdraw()
        gate.open()
        assert running.result(20)
        assert not running.withdraw()
        refused: list[BaseException] = []

        def withdraw(task: Task[Any]) -> None:
            with pytest.raises(RuntimeError, match="own thread") as caught:
                task.withdraw()
            refused.append(caught.value)

        last = pool.add_task((children.double, 1))
        last.add_done_callback(withdraw)
        assert last.result(20) == 2
        pool.when_idle(20)
        assert pool.statistics().cancelled == 5
    assert gate.look() == []
    assert len(refused) == 1
    assert not last.withdraw()
