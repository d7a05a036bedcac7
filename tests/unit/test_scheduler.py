"""The scheduler's choices, one at a time."""

from __future__ import annotations

from collections import deque

import pytest

from tests.unit.records import FakeTask, cost_of
from workpool._scheduler import (
    DEPTH_SECONDS,
    DEPTH_TASKS,
    UNEVEN_SECONDS,
    Scheduler,
)


def scheduler(slots: int = 2, lanes: int = 1) -> Scheduler[FakeTask]:
    made: Scheduler[FakeTask] = Scheduler(slots, lanes, cost_of)
    made.estimate_each = True
    for load in made.slots:
        load.open = True
    return made


def tasks(count: int, cost: float = 0.001) -> list[FakeTask]:
    return [FakeTask(number, cost) for number in range(count)]


def planned(made: Scheduler[FakeTask]) -> dict[int, list[FakeTask]]:
    """Carry out a plan, as the dispatcher does; return who got what."""
    got: dict[int, list[FakeTask]] = {load.index: [] for load in made.slots}
    for slot, run in made.plan():
        assert all(task.slot == slot for task in run)
        got[slot] += run
    return got


def test_equal_slots_get_equal_work() -> None:
    """Many equal tasks are spread evenly, in the order in which they were added."""
    made = scheduler(slots=3)
    for task in tasks(30, cost=1e-4):
        made.add(task)
    got = planned(made)
    assert {len(run) for run in got.values()} == {10}
    for run in got.values():
        assert [task.id for task in run] == sorted(task.id for task in run)


def test_a_queue_is_kept_shallow() -> None:
    """A slot gets a few milliseconds of work, one task more at most; the rest waits."""
    made = scheduler()
    for task in tasks(1000, cost=1e-4):
        made.add(task)
    for run in planned(made).values():
        assert DEPTH_SECONDS <= sum(task.estimate for task in run) < DEPTH_SECONDS + 1.1e-4
    assert made.waiting() == 1000 - sum(load.count for load in made.slots) > 0


def test_of_long_tasks_a_few_lie_ready() -> None:
    """However long tasks take, a worker has some in its queue when one ends, and not many."""
    made = scheduler(lanes=2)
    for task in tasks(200, cost=60.0):
        made.add(task)
    assert all(2 < len(run) < 50 for run in planned(made).values())


def test_tasks_that_cost_more_elsewhere_are_placed_late() -> None:
    """With worker_cost, where a task goes matters: one lies ready beside those that run."""
    made: Scheduler[FakeTask] = Scheduler(2, 2, cost_of, lambda task, slot: 0.0)
    for load in made.slots:
        load.open = True
    for task in tasks(200, cost=60.0):
        made.add(task)
    assert [len(run) for run in planned(made).values()] == [3, 3]


def test_a_queue_never_holds_more_than_a_pipe_does() -> None:
    """Tasks that cost nothing are bounded by count."""
    made = scheduler(slots=1)
    for task in tasks(DEPTH_TASKS + 100, cost=0.0):
        made.add(task)
    assert len(planned(made)[0]) == DEPTH_TASKS


def test_of_tasks_that_carry_much_fewer_go_ahead() -> None:
    """As many as it is told, but never fewer than keep a worker from waiting; and none in batches."""
    made = scheduler(slots=2, lanes=3)
    made.take_batch = lambda backlog, size: pytest.fail("what a batch carries is not bounded")
    for task in tasks(200, cost=1e-6):
        made.add(task)
    for most, expected in ((0, 4), (2, 4), (7, 7), (9, 9)):
        made.most_ahead = most
        list(made.plan())
        assert [load.count for load in made.slots] == [expected] * 2


def test_work_goes_where_least_is() -> None:
    """A slot with much work before it gets nothing while another has less."""
    made = scheduler()
    long = FakeTask(1, cost=10.0)
    made.place(long, 0)
    for task in tasks(5):
        made.add(task)
    assert [len(run) for run in planned(made).values()] == [1, 4] or not planned(made)[0]


def test_the_cost_of_a_place_decides() -> None:
    """With worker_cost, load plus the task's cost there is what is compared."""
    dear = {0: 1.0, 1: 0.0}
    made: Scheduler[FakeTask] = Scheduler(2, 1, cost_of, lambda task, slot: dear[slot])
    for load in made.slots:
        load.open = True
    for task in tasks(2):
        made.add(task)
    assert [len(run) for run in planned(made).values()] == [0, 2]


def test_a_pinned_task_waits_for_its_slot() -> None:
    """A forced task goes nowhere else, even while its slot has no worker."""
    made = scheduler()
    made.slots[1].open = False
    forced = FakeTask(1, slot=1, pinned=True)
    made.add(forced)
    assert planned(made) == {0: [], 1: []}
    made.slots[1].open = True
    assert planned(made) == {0: [], 1: [forced]}


@pytest.mark.parametrize("affinity", ["strong", "force"])
def test_only_a_strong_task_is_moved_when_loads_get_uneven(affinity: str) -> None:
    """Strong tasks leave a slot that is badly overloaded, forced ones stay."""
    made = scheduler()
    for number in range(20):
        movable = affinity == "strong"
        made.add(FakeTask(number, UNEVEN_SECONDS, slot=0, pinned=True, movable=movable))
    assert bool(planned(made)[1]) == (affinity == "strong")


def test_a_slightly_uneven_load_moves_nothing() -> None:
    """A strong task stays while its slot is not far behind the others."""
    made = scheduler()
    for number in range(5):
        made.add(FakeTask(number, UNEVEN_SECONDS / 10, slot=0, pinned=True, movable=True))
    assert planned(made)[1] == []


def test_a_stream_of_light_tasks_does_not_starve_a_pinned_one() -> None:
    """A pinned task gets its turn within a queue's depth, however much else is waiting."""
    made = scheduler()
    for task in tasks(2000):
        made.add(task)
    running = deque(planned(made)[0])
    pinned = FakeTask(9999, slot=0, pinned=True)
    made.add(pinned)
    for _ in range(200):
        made.finished(running.popleft())
        got = planned(made)[0]
        if pinned in got:
            return
        running += got
    pytest.fail("200 light tasks, ten times a queue's depth, went before the pinned one")


def test_tasks_without_a_key_are_not_estimated_by_a_neighbour_with_one() -> None:
    """What was learned for a key says nothing about the tasks behind it in the backlog."""
    made = scheduler(slots=1)
    made.estimate_each = False
    keyed = FakeTask(0, cost=5.0, key="slow")
    made.add(keyed)
    others = tasks(10, cost=1e-4)
    for task in others:
        made.add(task)
    made.set_lanes(20)
    planned(made)
    assert {task.estimate for task in others} == {1e-4}


def test_a_finished_queue_weighs_nothing() -> None:
    """Rounding errors do not pile up: an empty slot has exactly no load."""
    made = scheduler(slots=1)
    placed = tasks(10, cost=0.1)
    for task in placed:
        made.place(task, 0)
    for task in placed:
        made.finished(task)
    assert made.slots[0].seconds == 0.0


def test_what_is_put_back_goes_first_again() -> None:
    """Tasks that did not fit into a queue keep their place before all others."""
    made = scheduler(slots=1)
    for task in tasks(4, cost=60.0):
        made.add(task)
    first = planned(made)[0]
    for task in first:
        made.finished(task)
    made.put_back(first)
    assert [task.id for task in planned(made)[0]] == [task.id for task in first]
