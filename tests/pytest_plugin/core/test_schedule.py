"""Who runs which test, in simulated time: every test once, evenly, together, in order. Takes 2 s."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pytest_plugin.core.simulation import PLACE, Simulation
from workpool.pytest_plugin._collection import Place

LONG, SHORT = 3.0, 0.01
UNEVEN = {
    "first": [LONG, LONG, *[SHORT] * 99],
    "last": [*[SHORT] * 99, LONG, LONG],
    "around": [LONG, *[SHORT] * 99, LONG],
    "middle": [*[SHORT] * 50, LONG, LONG, *[SHORT] * 49],
}

PLACES = st.builds(
    Place,
    st.sampled_from(["", "parameter=1"]),
    st.sampled_from(["a.py", "b.py", "c.py"]),
    st.just(""),
    st.sampled_from(["", "", "", "group"]),
    st.sampled_from([None, None, None, None, "", "name"]),
)
TESTS = st.lists(st.tuples(PLACES, st.sampled_from([0.0, 0.001, 0.01, 0.2])), max_size=30)


def place(module: str) -> Place:
    return PLACE._replace(module=module)


@given(
    tests=TESTS,
    workers=st.integers(1, 4),
    scope=st.sampled_from(["auto", "test", "class", "module", "group"]),
    remembers=st.booleans(),
    keeps_order=st.booleans(),
    stops_early=st.booleans(),
)
def test_every_test_runs_once(
    tests: list[tuple[Place, float]],
    workers: int,
    scope: str,
    remembers: bool,
    keeps_order: bool,
    stops_early: bool,
) -> None:
    """Whatever there is to run, and however, nothing is forgotten, doubled or waited for in vain."""
    run = Simulation(
        tests,
        workers=workers,
        scope=scope,
        remembers=remembers,
        keeps_order=keeps_order,
        stops_early=stops_early,
    )
    run.run()
    assert sorted(name for _, _, name in run.ended) == sorted(run.seconds)


@given(tests=TESTS, workers=st.integers(1, 4), remembers=st.booleans())
def test_serial_tests_run_alone(
    tests: list[tuple[Place, float]], workers: int, remembers: bool
) -> None:
    """Nothing runs beside one that is marked without a name, nor two of one name at a time."""
    run = Simulation(tests, workers=workers, remembers=remembers)
    run.run()
    ends = {name: end for end, _, name in run.ended}
    spans = [(start, ends[name], run.place[name].serial) for start, _, name in run.begun]
    for start, end, serial in spans:
        if serial is not None and end > start:
            beside = [
                other
                for begin, over, other in spans
                if begin < end and start < over and over > begin
            ]
            assert len([other for other in beside if serial in ("", other)]) == 1


@pytest.mark.parametrize("first", [0, 1, 2])
def test_what_was_collected_first_begins_first(first: int) -> None:
    """Whichever worker comes first, however late the others are."""
    schedule = Simulation([(PLACE, 0.01)] * 9, scope="test", workers=3).schedule
    begun = schedule.due([first])[0]
    assert begun[:2] == (first, f"{PLACE.module}::0")


@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("order", UNEVEN)
def test_uneven_tests_of_one_module(order: str, remembers: bool) -> None:
    """Wherever the long ones stand, known or not, no worker waits long while others have a queue."""
    seconds = UNEVEN[order]
    took = Simulation([(PLACE, each) for each in seconds], remembers=remembers).run()
    assert took <= 1.1 * max(LONG, sum(seconds) / 2)


@pytest.mark.parametrize("order", ["last", "around"])
def test_uneven_modules(order: str) -> None:
    """The same with a module for each test: with what is remembered, it comes out even."""
    seconds = UNEVEN[order]
    tests = [(place(f"{number}.py"), each) for number, each in enumerate(seconds)]
    assert Simulation(tests, remembers=True).run() <= 1.1 * sum(seconds) / 2


@pytest.mark.parametrize("remembers", [False, True])
def test_modules_stay_together(remembers: bool) -> None:
    """Modules are set up no oftener than serially, but for one steal at the end."""
    tests = [(place(f"{number // 10}.py"), 0.02) for number in range(130)]
    run = Simulation(tests, remembers=remembers, set_up_seconds=0.25)
    assert run.run() <= 1.1 * (13 * 0.25 + 130 * 0.02) / 2 + 0.25
    assert run.set_ups <= 14


@pytest.mark.parametrize("tests_each", [1, 10, 400])
def test_set_ups_do_not_depend_on_the_controller(tests_each: int) -> None:
    """However seldom it looks, no fixture is torn down that a neighbour needs: two set-ups for a steal at most."""
    tests = [(place(f"{number // tests_each}.py"), 0.001) for number in range(8 * tests_each)]
    for pause in (0.0, 0.01, 0.1, 1.0):
        run = Simulation(tests, remembers=True, set_up_seconds=0.05, pauses=[pause, 0.0])
        run.run()
        assert run.set_ups <= 9, pause


@pytest.mark.parametrize("remembers", [False, True])
def test_tests_that_take_long_one_by_one(remembers: bool) -> None:
    """All of one length are no reason to take each from its worker alone, with a set-up each time."""
    tests = [(PLACE, seconds) for seconds in [*[0.06] * 60, 2.0, 2.0]]
    run = Simulation(tests, remembers=remembers, set_up_seconds=0.02)
    assert run.run() <= (1.1 * 3.8 if remembers else 5)
    assert run.set_ups <= 4


@given(
    tests=TESTS,
    workers=st.integers(1, 3),
    remembers=st.booleans(),
    pauses=st.lists(st.sampled_from([0.0, 0.005, 0.2]), min_size=1, max_size=5),
    withdraws_slowly=st.booleans(),
)
def test_neighbours_share_what_is_set_up(
    tests: list[tuple[Place, float]],
    workers: int,
    remembers: bool,
    pauses: list[float],
    withdraws_slowly: bool,
) -> None:
    """Between two tests of a group that one worker runs one after the other nothing is set up anew.

    But for what was taken from another worker, when this one had nothing to do.
    """
    run = Simulation(
        tests,
        workers=workers,
        remembers=remembers,
        pauses=pauses,
        withdraws_slowly=withdraws_slowly,
    )
    run.run()
    assert sorted(name for _, _, name in run.ended) == sorted(run.seconds)
    names = list(run.seconds)
    for worker in range(workers):
        ran = [name for _, each, name in run.begun if each == worker]
        for before, after in pairwise(ran):
            together = [name for name in names if run.place[name] == run.place[before]]
            if run.taken_from.get(after, worker) != worker:
                continue
            if after in together and together.index(after) == together.index(before) + 1:
                assert after not in run.set_up_for


def test_a_group_that_begins_while_it_is_asked_back() -> None:
    """Its owner keeps it, and its fixtures up: no promise counts as broken before all answers have come."""
    tests = [(place("a.py"), 0.01), *[(place("b.py"), 0.01)] * 4]
    schedule = Simulation(tests).schedule
    assert len(schedule.due([0])) == 5
    assert schedule.due([0, 1]) == []
    first, *others = [name for _, name in schedule.wanted_back([0, 1])]
    assert [first, *others] == [f"b.py::{number}" for number in range(1, 5)]
    for name in others:
        schedule.was_asked_back(0, name, is_withdrawn=True)
        assert schedule.broken_promises() == []
    schedule.was_asked_back(0, first, is_withdrawn=False)
    assert (0, others[0]) in [due[:2] for due in schedule.due([0, 1])]
    assert schedule.broken_promises() == []


@pytest.mark.parametrize(("scope", "unit"), [("module", "module"), ("class", "class_")])
def test_scopes_are_not_split(scope: str, unit: str) -> None:
    """What must stay together runs in one worker, in its order, however long it takes."""
    tests = [
        (Place("", f"{number % 3}.py", f"{number % 3}.py::{number % 5}", "", None), 0.5)
        for number in range(60)
    ]
    run = Simulation(tests, scope=scope, workers=3)
    run.run()
    workers: dict[str, set[int]] = {}
    for _, worker, name in run.begun:
        workers.setdefault(getattr(run.place[name], unit), set()).add(worker)
    assert {len(each) for each in workers.values()} == {1}


@pytest.mark.parametrize("scope", ["auto", "test", "class", "module", "group"])
@pytest.mark.parametrize("stops_early", [False, True])
def test_marked_groups_go_before_the_scope(scope: str, stops_early: bool) -> None:
    """Tests of one name run in one worker, whatever else is to stay together or the run is to end with."""
    modules = [place(f"{number % 3}.py") for number in range(30)]
    groups = ["", "one", "", "two", ""]
    tests = [(each._replace(group=groups[n % 5]), 0.1) for n, each in enumerate(modules)]
    run = Simulation(tests, scope=scope, stops_early=stops_early, workers=3)
    run.run()
    for group in ("one", "two"):
        assert len({worker for _, worker, name in run.begun if run.place[name].group == group}) == 1


@given(
    seconds=st.lists(st.sampled_from([0.0, 0.01, 0.2, 2.0]), min_size=1, max_size=60),
    workers=st.integers(1, 4),
    remembers=st.booleans(),
    pauses=st.lists(st.sampled_from([0.0, 0.005, 0.2]), min_size=1, max_size=5),
    withdraws_slowly=st.booleans(),
)
def test_little_is_run_beyond_a_failure(
    seconds: list[float],
    workers: int,
    remembers: bool,
    pauses: list[float],
    withdraws_slowly: bool,
) -> None:
    """Whichever test ends the run: few have begun that a serial run would not have, however long it takes."""
    run = Simulation(
        [(PLACE, each) for each in seconds],
        workers=workers,
        remembers=remembers,
        stops_early=True,
        pauses=pauses,
        withdraws_slowly=withdraws_slowly,
    )
    heard: list[tuple[int, int]] = []
    run.run(lambda name: heard.append((number_of(name), len(run.begun))))
    assert len(heard) == len(seconds)
    for serially, begun in heard:
        assert begun <= serially + 1 + workers + serially // 10


def number_of(name: str) -> int:
    """Return which of the simulation's tests this is."""
    return int(name.rpartition(":")[2])


def test_a_stuck_test_holds_up_few() -> None:
    """What was sent to run behind it is run by the other worker, before all others."""
    run = Simulation([(PLACE, each) for each in [0.01] * 4 + [9.0] + [0.01] * 9], stops_early=True)
    run.run()
    assert sorted(number_of(name) for at, _, name in run.begun if at < 9) == [*range(7)]


def test_what_was_taken_back_comes_first() -> None:
    """In a run that ends with a failure: whoever is idle gets it before all later tests, and nothing meanwhile."""
    run = Simulation([(PLACE, 0.01)] * 20, workers=5, stops_early=True)
    schedule = run.schedule
    assert [number_of(due.name) for due in schedule.due([0])] == [*range(6)]
    run.now = 9.0
    assert schedule.due([0, 1, 2]) == []
    wanted = schedule.wanted_back([0, 1, 2])
    assert [number_of(name) for _, name in wanted] == [1, 2]
    for worker, name in wanted:
        assert schedule.due([0, 1, 2]) == []
        schedule.was_asked_back(worker, name, is_withdrawn=True)
    sent = [(due.worker, number_of(due.name)) for due in schedule.due([0, 1, 2])]
    assert sent == [(1, 1), (2, 2)]


def test_order_is_kept() -> None:
    """Tests in a meant order begin in it, give or take what runs at the same time."""
    tests = [(place(f"{number % 3}.py"), 0.01) for number in range(50)]
    run = Simulation(tests, begins_in_order=True)
    run.run()
    begun = [int(name.rpartition(":")[2]) for _, _, name in run.begun]
    assert all(abs(number - position) <= 4 for position, number in enumerate(begun))
