"""What neighbours' fixtures take is told apart from what tests take, and weighed. Takes 0.5 s."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pytest_plugin.core.simulation import PLACE, Simulation
from tests.pytest_plugin.core.test_schedule import TESTS, number_of, place
from workpool.pytest_plugin._collection import Place
from workpool.pytest_plugin._durations import DURATIONS, SET_UPS, Durations
from workpool.pytest_plugin._grouping import Group
from workpool.pytest_plugin._plan import Plan
from workpool.pytest_plugin._set_ups import SetUps

SLOW = "slow.py"


@pytest.mark.parametrize("workers", [2, 3, 4], ids="{} workers".format)
@pytest.mark.parametrize("others", [0, 1, 3], ids="{} others".format)
def test_a_fixture_that_takes_longer_than_its_tests(others: int, workers: int) -> None:
    """It is set up once as soon as it is known, and never does that take longer than the serial run."""
    tests = [(place(SLOW), 0.05)] * 10 + [(place(f"{n}.py"), 0.0001) for n in range(others)]
    cache: dict[str, Any] = {}
    for run_number in range(4):
        run = Simulation(tests, workers=workers, cache=cache, set_up_seconds={SLOW: 1.0})
        assert run.run() <= 1.5 + 0.01
        set_ups = [name for name in run.set_up_for if name.startswith(SLOW)]
        assert len(set_ups) <= (1 if run_number else workers)
    assert cache[SET_UPS] == {SLOW: 1.0}
    seconds = [each for name, each in cache[DURATIONS].items() if name.startswith(SLOW)]
    assert seconds == pytest.approx([0.05] * 10)


def test_a_fixture_that_takes_less_than_its_tests() -> None:
    """It is set up once in both workers, which end together."""
    cache: dict[str, Any] = {}
    for run_number in range(3):
        run = Simulation([(PLACE, 0.05)] * 100, cache=cache, set_up_seconds=0.3)
        assert run.run() <= (1.02 if run_number else 1.1) * (5.0 / 2 + 0.3)
        assert run.set_ups <= (2 if run_number else 3)


def test_a_long_test_with_a_fixture_that_takes_longer() -> None:
    """It is not run elsewhere for that: its module's fixtures would be set up once more."""
    tests = [(place(SLOW), each) for each in [0.05] * 10 + [0.8]]
    cache: dict[str, Any] = {}
    for _ in range(3):
        run = Simulation(tests, cache=cache, set_up_seconds={SLOW: 3.0})
        run.run()
    assert run.set_ups == 1


@pytest.mark.parametrize(("set_up", "is_split"), [(0.1, True), (0.25, True), (0.5, False)])
def test_the_last_module(set_up: float, is_split: bool) -> None:
    """It is split where that saves a quarter of its set-up; in the first run too, by what others took."""
    tests = [(place(f"{number // 8:02}.py"), 0.02) for number in range(13 * 8)]
    cache: dict[str, Any] = {}
    for _ in range(3):
        run = Simulation(tests, cache=cache, set_up_seconds=set_up)
        last = set_up + (5 if is_split else 8) * 0.02
        assert run.run() <= 6 * (set_up + 8 * 0.02) + last + 0.001
        assert run.set_ups == (14 if is_split else 13)


def test_the_rest_of_a_module_that_is_not_worth_its_set_up() -> None:
    """However long its owner is busy, little is not taken from it: the fixtures would be set up for nothing."""
    group = Group("m", "", range(10), may_split=True, home="m")
    plan = Plan([group], [], 2, lambda test: 0.001, set_ups=SetUps({"m": 1.0}))
    owner = next(worker for worker in (0, 1) if plan.next_for(worker) is not None)
    busy = [0.0, 0.0]
    busy[owner] = 5.0
    assert plan.next_for(1 - owner, busy=busy) is None


def test_modules_count_with_their_fixtures() -> None:
    """One with few tests and a slow fixture is as long as one with many tests: it begins first."""
    seconds = {SLOW: 1.0}
    tests = [(place(f"{number // 10}.py"), 0.02) for number in range(50)] + [
        (place(SLOW), 0.01)
    ] * 2
    cache: dict[str, Any] = {}
    Simulation(tests, cache=cache, set_up_seconds=seconds).run()
    again = Simulation(tests, cache=cache, set_up_seconds=seconds)
    assert again.run() <= 1.1 * (1.0 + 0.02 + 50 * 0.02) / 2


def remembered(*noted: tuple[str, str, float, str]) -> tuple[dict[str, float], dict[str, float]]:
    """Note set-ups in one worker (home, test, seconds, where it came from); return tests' own and homes'."""
    set_ups = SetUps({})
    own = {name: set_ups.note(home, name, each, 0, came) for home, name, each, came in noted}
    for name, more in set_ups.corrections():
        own[name] += more
    return own, set_ups.to_remember()


def test_what_each_test_sets_up_for_itself() -> None:
    """That is its own, the first one's too; what goes beyond that is the home's, whichever test needs it first."""
    own, homes = remembered(
        ("a", "1", 0.2, "b"), ("a", "2", 0.2, "a"), ("a", "3", 1.2, "a"), ("a", "4", 0.2, "a")
    )
    assert own == pytest.approx(dict.fromkeys("1234", 0.2))
    assert homes == pytest.approx({"a": 1.0})


def test_what_is_known_in_the_end_is_remembered() -> None:
    """The test that came first had its own set-up, too: its neighbours have shown that since."""
    cache: dict[str, Any] = {}
    remembering = SimpleNamespace(get=cache.get, set=cache.__setitem__)
    config: Any = SimpleNamespace(cache=remembering)
    durations = Durations(config)
    for name, came in (("1", "b"), ("2", "a"), ("3", "a")):
        durations.note(name, 0.1 + durations.set_ups.note("a", name, 0.2, 0, came))
    durations.save()
    assert cache[DURATIONS] == pytest.approx(dict.fromkeys("123", 0.3))


def test_what_is_shared_by_all_homes() -> None:
    """A session's fixtures are neither a test's nor a home's."""
    own, homes = remembered(
        ("a", "1", 5.3, ""), ("a", "2", 0.0, "a"), ("b", "3", 0.3, "a"), ("b", "4", 0.0, "b")
    )
    assert own == pytest.approx(dict.fromkeys("1234", 0.0))
    assert homes == pytest.approx({"a": 0.3, "b": 0.3})


@given(tests=TESTS, remembers=st.booleans(), scope=st.sampled_from(["auto", "module", "group"]))
def test_one_worker_keeps_the_order(
    tests: list[tuple[Place, float]], remembers: bool, scope: str
) -> None:
    """All tests begin in the serial run's order, however long, and whatever is known or marked."""
    run = Simulation(tests, workers=1, remembers=remembers, scope=scope)
    run.run()
    assert [number_of(name) for _, _, name in run.begun] == [*range(len(tests))]


@pytest.mark.parametrize("last", [0.01, 1.0])
def test_steps_of_a_class(last: float) -> None:
    """A long one begins where it stands, not before those that it may count on."""
    steps = PLACE._replace(class_="test_it.py::TestSteps")
    tests = [(steps, each) for each in (0.01, 3.0, 0.01, last)]
    tests += [(place(f"{number}.py"), 0.3) for number in range(12)]
    run = Simulation(tests, remembers=True)
    run.run()
    assert [number_of(name) for _, _, name in run.begun if number_of(name) < 3] == [0, 1, 2]


def test_parts_of_one_module_share_its_fixtures() -> None:
    """What was taken in two goes is not taken from there as if it were a module that has not begun."""
    run = Simulation([(PLACE, 0.01)] * 12, workers=3)
    schedule = run.schedule

    def moved(*workers: int) -> list[int]:
        assert schedule.due(workers) == []
        wanted = schedule.wanted_back(workers)
        for worker, name in wanted:
            schedule.was_asked_back(worker, name, is_withdrawn=True)
        schedule.due(workers)
        return [number_of(name) for _, name in wanted]

    assert len(schedule.due([0])) == 12
    run.now = 0.06
    assert moved(0, 1) == [1, 2, 3, 4, 5, 6]
    run.now = 4.0
    for number in range(1, 6):
        seconds = 1.0 if number == 1 else 0.001
        reports: Any = [SimpleNamespace(when="setup", duration=seconds)]
        schedule.ended(1, f"{PLACE.module}::{number}", reports)
    assert moved(0, 1) == [7, 8, 9]
    run.now = 5.2
    assert moved(0, 1, 2) == [10]  # they wait behind one that has run for longer than any set-up
    assert moved(0, 1, 2) == [11]
    assert moved(0, 1, 2) == []
