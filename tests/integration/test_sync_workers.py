"""The blocking pool's workers: asked, answering and restarted, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import children, requests_children
from tests.children import Gate
from workpool import Entrypoint, PoolClosed, RequestFailed, WorkerStartError, WorkerTraceback
from workpool.sync import WorkerHandle, WorkerPool

Pool = WorkerPool[Any, Any]


def listening(hook: Any = requests_children.listen) -> Entrypoint:
    return Entrypoint("tests.children", "call", on_worker_start=hook)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(listening(), max_workers=2, min_workers=1) as pool:
        yield pool


def test_every_handle_blocks(pool: Pool) -> None:
    """Those in `workers`, of a task and of an event are of the blocking kind."""
    launched: list[WorkerHandle] = []
    pool.on("worker-launched", launched.append)
    pool.resize_up_to(2)
    task = pool.add_task((children.double, 1))
    assert task.result() == 2
    handles = [*pool.workers, *launched, task.worker]
    assert len(handles) == 4
    assert {type(handle) for handle in handles} == {WorkerHandle}


def test_a_worker_answers(pool: Pool) -> None:
    """Whichever thread asks: each has its own answer."""
    [worker] = pool.workers
    assert worker.request("double", 21) == 42
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda number: worker.request("double", number), range(40))
        assert list(answers) == [2 * number for number in range(40)]


def test_what_the_handler_raises_is_raised(pool: Pool) -> None:
    """As itself, with the worker's traceback; a request that nobody knows fails too."""
    [worker] = pool.workers
    with pytest.raises(LookupError, match="nothing") as caught:
        worker.request("fail", "nothing")
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    with pytest.raises(RequestFailed, match="no handler for the request 'unknown'"):
        worker.request("unknown")


def test_a_wait_for_an_answer_is_limited(gate: Gate) -> None:
    """By `timeout`, and by the worker's and the pool's end."""
    with Pool(listening(), max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        gate.arrived_blocking()
        [worker] = pool.workers
        with pytest.raises(TimeoutError, match=r"'double' within 0\.01 seconds"):
            worker.request("double", 1, timeout=0.01)
        with pytest.raises(ValueError, match="timeout"):
            worker.request("double", 1, timeout=0)
        threading.Thread(target=pool.kill).start()
        with pytest.raises((RequestFailed, PoolClosed)):
            worker.request("double", 1)
        assert isinstance(task.exception(), PoolClosed)
    with pytest.raises(PoolClosed):
        worker.request("double", 1)
    with pytest.raises(PoolClosed):
        worker.restart()


def test_a_restart_changes_one_worker(pool: Pool) -> None:
    """The new one has the settings; the other goes on with its own."""
    pool.resize_up_to(2)
    first, second = pool.workers
    new = first.restart(env={"WORD": "new"}, start_arguments=[1])
    assert (new.id, new.pid != first.pid, first.state) == (first.id, True, "exited")
    assert new.request("environment", "WORD") == "new"
    assert new.request("arguments") == [1]
    assert second.request("environment", "WORD") is None
    assert {worker.pid for worker in pool.workers} == {new.pid, second.pid}


def test_restarts_at_the_same_time_are_one(gate: Gate) -> None:
    """All threads that asked get the same worker, which has what each of them gave."""
    launched: list[WorkerHandle] = []
    with Pool(listening(), max_workers=1) as pool, ThreadPoolExecutor(3) as threads:
        pool.on("worker-launched", launched.append)
        task = pool.add_task((gate.pass_through,))
        gate.arrived_blocking()
        [worker] = pool.workers
        asked = [threads.submit(worker.restart, env={f"WORD{n}": "x"}) for n in range(3)]
        while worker._fleet.asked_restarts.settings[0].version < 3:
            pool.statistics()  # a turn of the pool's thread
        gate.open()
        assert isinstance(task.result(), int)
        [new] = {future.result() for future in asked}
        assert [new.request("environment", f"WORD{n}") for n in range(3)] == ["x"] * 3
    assert len(launched) == 2


def test_a_restart_that_fails_says_why() -> None:
    """The error is the start's; the pool is as usable as its settings let it be."""
    with Pool(listening(requests_children.listen_or_die), max_workers=1) as pool:
        pool.resize_up_to(1)
        with pytest.raises(WorkerStartError, match="start arguments"):
            pool.workers[0].restart(start_arguments="raise")


def test_waiting_in_the_pools_own_thread_is_an_error(pool: Pool) -> None:
    """It would wait for itself, so it says so at once."""
    errors: list[str] = []

    def ask(_error: Any, _result: Any, task: Any) -> None:
        for wait in (task.worker.restart, lambda: task.worker.request("double", 1)):
            try:
                wait()
            except RuntimeError as error:
                errors.append(str(error))

    pool.on("task-complete", ask)
    pool.add_task((children.double, 1)).result()
    assert ["restart() would wait for itself" in errors[0], "request()" in errors[1]] == [True] * 2
