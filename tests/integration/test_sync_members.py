"""The blocking pool's other members: messages, events, workers, figures, waiting until idle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import Entrypoint
from workpool.sync import Task, WorkerHandle, WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.fixture
def pool() -> Iterator[Pool]:
    form = Entrypoint("tests.children", "call_with_client", on_worker_start=children.keep_messages)
    with Pool(form, max_workers=2) as pool:
        yield pool


def test_messages_of_a_task_are_handled_before_its_result_is_there(pool: Pool) -> None:
    """In order, with the worker's handle; sync and async handlers, until they are taken back."""
    came: list[Any] = []

    def keep(content: Any, origin: WorkerHandle) -> None:
        came.append((content, origin.id))

    async def keep_async(content: Any, _origin: WorkerHandle) -> None:
        came.append(content)

    pool.on_message("count", keep)
    for round_ in range(20):
        assert pool.add_task((children.post, "count", *range(20)), worker=0).result() == 0
        assert came == [(number, 0) for number in range(20)], round_
        came.clear()
    pool.remove_message_listener("count", keep)
    with pytest.raises(ValueError, match="count"):
        pool.remove_message_listener("count", keep)
    pool.on_message("other", keep_async)
    pool.add_task((children.post, "other", 1)).result()
    pool.when_idle()
    assert came == [1]


def test_messages_to_workers(pool: Pool) -> None:
    """To all, and to one through its handle, from any thread; in order."""
    pool.resize_up_to(2)
    first, second = pool.workers
    pool.post_message_to_workers("note", "all")
    for number in range(50):
        first.post_message("note", number)
    assert kept(pool, first) == ["all", *range(50)]
    assert kept(pool, second) == ["all"]


def kept(pool: Pool, worker: WorkerHandle) -> Any:
    return pool.add_task((children.kept_messages,), worker=worker, affinity="force").result()


def test_listeners_are_told_before_the_results_are_there(pool: Pool) -> None:
    """Each event of a task once, with the task itself; a wrong event is refused."""
    told: list[Any] = []
    pool.on("task-added", lambda task: told.append(("added", task)))
    pool.on("task-complete", lambda error, result, task: told.append((error, result, task)))
    task = pool.add_task((children.worker_id,))
    result = task.result()
    assert told == [("added", task), (None, result, task)]
    with pytest.raises(ValueError, match="no event"):
        pool.on("nothing", print)  # type: ignore[arg-type]


def test_worker_events(pool: Pool) -> None:
    """Launch and exit of each worker, which handles can bring about from this thread."""
    launched: list[WorkerHandle] = []
    exited: list[WorkerHandle] = []
    gone = threading.Event()

    def note_exit(worker: WorkerHandle, reason: str) -> None:
        exited.append(worker)
        gone.set()

    pool.on("worker-launched", launched.append)
    pool.on("worker-exited", note_exit)
    pool.resize_up_to(1)
    worker = pool.workers[0]
    pool.add_task((children.worker_id,)).result()
    worker.retire()
    assert gone.wait(20)
    assert launched[0] is exited[0] is worker
    assert worker.state == "exited"


def test_a_worker_can_be_killed_from_any_thread(gate: Gate) -> None:
    """Its task fails, the pool goes on."""
    with Pool(call, max_workers=1) as pool:
        task = pool.add_task((gate.pass_through,))
        gate.arrived_blocking()
        pool.workers[0].kill()
        assert "WorkerCrashed" in repr(task.exception())
        assert pool.add_task((children.double, 1)).result() == 2
        assert pool.statistics().restarts == 1


def test_figures(pool: Pool, gate: Gate) -> None:
    """Counts of this moment, those of just added tasks included."""
    assert pool.statistics().completed == 0
    running = pool.add_task((children.pass_gate, gate))
    gate.arrived_blocking()
    assert not pool.is_idle
    assert pool.statistics().running == 1
    gate.open()
    running.result()
    pool.when_idle()
    assert pool.is_idle
    assert pool.statistics().completed == 1


def test_waiting_until_idle(pool: Pool, gate: Gate) -> None:
    """Every task added before is waited for; not for longer than one wants to."""
    running = pool.add_task((children.pass_gate, gate))
    with pytest.raises(TimeoutError):
        pool.when_idle(0.01)
    gate.open()
    pool.when_idle(20)
    assert running.done()
    tasks = [pool.add_task((children.worker_id,)) for _ in range(500)]
    pool.when_idle()
    assert all(task.done() for task in tasks)


def test_users_estimates_see_these_tasks() -> None:
    """`inherent_cost` and `worker_cost` get the tasks that `add_task` returns."""
    seen: set[Task[Any]] = set()

    def inherent(task: Any) -> float:
        seen.add(task)
        return 0.001

    with Pool(call, max_workers=2, inherent_cost=inherent, worker_cost=lambda t, w: w.id) as pool:
        tasks = [pool.add_task((children.double, n), key=n) for n in range(20)]
        assert [task.result() for task in tasks] == [2 * n for n in range(20)]
    assert seen == set(tasks)


def test_what_was_never_used_costs_nothing() -> None:
    """A pool that is made and looked at starts no thread and needs no closing."""
    before = threading.active_count()
    pool = Pool(call, name="idle")
    assert pool.name == "idle"
    assert pool.is_idle
    assert pool.workers == ()
    pool.on("task-added", print)
    pool.remove_listener("task-added", print)
    pool.when_idle()
    pool.close()
    assert threading.active_count() == before
    assert "idle" in repr(pool)
