"""The dispatcher on real queues, without workers: what cannot be sent leaves no trace."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from workpool._dispatcher import Dispatcher
from workpool._frames import MAIL_LOOK_ROUND, MAIL_MESSAGE, PARCEL, TOKEN
from workpool._ledger import Ledger
from workpool._options import TaskSettings
from workpool._retry_policy import RetryPolicy
from workpool._scheduler import DEPTH_TASKS, Scheduler
from workpool._system.arena import RECORD_LIMIT, SPAN_LIMIT
from workpool._system.memory import Bare
from workpool._system.status_page import IDLE, new_page
from workpool._task import Task
from workpool._worker_process import READY, RETIRING
from workpool.errors import SerializationError

SLOTS = 3


@dataclass(eq=False)
class PlainTask:
    """As much of a `Task` as a dispatcher needs, without an event loop."""

    id: int
    argument: Any = None
    key: str | None = None
    meta: Any = None
    slot: int = -1
    estimate: float = 0.0
    dispatches: int = 0
    attempts: int = 0
    offset: int = -1
    error: BaseException | None = None
    batch: None = None
    members: tuple[()] = ()
    movable: bool = False
    ends_alone: bool = True
    _settings: TaskSettings = field(default_factory=lambda: TaskSettings(None, RetryPolicy(0)))

    @property
    def pinned(self) -> bool:
        return self._settings.pinned

    def done(self) -> bool:
        return self.error is not None


@dataclass
class Sleeper:
    """A worker that keeps its mail."""

    slot: int
    state: str = READY
    fed_from: int = 0
    woken_from: int = 0
    mail: list[bytes] = field(default_factory=list)

    def post(self, data: bytes, descriptor: int | None = None) -> None:
        self.mail.append(data)


class Bench:
    """A dispatcher with everything it writes to."""

    def __init__(self) -> None:
        self.ledger: Ledger[Task[Any]] = Ledger()
        self.scheduler: Scheduler[Task[Any]] = Scheduler(SLOTS, 1, lambda task: 0.001)
        for load in self.scheduler.slots:
            load.open = True
        self.workers: list[Any] = [None] * SLOTS
        self.dispatcher = Dispatcher(
            new_page(SLOTS, 1), self.scheduler, self.ledger, self.workers, self._fail
        )

    def add(self, *arguments: object) -> list[PlainTask]:
        made = [PlainTask(self.ledger.new_id(), argument) for argument in arguments]
        for task in made:
            self.scheduler.add(cast("Task[Any]", task))
        return made

    def sleepers(self, *slots: int) -> None:
        """Put a worker into every slot; those in the given ones sleep."""
        for slot in range(SLOTS):
            self.workers[slot] = Sleeper(slot)
            word = self.dispatcher.page.field(slot, IDLE)
            self.dispatcher.page.words[word] = 1000 + slot if slot in slots else 0

    def send_one(self, slot: int) -> None:
        task = cast("Task[Any]", PlainTask(self.ledger.new_id()))
        self.scheduler.place(task, slot)
        self.dispatcher.send(slot, [task])

    @property
    def woken(self) -> list[int]:
        """The slots whose workers have been told to look round."""
        return [worker.slot for worker in self.workers if MAIL_LOOK_ROUND in worker.mail]

    @property
    def counts(self) -> list[int]:
        return [load.count for load in self.scheduler.slots]

    @property
    def dispatched_counts(self) -> list[int]:
        slots = [task.slot for task in self.ledger.dispatched.values()]
        return [slots.count(slot) for slot in range(SLOTS)]

    @staticmethod
    def _fail(task: Task[Any], error: BaseException) -> None:
        cast("PlainTask", task).error = error


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.dispatcher.close()


def test_every_task_that_is_sent_has_one_token(bench: Bench) -> None:
    """What the plan sends is in the ledger, in the arena and in a queue, once each."""
    bench.add(*range(20))
    bench.dispatcher.flush()
    tokens = [token for queue in bench.dispatcher.queues for token in queue.drain()]
    assert sorted(attempt for attempt, _, _ in tokens) == sorted(bench.ledger.dispatched)
    assert bench.dispatcher.arena.records == len(tokens) == sum(bench.counts) == 20


def test_an_argument_that_cannot_be_pickled_leaves_every_load_as_it_was(bench: Bench) -> None:
    """Only that task fails; no slot is taken to have work that it does not have."""
    bad, good = bench.add(threading.Lock(), 1)
    bench.dispatcher.flush()
    assert isinstance(bad.error, SerializationError)
    assert good.error is None
    assert len(bench.ledger.dispatched) == 1
    assert bench.counts == bench.dispatched_counts


def test_tasks_wait_while_there_are_no_lockers(bench: Bench) -> None:
    """Large arguments beyond the number of lockers wait, in order, and weigh on no slot."""
    made = bench.add(*[b"x" * (SPAN_LIMIT + 1)] * 12)
    bench.dispatcher.flush()
    sent = len(bench.ledger.dispatched)
    assert 0 < sent < 12
    assert bench.counts == bench.dispatched_counts
    assert bench.scheduler.waiting() == 12 - sent
    waiting = [task.id for task in bench.scheduler.backlog]
    assert waiting == sorted(waiting)
    assert bench.dispatcher.arena.records == sent
    assert not any(task.error for task in made)


def test_a_withdrawn_parcel_gives_its_locker_back(bench: Bench) -> None:
    """Dispatches that are undone can be repeated for ever."""
    [task] = bench.add(b"x" * (SPAN_LIMIT + 1))
    for _ in range(3 * len(bench.dispatcher.lockers)):
        bench.dispatcher.flush()
        assert len(bench.ledger.dispatched) == 1
        assert [t.id for t in bench.dispatcher.drain()] == [task.id]
        assert sum(bench.counts) == bench.dispatcher.arena.records == 0
        bench.scheduler.add(cast("Task[Any]", task))
    assert all(locker.empty for locker in bench.dispatcher.lockers)


def test_a_full_queue_puts_the_rest_back(bench: Bench) -> None:
    """What does not fit into a queue waits again, before what was added later."""
    queue = bench.dispatcher.queues[0]
    while queue.push(TOKEN.pack(1, 0, 0)):
        pass
    made = bench.add(1, 2, 3)
    bench.scheduler.take_waiting()
    for task in made:
        bench.scheduler.place(cast("Task[Any]", task), 0)
    assert not bench.dispatcher.send(0, [cast("Task[Any]", task) for task in made])
    assert [task.id for task in bench.scheduler.backlog] == [task.id for task in made]
    assert bench.counts == [0] * SLOTS
    assert bench.dispatcher.arena.records == 0
    assert not bench.ledger.dispatched


@pytest.mark.parametrize("limit", [RECORD_LIMIT, SPAN_LIMIT])
def test_records_fill_the_limit_exactly(bench: Bench, limit: int) -> None:
    """Arguments around the sizes from which on they travel in spans, and as parcels, are all sent."""
    bench.add(*(b"x" * (limit + size) for size in range(-40, 3)))
    for _ in range(60):
        bench.dispatcher.flush()
        if not bench.scheduler.waiting():
            break
        for attempt, task in list(bench.ledger.dispatched.items()):
            bench.ledger.finish(attempt)
            bench.dispatcher.reclaim(task)
    assert not bench.scheduler.waiting()


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_what_waits_in_queues_is_bounded_in_bytes(bench: Bench, size: int) -> None:
    """Of many large arguments the rest stays in the backlog, as objects; none is pickled twice."""
    made = bench.add(*[b"x" * size] * 200)
    bench.dispatcher.flush()
    sent = len(bench.ledger.dispatched)
    assert 2 * SLOTS <= sent <= SLOTS * (1 + 2 * SPAN_LIMIT // size)
    assert bench.counts == bench.dispatched_counts
    assert bench.dispatcher.arena.records == sent
    assert [task.id for task in bench.scheduler.backlog] == [task.id for task in made[sent:]]
    assert sum(task.dispatches for task in made) == sent


def test_pinned_arguments_are_bounded_in_bytes_too(bench: Bench) -> None:
    """A worker is sent no more of them ahead than of others."""
    pinned = TaskSettings(None, RetryPolicy(0), pinned=True)
    bench.sleepers()
    for _ in range(50):
        task = PlainTask(bench.ledger.new_id(), b"x" * 1_000_000, slot=0, _settings=pinned)
        bench.scheduler.add(cast("Task[Any]", task))
    bench.dispatcher.flush()
    bench.dispatcher.flush()
    assert 2 <= len(bench.ledger.dispatched) <= 3
    assert bench.dispatcher.arena.records == len(bench.ledger.dispatched)


def test_after_large_arguments_small_ones_go_ahead_as_ever(bench: Bench) -> None:
    """Not at once, for the next may be large again, but after some runs without one."""
    for argument in [b"x" * 500_000, *range(60)]:
        bench.add(argument)
        bench.dispatcher.flush()
        for task in bench.dispatcher.drain():
            assert task.argument is argument
    assert bench.scheduler.most_ahead == DEPTH_TASKS
    bench.add(b"x" * 500_000)
    bench.dispatcher.flush()
    assert bench.scheduler.most_ahead < 10


def test_large_arguments_without_a_span_travel_as_parcels(bench: Bench) -> None:
    """The arena's spans are full, of tasks that run for long say; lockers are not."""
    arena = bench.dispatcher.arena
    for size in (SPAN_LIMIT, 1000):
        while arena.write_large(0, Bare(b"x" * size)):
            pass
    before = arena.records
    made = bench.add(*[b"x" * 500_000] * 3)
    bench.dispatcher.flush()
    assert len(bench.ledger.dispatched) == 3
    assert arena.records == before + 3
    for task in made:
        assert arena.memory[task.offset] == PARCEL


def test_the_memory_of_large_arguments_is_given_back(bench: Bench) -> None:
    """When nothing large has come for a while; what is still in use stays as it is."""
    due: list[Any] = []
    bench.dispatcher.large.parcels.call_later = lambda _seconds, function: due.append(function)
    stays, goes = bench.add(b"s" * 600_000, b"g" * 700_000)
    bench.dispatcher.flush()
    bench.dispatcher.withdraw(cast("Task[Any]", goes))
    full = os.fstat(bench.dispatcher.arena.descriptor).st_blocks
    while due:
        due.pop()()
    left = os.fstat(bench.dispatcher.arena.descriptor).st_blocks
    assert full - left >= 700_000 // 512
    record = bench.dispatcher.arena.memory[stays.offset : stays.offset + 600_020]
    assert b"s" * 600_000 in record


def test_nobody_is_woken_who_does_not_exist(bench: Bench) -> None:
    """An idle flag left by a worker that is gone does not stop the dispatch."""
    page = bench.dispatcher.page
    page.words[page.field(1, IDLE)] = 1
    bench.add(1)
    bench.dispatcher.flush()
    assert len(bench.ledger.dispatched) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_a_sleep_is_counted_on_for_one_task(bench: Bench, first: int) -> None:
    """Whoever gets up for a task, in its own queue or in another, leaves the next one to others.

    Of three workers the first is busy; a task goes to its queue, and one to the second's.
    """
    bench.sleepers(1, 2)
    bench.send_one(first)
    bench.send_one(1 - first)
    assert bench.woken == [1, 2]


def test_a_sleeper_that_a_thief_may_rob_is_told(bench: Bench) -> None:
    """The kernel lets it sleep on if its task is gone before it is up; mail gets it up for certain."""
    bench.sleepers(0, 1, 2)
    bench.send_one(0)
    assert bench.woken == []  # nobody is up, and the push is enough
    bench.send_one(1)
    assert bench.woken == [1]
    bench.send_one(1)
    assert bench.woken == [0, 1, 2]
    bench.send_one(1)
    assert [len(worker.mail) for worker in bench.workers] == [1, 1, 1]


def test_a_message_to_a_worker_that_gets_up_for_a_task_wakes_another(bench: Bench) -> None:
    """Its handler may take long, and the task may lie in a queue that is not its own."""
    bench.sleepers(1, 2)
    bench.send_one(0)
    assert bench.woken == [1]
    bench.dispatcher.wakeups.post_work(1, MAIL_MESSAGE)
    assert bench.woken == [1, 2]


@pytest.mark.parametrize("slot", [0, 1])
def test_a_worker_that_is_about_to_leave_is_not_counted_on(bench: Bench, slot: int) -> None:
    """Its idle flag may still be up, but it reads that it is to stop before it looks round."""
    bench.sleepers(1, 2)
    bench.workers[1].state = RETIRING
    bench.send_one(slot)
    assert bench.woken == [2]
