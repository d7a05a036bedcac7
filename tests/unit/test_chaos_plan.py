"""The chaos runner's plan: the seed's alone, and as much of everything as was asked for."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.chaos import tasks
from benchmarks.chaos.plan import Fire, RoundPlan
from benchmarks.chaos.planning import make_plan

FIRE = Fire(kills=30, segv=7, exit=5, term=4, stop=6)


@pytest.fixture(scope="module")
def plan() -> list[RoundPlan]:
    return make_plan(3, 2000, FIRE, 4)


def test_one_seed_is_one_plan(plan: list[RoundPlan]) -> None:
    """The same seed makes the same choices, another seed others."""
    assert make_plan(3, 2000, FIRE, 4) == plan
    assert make_plan(4, 2000, FIRE, 4) != plan


def test_more_fire_leaves_the_work_as_it_is(plan: list[RoundPlan]) -> None:
    """Each concern has dice of its own: what the assassin does changes no task."""
    more = make_plan(3, 2000, Fire(kills=90, segv=7, exit=5, term=4, stop=6), 4)
    assert [each.tasks for each in more] == [each.tasks for each in plan]


def test_all_tasks_are_there(plan: list[RoundPlan]) -> None:
    """Tasks are shared out evenly, each round counts its own from 0."""
    for each in plan:
        assert [task.index for task in each.tasks] == list(range(500))


def test_the_fire_is_what_was_asked_for(plan: list[RoundPlan]) -> None:
    """Signals from outside are counted exactly; own deaths may be a little more."""
    shots = Counter(shot.signals[0][0] for each in plan for shot in each.shots)
    deaths = Counter(task.detail for each in plan for task in each.tasks if task.deed == tasks.DIE)
    assert shots == {"SIGKILL": 30, "SIGSEGV": 3, "SIGTERM": 2, "SIGSTOP": 6}
    assert deaths["SIGSEGV"] >= 4
    assert deaths["SIGTERM"] >= 2
    assert deaths["exit 0"] >= 5
    follow_ups = Counter(
        shot.signals[1][0] for each in plan for shot in each.shots if len(shot.signals) > 1
    )
    assert follow_ups == {"SIGKILL": 3, "SIGCONT": 3}


def test_the_fire_ends_before_the_work(plan: list[RoundPlan]) -> None:
    """No shot waits for more lines than tasks will write that nobody cancels."""
    for each in plan:
        sure = 2 * sum(not task.is_cancelled for task in each.tasks)
        assert all(shot.after_lines < sure for shot in each.shots)


def test_every_kind_of_work_is_in_it(plan: list[RoundPlan]) -> None:
    """Both kinds of entrypoint, every deed, cancellations, timeouts, retries and large payloads."""
    work = [task for each in plan for task in each.tasks]
    assert {each.is_async for each in plan} == {True, False}
    assert {each.is_tiny for each in plan} == {True, False}
    assert {task.deed for task in work} >= {tasks.SLEEP, tasks.SPIN, tasks.RAISE, tasks.STUBBORN}
    assert {task.affinity for task in work} == {"light", "strong", "force"}
    assert any(task.cancel_with is not None for task in work)
    assert any(task.cancel_after for task in work)
    assert any(task.timeout for task in work)
    assert any(task.retries for task in work)
    assert any(task.argument_bytes > 1 << 20 for task in work)
    assert any(task.result_bytes > 1 << 20 for task in work)
    assert all(task.is_interrupted for task in work if task.deed == tasks.STUBBORN)
